"""Steps and zero points: what the integers of a tensor stand for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .settings import Settings

WEIGHT_STEPS = 127
_BINS = 4096
_SHRUNK = torch.linspace(1.0, 0.3, 57)
"""Shares of the widest range that are tried for the least squared error."""


@dataclass(frozen=True)
class Grid:
    """The integer q (0 to 255) stands for (q - zero) * step."""

    step: float
    zero: int

    def round(self, x: Tensor) -> Tensor:
        """Real values -> uint8."""
        return (torch.round(x / self.step) + self.zero).clamp_(0, 255).to(torch.uint8)

    def real(self, q: Tensor) -> Tensor:
        return (q.float() - self.zero) * self.step


def grid(low: float, high: float) -> Grid:
    """256 steps over [low, high], widened to hold 0, which is a whole number of steps from both ends."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = max((high - low) / 255, 1e-12)
    return Grid(float(torch.tensor(step)), round(-low / step))


def activation_grid(values: Tensor, settings: Settings) -> Grid:
    """The grid of a tensor of which `values` (any shape) are a sample."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if settings.activation_range == "max" or low == high:
        return grid(low, high)
    counts = torch.histc(values, _BINS, low, high).double()
    centres = low + (torch.arange(_BINS, dtype=torch.float64) + 0.5) * ((high - low) / _BINS)
    if settings.activation_range == "percentile":
        return grid(*_percentile(counts, low, high, settings.percentile))
    return _least_error(counts, centres, low, high)


def _percentile(counts: Tensor, low: float, high: float, percentile: float) -> tuple[float, float]:
    """The ends that leave (100 - percentile) / 2 percent of the values outside on either side."""
    share = counts.cumsum(0) / counts.sum()
    outside = (100 - percentile) / 200
    width = (high - low) / _BINS
    first = int((share <= outside).sum())
    last = int((share < 1 - outside).sum()) + 1
    return low + first * width, low + min(last, _BINS) * width


def _least_error(counts: Tensor, centres: Tensor, low: float, high: float) -> Grid:
    def error(candidate: Grid) -> float:
        q = (torch.round(centres / candidate.step) + candidate.zero).clamp_(0, 255)
        return float((counts * ((q - candidate.zero) * candidate.step - centres) ** 2).sum())

    lows = (_SHRUNK * low).tolist() if low < 0 else [0.0]
    highs = (_SHRUNK * high).tolist() if high > 0 else [0.0]
    # One end after the other: the best lower end hardly depends on the upper one.
    best = min((grid(lows[0], h) for h in highs), key=error)
    top = best.step * (255 - best.zero)
    return min((grid(low_end, top) for low_end in lows), key=error)


def weight_steps(weight: Tensor, settings: Settings) -> Tensor:
    """[outputs]: the step of each output channel's weights; `weight` is [outputs, ...]."""
    flat = weight.flatten(1) if settings.per_channel else weight.reshape(1, -1)
    steps = (flat.abs().amax(1) / WEIGHT_STEPS).clamp_min(1e-12)
    if settings.weight_range == "mse":
        tried = steps * _SHRUNK.view(-1, 1)
        errors = [((round_weight(flat, s.view(-1, 1)) * s.view(-1, 1) - flat) ** 2).sum(1) for s in tried]
        steps = tried.gather(0, torch.stack(errors).argmin(0, keepdim=True))[0]
    return steps.expand(len(weight)).contiguous()


def round_weight(weight: Tensor, steps: Tensor) -> Tensor:
    """The nearest whole numbers of steps, -127 to 127; `steps` broadcasts."""
    return torch.round(weight / steps).clamp_(-WEIGHT_STEPS, WEIGHT_STEPS)
