"""Rounding a convolution's weights together, for the least squared error of its output.

With weights w of an output channel, x what the exact network gives them and u what the quantized network gives them,
the whole numbers of steps v are sought that minimise

    E |(w x + r) - (v u + s)|^2 + d |w - v|^2         (means taken off: the bias makes up for them)

where r and s are the residuals that are added, if any, and d is a little damping. The minimum over real v is a ridge
regression; the whole numbers are then taken one after the other, each followed by the best change of those not yet
taken (Frantar et al. 2023, "GPTQ"), and improved by coordinate descent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .layers import Layer
from .ranges import WEIGHT_STEPS, round_weight

_PLACES = 40_000
"""Places of the output that moments are taken over, at most."""
_DAMPING = 0.01
"""d, as a share of the mean of E u^2."""
_SWEEPS = 2


@dataclass(frozen=True)
class Moments:
    """Second moments over places, means taken off; G groups (1, or the channels of a depthwise one) of K weights."""

    given: Tensor
    """[G, K, K] E u u^T."""
    both: Tensor
    """[G, K, K] E x u^T."""
    residual: Tensor
    """[G, outputs / G, K] E (r - s) u^T; 0 without a residual."""


def moments(layer: Layer, exact: Tensor, given: Tensor, residual_error: Tensor | None) -> Moments:
    """`exact` and `given` [N,inputs,h,w] are x and u; `residual_error` [N,outputs,h',w'] is r - s."""
    n, _, height, width = exact.shape
    height, width = -(-height // layer.stride), -(-width // layer.stride)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(n * height * width, generator=generator)[:_PLACES]
    places = (chosen // (height * width), chosen // width % height, chosen % width)
    x, u = (_patches(layer, values, places) for values in (exact, given))
    second = u.transpose(1, 2) @ u / len(chosen)
    both = x.transpose(1, 2) @ u / len(chosen)
    if residual_error is None:
        return Moments(second, both, torch.zeros(1, 1, 1))
    r = residual_error.permute(0, 2, 3, 1)[places]
    return Moments(second, both, ((r - r.mean(0)).T @ u[0] / len(chosen)).unsqueeze(0))


def _patches(layer: Layer, x: Tensor, places: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """What the weights are multiplied with at these places, less the mean: [G, places, K]."""
    kernel = layer.weight.shape[-1]
    padded = F.pad(x, [kernel // 2] * 4).permute(0, 2, 3, 1)
    n, y, z = places[0], places[1] * layer.stride, places[2] * layer.stride
    rows = torch.stack([padded[n, y + i, z + j] for i in range(kernel) for j in range(kernel)], -1)
    rows = rows - rows.mean(0)
    return rows.transpose(0, 1) if layer.depthwise else rows.flatten(1).unsqueeze(0)


def reconstruct(layer: Layer, steps: Tensor, m: Moments) -> Tensor:
    """Whole numbers, -127 to 127, of the weight's shape; `steps` [outputs] are given."""
    groups, size = m.given.shape[:2]
    weight, step = layer.weight.reshape(groups, -1, size), steps.reshape(groups, -1, 1)
    damping = _DAMPING * m.given.diagonal(0, 1, 2).mean(1).clamp_min(1e-12).view(-1, 1, 1)
    second = (m.given + damping * torch.eye(size)).double()
    wanted = torch.linalg.solve(second, (weight @ m.both + m.residual + damping * weight).double(), left=False)
    order = second.diagonal(0, 1, 2).argsort(1, descending=True)
    second = second.gather(1, order.unsqueeze(2).expand_as(second)).gather(2, order.unsqueeze(1).expand_as(second))
    along = order.unsqueeze(1).expand_as(wanted)
    wanted = wanted.gather(2, along) / step  # in steps
    whole = _descend(_one_by_one(wanted, second), wanted, second)
    return torch.empty_like(whole).scatter_(2, along, whole).reshape(layer.weight.shape).float()


def _one_by_one(wanted: Tensor, second: Tensor) -> Tensor:
    """[G, rows, K] whole numbers near `wanted`: each weight's rounding is made up for by the weights after it."""
    factor = torch.linalg.cholesky(torch.linalg.inv(second), upper=True).float()
    left = wanted.float().clone()
    whole = torch.empty_like(left)
    for k in range(left.shape[2]):
        whole[:, :, k] = round_weight(left[:, :, k], torch.ones(()))
        error = (left[:, :, k] - whole[:, :, k]) / factor[:, k, k].unsqueeze(1)
        left[:, :, k + 1 :] -= error.unsqueeze(2) * factor[:, k, k + 1 :].unsqueeze(1)
    return whole


def _descend(whole: Tensor, wanted: Tensor, second: Tensor) -> Tensor:
    """Change one weight at a time to its best whole number, the others held: no step makes the error larger."""
    h = second.float()
    slope = (whole - wanted.float()) @ h
    for _ in range(_SWEEPS):
        for k in range(whole.shape[2]):
            best = torch.round(whole[:, :, k] - slope[:, :, k] / h[:, k, k].unsqueeze(1))
            change = best.clamp_(-WEIGHT_STEPS, WEIGHT_STEPS) - whole[:, :, k]
            whole[:, :, k] += change
            slope += change.unsqueeze(2) * h[:, k].unsqueeze(1)
    return whole
