"""Scaling channels so that one step suits them all (after Nagel et al. 2019, "Data-free quantization", section 4.1).

Multiplying a convolution's output channel by f and dividing what the next ones multiply it with changes nothing in
real numbers, and gives a channel of small values more of its tensor's 255 steps. ReLU6 becomes min(max(y, 0), 6 f), a
bound for each channel, but the format has one for the tensor: 6. So f is at least 1 there, and 1 where the calibration
pictures reach the bound; where they do not, values beyond all that they show are clipped at 6 / f, just as a range
taken from pictures clips them. Elsewhere scaling is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..models import PIXEL_SCALE, PIXEL_ZERO
from .layers import Layer

_MOST = 64.0
"""No channel is multiplied by more than this."""
_MARGIN = 1.25
"""A clipped channel keeps this many times the largest value that the pictures show."""


@torch.inference_mode()
def equalize(layers: list[Layer], pictures: Tensor) -> Tensor:
    """Scale `layers` in place; returns the last layer's factors [outputs], which the head has to divide by."""
    largest = _largest_values(layers, pictures)
    factors = torch.ones(0)
    for tied in _tied(layers):
        if layers[tied[0]].high == float("inf"):
            shares = torch.stack([largest[n] / largest[n].max().clamp_min(1e-12) for n in tied]).amax(0)
            factors = 1 / shares.clamp_min(1 / _MOST)
        else:
            bound = largest[tied[0]].max()
            factors = (bound / (_MARGIN * largest[tied[0]]).clamp_min(1e-12)).clamp(1, _MOST)
        for n in tied:
            _scale(layers, n, factors)
    return factors


def _scale(layers: list[Layer], number: int, factors: Tensor) -> None:
    layer = layers[number]
    layer.weight = layer.weight * factors.view(-1, 1, 1, 1)
    layer.bias = layer.bias * factors
    if layer.high != float("inf"):
        layer.high = layer.high * factors
    if number + 1 < len(layers):
        following = layers[number + 1]
        shape = (-1, 1, 1, 1) if following.depthwise else (1, -1, 1, 1)
        following.weight = following.weight / factors.view(shape)


def _tied(layers: list[Layer]) -> list[list[int]]:
    """Layers in groups that share factors because their outputs are added; the last layer's group is the last."""
    groups: list[list[int]] = []
    for n, layer in enumerate(layers):
        group = next((g for g in groups if layer.residual in g), None)
        if group is None:
            groups.append([n])
        else:
            group.append(n)
    return sorted(groups, key=lambda g: g[-1])


def _largest_values(layers: list[Layer], pictures: Tensor) -> list[Tensor]:
    """Of every layer, each channel's largest absolute value over the pictures, [outputs]."""
    largest = [torch.zeros(len(layer.bias)) for layer in layers]
    for batch in pictures.split(16):
        outputs: list[Tensor] = []
        x = (batch.float() - PIXEL_ZERO) * PIXEL_SCALE
        for n, layer in enumerate(layers):
            x = layer.finish(layer.convolve(x), outputs[layer.residual] if layer.residual >= 0 else None)
            outputs.append(x)
            largest[n] = largest[n].maximum(x.abs().amax((0, 2, 3)))
    return largest
