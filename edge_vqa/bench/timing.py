"""Times of many calls, and what is said of them: median, 5th and 95th percentile, how many."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

WARM_UP = 5
"""Uncounted calls before the counted ones, where they are quick."""


class Budget(NamedTuple):
    """How often something is timed: until `seconds` are spent or `most` calls are made, but `least` calls anyhow."""

    seconds: float
    most: int
    least: int = 3


def fixed(runs: int) -> Budget:
    """So many calls, whatever they take."""
    return Budget(0.0, runs, runs)


def timed(call: Callable[[], object], budget: Budget) -> list[float]:
    """Milliseconds of each counted call. Python's garbage collection rests meanwhile.

    A call that is slow beside the budget is warmed up once, any other up to WARM_UP times.
    """
    clock = time.perf_counter_ns
    limit = int(budget.seconds * 1e9)
    times: list[float] = []
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        began = clock()
        for _ in range(WARM_UP):
            call()
            if clock() - began > limit // 10:
                break
        began = clock()
        while len(times) < budget.least or (len(times) < budget.most and clock() - began < limit):
            before = clock()
            call()
            times.append((clock() - before) / 1e6)
    finally:
        if collecting:
            gc.enable()
    return times


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, between two of them in proportion (one or more).

    With n sorted values v, position p = share * (n - 1): v[floor p] and the next, weighted by p's fraction.
    """
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(values: Iterable[float]) -> float:
    return quantile(values, 0.5)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Of one value or more: median, p5, p95, least, most, runs."""
    return {
        "median": median(values), "p5": quantile(values, 0.05), "p95": quantile(values, 0.95),
        "least": min(values), "most": max(values), "runs": len(values),
    }  # fmt: skip
