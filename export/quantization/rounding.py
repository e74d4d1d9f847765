"""Rounding a convolution's weights together, for the least squared error of its output.

With weights w of an output channel and u what the quantized network before gives them, the whole numbers of steps v are
sought that minimise

    E ((w - v) u)^2 + d |w - v|^2                     (means taken off u: the bias makes up for them)

where d is a little damping. They are taken one after the other, each followed by the best change of those not yet
taken (Frantar et al. 2023, "GPTQ"), and then improved by coordinate descent.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .layers import Layer
from .ranges import WEIGHT_STEPS

_PLACES = 16
"""Places of the output that moments are taken over, at most, for each weight of an output channel ..."""
_LEAST_PLACES = 4000
"""... and at most this many where that is more."""
_DAMPING = 0.01
"""d, as a share of the mean of E u^2."""
_SWEEPS = 2
_BLOCK = 64
"""Weights whose effect on those after the block is added up and applied at once."""


def second_moments(layer: Layer, given: Tensor) -> Tensor:
    """E u u^T, [G, K, K], over random places of what the layer takes, `given` [N,inputs,h,w], means taken off.

    G is 1, or the channels of a depthwise convolution; K the weights of an output channel.
    """
    n, _, height, width = given.shape
    height, width = -(-height // layer.stride), -(-width // layer.stride)
    size, kernel = layer.weight[0].numel(), layer.weight.shape[-1]
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(n * height * width, generator=generator)[: max(_LEAST_PLACES, _PLACES * size)]
    padded = F.pad(given, [kernel // 2] * 4).permute(0, 2, 3, 1)
    picture = chosen // (height * width)
    y, x = chosen // width % height * layer.stride, chosen % width * layer.stride
    rows = torch.stack([padded[picture, y + i, x + j] for i in range(kernel) for j in range(kernel)], -1)
    rows -= rows.mean(0)
    u = rows.transpose(0, 1).contiguous() if layer.depthwise else rows.flatten(1).unsqueeze(0)
    return u.transpose(1, 2) @ u / len(chosen)


def reconstruct(layer: Layer, steps: Tensor, moments: Tensor) -> Tensor:
    """Whole numbers, -127 to 127, of the weight's shape; `steps` [outputs] are given."""
    groups, size = moments.shape[:2]
    wanted = (layer.weight / steps.view(-1, 1, 1, 1)).reshape(groups, -1, size)
    damping = _DAMPING * moments.diagonal(0, 1, 2).mean(1).clamp_min(1e-12).view(-1, 1, 1)
    second = (moments + damping * torch.eye(size)).double()
    order = second.diagonal(0, 1, 2).argsort(1, descending=True)
    second = second.gather(1, order.unsqueeze(2).expand_as(second)).gather(2, order.unsqueeze(1).expand_as(second))
    along = order.unsqueeze(1).expand_as(wanted)
    wanted = wanted.gather(2, along)
    whole = _descend(_one_by_one(wanted, second), wanted, second)
    return torch.empty_like(whole).scatter_(2, along, whole).reshape(layer.weight.shape)


def _one_by_one(wanted: Tensor, second: Tensor) -> Tensor:
    """[G, rows, K] whole numbers near `wanted`: each weight's rounding is made up for by the weights after it."""
    factor = torch.linalg.cholesky(torch.linalg.inv(second), upper=True).float()
    left, size = wanted.clone(), wanted.shape[2]
    whole, errors = torch.empty_like(left), torch.empty_like(left)
    for first in range(0, size, _BLOCK):
        end = min(first + _BLOCK, size)
        for k in range(first, end):
            whole[:, :, k] = torch.round(left[:, :, k]).clamp_(-WEIGHT_STEPS, WEIGHT_STEPS)
            errors[:, :, k] = (left[:, :, k] - whole[:, :, k]) / factor[:, k, k].unsqueeze(1)
            left[:, :, k + 1 : end] -= errors[:, :, k].unsqueeze(2) * factor[:, k, k + 1 : end].unsqueeze(1)
        left[:, :, end:] -= errors[:, :, first:end] @ factor[:, first:end, end:]
    return whole


def _descend(whole: Tensor, wanted: Tensor, second: Tensor) -> Tensor:
    """Change one weight at a time to its best whole number, the others held: no step makes the error larger."""
    h, size = second.float(), wanted.shape[2]
    for _ in range(_SWEEPS):
        slope = (whole - wanted) @ h
        for first in range(0, size, _BLOCK):
            end = min(first + _BLOCK, size)
            before = whole[:, :, first:end].clone()
            for k in range(first, end):
                old = whole[:, :, k].clone()
                best = torch.round(old - slope[:, :, k] / h[:, k, k].unsqueeze(1))
                whole[:, :, k] = best.clamp_(-WEIGHT_STEPS, WEIGHT_STEPS)
                change = (whole[:, :, k] - old).unsqueeze(2)
                slope[:, :, k + 1 : end] += change * h[:, k, k + 1 : end].unsqueeze(1)
            slope[:, :, end:] += (whole[:, :, first:end] - before) @ h[:, first:end, end:]
    return whole
