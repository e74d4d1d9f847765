"""From times to medians, a straight line and a growth exponent with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
"""[rounds, calls in a round] of one point, milliseconds. Rounds of all points of a curve were taken in turns."""


class Taken(NamedTuple):
    """What a point took."""

    wall: Times
    """From the call's begin to its end, as a clock on the wall tells it."""
    busy: Times
    """Of the processor, for this thread alone: what other programs take meanwhile is not in it."""


RESAMPLINGS = 400
_NORMAL_95 = 1.96


def summary(values: Times) -> dict[str, float]:
    """Median, 5th and 95th percentile, and how many values there are."""
    p5, median, p95 = np.percentile(values, (5, 50, 95))
    return {"median": float(median), "p5": float(p5), "p95": float(p95), "runs": int(values.size)}


def straight_line(work: Sequence[float], cost: Sequence[float]) -> dict[str, float]:
    """Cost = fixed + per_unit * work, the squares of the *relative* errors being least: every point counts alike."""
    weights = 1 / np.asarray(cost)
    columns = np.stack([np.ones(len(work)), np.asarray(work, float)], 1) * weights[:, None]
    fixed, per_unit = np.linalg.lstsq(columns, np.ones(len(work)), rcond=None)[0]
    return {"fixed": float(fixed), "per_unit": float(per_unit)}


def exponent(work: Sequence[float], times: Sequence[Times], base: Times | None = None) -> dict[str, float] | None:
    """The slope of log cost over log work through the upper half of the points, and half of its 95 % interval.

    Cost ~ work^exponent: 1 is growth in step with the work, 0 none. The uncertainty is that of the medians, by drawing
    rounds anew (Efron 1979), together with that of a line through points that lie beside it. `base`: times of the same
    call without any work, whose median is taken off. None: fewer than three points, or a point no dearer than no work.
    """
    upper = sorted(range(len(work)), key=lambda i: work[i])[len(work) // 2 :]
    if len(upper) < 3:
        upper = sorted(range(len(work)), key=lambda i: work[i])[-3:]
    x = np.log([work[i] for i in upper])
    chosen = [times[i] for i in upper]
    every = np.arange(min(len(t) for t in chosen))
    costs = _costs(chosen, base, every)
    if len(upper) < 3 or costs.min() <= 0:
        return None
    value, error = _slope(x, np.log(costs))
    random = np.random.default_rng(0)
    drawn = [_costs(chosen, base, random.choice(every, len(every))) for _ in range(RESAMPLINGS)]
    slopes = [_slope(x, np.log(c))[0] for c in drawn if c.min() > 0]
    spread = float(np.std(slopes)) if len(every) > 1 else 0.0
    return {"value": value, "uncertainty": _NORMAL_95 * math.hypot(spread, error), "from": float(work[upper[0]])}


def _costs(times: Sequence[Times], base: Times | None, rounds: NDArray[Any]) -> Times:
    none = float(np.median(base[rounds])) if base is not None else 0.0
    return np.array([np.median(t[rounds]) - none for t in times])


def _slope(x: Times, y: Times) -> tuple[float, float]:
    """Of the least-squares line, with its standard error."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    return slope, math.sqrt(float(rest @ rest) / max(1, len(x) - 2) / float(centred @ centred))


def grows_too_fast(found: dict[str, float] | None, most: float = 1.0) -> bool:
    """Whether an exponent lies above `most` by more than its uncertainty."""
    return found is not None and found["value"] - found["uncertainty"] > most
