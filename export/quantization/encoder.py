"""The int8 convolutions, made one after the other; each is fitted to what the quantized ones before it give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from edge_vqa.evqa_file import Conv

from ..models import PIXEL_SCALE, PIXEL_ZERO
from .layers import Layer
from .ranges import WEIGHT_STEPS, Grid, activation_grid, round_weight, weight_steps
from .rounding import reconstruct, second_moments
from .settings import Settings
from .simulate import IntegerConv

_LARGEST_SUM = 1 << 30
_SCALE_STEP = 2.0**-16
"""Scales are whole multiples of it: a sum's product below 256 then fits float32, and an engine may multiply, add the
zero point and round in one fused operation with the bits of the separate ones (docs/evqa-format.md)."""
_BATCH = 4
"""Pictures at once: as many as keep temporary tensors small enough to be used again instead of mapped anew."""


@dataclass
class Activation:
    """A layer's output over the calibration pictures."""

    exact: Tensor
    """[N,C,h,w] float32 of the exact network."""
    given: Tensor
    """[N,C,h,w] uint8 of the quantized one."""
    grid: Grid

    @property
    def real(self) -> Tensor:
        """What `given` stands for."""
        return self.grid.real(self.given)


@torch.inference_mode()
def quantize_encoder(layers: list[Layer], pictures: Tensor, settings: Settings) -> tuple[list[IntegerConv], Activation]:
    """The convolutions, and the last one's output for `pictures` [N,3,S,S] uint8."""
    taken = Activation((pictures.float() - PIXEL_ZERO) * PIXEL_SCALE, pictures, Grid(PIXEL_SCALE, PIXEL_ZERO))
    wanted = {layer.residual for layer in layers}
    kept: dict[int, Activation] = {}
    convs: list[IntegerConv] = []
    for number, layer in enumerate(layers):
        conv, taken = quantize_layer(layer, taken, kept.get(layer.residual), settings)
        convs.append(conv)
        if number in wanted:
            kept[number] = taken
    return convs, taken


def quantize_layer(
    layer: Layer, taken: Activation, residual: Activation | None, settings: Settings
) -> tuple[IntegerConv, Activation]:
    """One convolution and its output; `taken` is what it takes, `residual` what is added to it."""
    exact_sums = _batched(layer.convolve, taken.exact)
    exact = layer.finish(exact_sums, residual.exact if residual else None)
    out = activation_grid(exact, settings)
    unit = weight_steps(layer.weight, settings).double() * taken.grid.step
    if residual is None:
        unit = _whole_scales(unit / out.step) * out.step
    steps = (unit / taken.grid.step).float()
    if settings.reconstruct:
        weights = reconstruct(layer, steps, second_moments(layer, taken.real))
    else:
        weights = round_weight(layer.weight, steps.view(-1, 1, 1, 1))
    conv = _assemble(layer, taken, residual, out, weights, unit)
    sums = _batched(conv.sums, taken.given)
    bias = layer.bias
    if settings.correct_bias:
        bias = bias + exact_sums.mean((0, 2, 3)) - sums.mean((0, 2, 3)) * unit
        if residual:
            bias = bias + (residual.exact - residual.real).mean((0, 2, 3))
    conv.bias = torch.round(bias.double() / unit.double()).clamp(-(2.0**31), 2.0**31).to(torch.int64)
    if _fit_sums(conv):
        sums = _batched(conv.sums, taken.given)
    added = residual.given.split(_BATCH) if residual else [None] * len(sums)
    given = torch.cat([conv.finish(s, r) for s, r in zip(sums.split(_BATCH), added, strict=False)])
    return conv, Activation(exact, given, out)


def _assemble(
    layer: Layer, taken: Activation, residual: Activation | None, out: Grid, weights: Tensor, unit: Tensor
) -> IntegerConv:
    """The convolution with a bias of 0; `unit` [outputs] float64 is what 1 of its sums stands for."""
    side = taken.given.shape[-1]
    high = float(torch.as_tensor(layer.high).min())
    record = Conv(
        depthwise=int(layer.depthwise),
        kernel=weights.shape[-1],
        stride=layer.stride,
        inputs=taken.given.shape[1],
        outputs=len(weights),
        in_side=side,
        out_side=-(-side // layer.stride),
        in_zero=taken.grid.zero,
        out_zero=out.zero,
        low=float(max(0, out.zero + _steps(layer.low, out))),
        high=float(min(255, out.zero + _steps(high, out))),
        out_scale=out.step,
    )
    if residual:
        ratio = float(torch.tensor(residual.grid.step / out.step))
        record = replace(record, residual=layer.residual, residual_scale=ratio, residual_zero=residual.grid.zero)
    scale = (unit / out.step).float()
    return IntegerConv(record, weights, torch.zeros(len(weights), dtype=torch.int64), scale)


def _whole_scales(scale: Tensor) -> Tensor:
    """[outputs] float64: the nearest multiples of _SCALE_STEP, at least one; scales above 1, which are rare, stay.

    Always the next larger one would do harm: a channel's largest weight, 127 steps, would still round to 127 and so
    grow, which adds up over the layers. The next larger one is taken only where that weight would be cut off.
    A channel that hardly varies gets steps that leave it its bias alone.
    """
    units = scale / _SCALE_STEP
    whole = torch.round(units).clamp_min(1)
    cut = units * WEIGHT_STEPS > whole * (WEIGHT_STEPS + 0.5)
    return torch.where(scale <= 1, torch.where(cut, torch.ceil(units), whole) * _SCALE_STEP, scale)


def _steps(bound: float, out: Grid) -> int:
    """A bound in whole steps, at most 255 either way."""
    return round(max(-255.0, min(255.0, bound / out.step)))


def _batched(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([function(part) for part in x.split(_BATCH)])


def _fit_sums(conv: IntegerConv) -> bool:
    """Coarser steps in the channels whose sums could pass 2^30; whether there were any.

    Only a channel that hardly varies has such a bias, more than a thousand times what its weights can add.
    """
    changed = False
    while (large := 255 * conv.weights.abs().flatten(1).sum(1) + conv.bias.abs() >= _LARGEST_SUM).any():
        factor = torch.where(large, 2.0, 1.0)
        conv.weights = torch.round(conv.weights / factor.view(-1, 1, 1, 1))
        conv.bias = torch.round(conv.bias / factor.double()).to(torch.int64)
        conv.scale = conv.scale * factor
        changed = True
    return changed
