"""Answering without a pause for minutes: does the board slow down, when, and by how much?"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .timing import median, quantile, summary

FEWEST = 6
"""Intervals without which there is no verdict."""
_EDGE = 3
"""Intervals that stand for the beginning, and at least for the end."""
_END = 0.2
"""Share of the intervals that stands for the end."""
_LEAST_SPREAD = 0.02
"""A change below this is never called one: clocks and schedulers alone cause as much."""


def sustain(
    call: Callable[[], object],
    seconds: float,
    sense: Callable[[], Mapping[str, Any]],
    tell: Callable[[Mapping[str, Any]], None] = lambda interval: None,
) -> dict[str, Any]:
    """Calls until the time is up, and sums up every few seconds with what the sensors say then.

    Returns planned_s, every_s, intervals (from_s, to_s, median, p5, p95, runs, celsius, mhz, throttled), ended_early
    (Ctrl-C was pressed) and verdict. Reading the sensors is not part of any call's time.
    """
    every = max(0.05, min(max(5.0, seconds / 200), seconds / 12))
    intervals: list[dict[str, Any]] = []
    ended_early = False
    collecting = gc.isenabled()
    gc.disable()
    began = time.perf_counter()
    try:
        while (so_far := time.perf_counter() - began) < seconds:
            left = seconds - so_far
            times = _one_interval(call, every if left > 1.5 * every else left)  # no crumbs at the end
            found = {**summary(times), "from_s": so_far, "to_s": time.perf_counter() - began, **sense()}
            intervals.append(found)
            tell(found)
            gc.collect()
    except KeyboardInterrupt:
        ended_early = True
    finally:
        if collecting:
            gc.enable()
    return {
        "planned_s": seconds, "every_s": every, "ended_early": ended_early, "intervals": intervals,
        "verdict": verdict(intervals),
    }  # fmt: skip


def _one_interval(call: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each call."""
    times: list[float] = []
    clock = time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    while not times or clock() < end:
        before = clock()
        call()
        times.append((clock() - before) / 1e6)
    return times


def verdict(intervals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compares the last fifth (three intervals at least) with the first three intervals.

    change: the median of the end's medians over that of the beginning's, less 1. spread: the width from p5 to p95 of
    the medians within the beginning or within the end over their median, or twice the usual (median) step from one
    interval to the next over the beginning, whichever is largest; 0.02 at least. verdict: slowed or quicker when the
    change is beyond the spread, else steady; short with fewer than FEWEST intervals. from_s, when slowed: where the
    first interval after the beginning starts from which on three quarters of all, itself among them, are slower than
    halfway from beginning to end. worst: the largest change of three neighbours' median; worst_s: where the middle one
    of them starts. sensed: see _sensed.
    """
    if len(intervals) < FEWEST:
        return {"verdict": "short", "intervals": len(intervals), "sensed": _sensed(intervals)}
    medians = [float(interval["median"]) for interval in intervals]
    first, last = medians[:_EDGE], medians[-max(_EDGE, int(len(medians) * _END)) :]
    base = median(first)
    change = median(last) / base - 1
    widths = [(quantile(part, 0.95) - quantile(part, 0.05)) / median(part) for part in (first, last)]
    usual_step = median(abs(b - a) for a, b in zip(medians, medians[1:]))
    spread = max(_LEAST_SPREAD, 2 * usual_step / base, *widths)
    smooth = [median(medians[i : i + _EDGE]) for i in range(len(medians) - _EDGE + 1)]
    worst = max(range(len(smooth)), key=smooth.__getitem__)
    found: dict[str, Any] = {
        "verdict": "slowed" if change > spread else "quicker" if change < -spread else "steady",
        "change": change, "spread": spread, "first_ms": base, "last_ms": median(last), "from_s": None,
        "worst": smooth[worst] / base - 1, "worst_s": intervals[worst + 1]["from_s"], "intervals": len(intervals),
        "sensed": _sensed(intervals),
    }  # fmt: skip
    if change > spread:
        found["from_s"] = intervals[_onset(medians, base * (1 + change / 2))]["from_s"]
    return found


def _onset(medians: Sequence[float], halfway: float) -> int:
    for i in range(_EDGE, len(medians)):
        rest = medians[i:]
        if medians[i] > halfway and sum(v > halfway for v in rest) >= 0.75 * len(rest):
            return i
    return len(medians) - 1


def _sensed(intervals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """First and highest °C, first and lowest MHz (None: not told), and the flags that were up at any time."""
    heat = [interval["celsius"] for interval in intervals if interval["celsius"] is not None]
    clocks = [interval["mhz"] for interval in intervals if interval["mhz"] is not None]
    return {
        "celsius": [heat[0], max(heat)] if heat else None,
        "mhz": [clocks[0], min(clocks)] if clocks else None,
        "held_back": sorted({name for interval in intervals for name in interval["throttled"] or ()}),
    }


def sentence(found: Mapping[str, Any], ended_early: bool, planned_s: float) -> str:
    """The verdict in words."""
    rest = _told(found["sensed"]) + (f" (ended early, of {_span(planned_s)} planned)" if ended_early else "")
    if found["verdict"] == "short":
        return f"too short for a verdict: {found['intervals']} intervals, {FEWEST} are needed{rest}"
    end = f"{found['first_ms']:.3g} ms at first, {found['last_ms']:.3g} ms in the end"
    size, noise = f"{abs(found['change']):.0%}", f"{found['spread']:.0%}"
    if found["verdict"] == "slowed":
        return f"slowed by {size}, from {_span(found['from_s'])} on: {end}; the spread is {noise}{rest}"
    if found["verdict"] == "quicker":
        return f"became quicker by {size}: {end}; the spread is {noise}{rest}"
    between = ""
    if found["worst"] > found["spread"]:
        between = f"; slower in between, by {found['worst']:.0%} at {_span(found['worst_s'])}"
    return f"did not slow down: {end}, within the spread of {noise}{between}{rest}"


def _told(sensed: Mapping[str, Any]) -> str:
    said = ""
    if sensed["celsius"]:
        said += "; {:.0f} °C at first, {:.0f} °C at most".format(*sensed["celsius"])
    if sensed["mhz"] and sensed["mhz"][1] < sensed["mhz"][0]:
        said += "; the clock fell from {:.0f} to {:.0f} MHz".format(*sensed["mhz"])
    return said + (f"; the board said: {', '.join(sensed['held_back'])}" if sensed["held_back"] else "")


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
