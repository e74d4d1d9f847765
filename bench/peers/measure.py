"""Taking turns, medians and ratios."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

COLUMNS = ("encoder", "answer", "further_question", "cold_start", "memory")
"""Every column is better when smaller."""


def take_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, burst: int, settle: float = 0.0
) -> dict[str, list[float]]:
    """Milliseconds of rounds * burst calls each.

    In every round each has a turn of `burst` calls, after an uncounted one that brings its own data back into the
    caches; who goes first moves on from round to round. So whatever slows the machine for a while slows them all.
    `settle`: seconds to wait before each turn, for runtimes whose further threads spin on after the work is done.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    clock = time.perf_counter_ns
    collecting = gc.isenabled()
    gc.disable()
    try:
        for round_ in range(rounds):
            for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
                call, times = calls[name], found[name]
                if settle:
                    time.sleep(settle)
                call()
                for _ in range(burst):
                    began = clock()
                    call()
                    times.append((clock() - began) / 1e6)
    finally:
        if collecting:
            gc.enable()
    return found


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, 95th percentile, smallest and how many (2 or more)."""
    return {
        "median": statistics.median(values),
        "p95": statistics.quantiles(values, n=20, method="inclusive")[-1],
        "least": min(values),
        "runs": len(values),
    }


def ratios(own: Mapping[str, Any], peers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each column the best peer's median over ours, and who that is; columns without a peer are left out."""
    found = {}
    for column in COLUMNS:
        medians = {name: peer[column]["median"] for name, peer in peers.items() if column in peer}
        if medians:
            best = min(medians, key=lambda name: medians[name])
            found[column] = {"ratio": medians[best] / own[column]["median"], "best_peer": best}
    return found


def last_line(found: Mapping[str, Mapping[str, Any]]) -> str:
    """`encoder=R answer=R ...` with two decimals; n/a where no peer was measured."""
    return " ".join(f"{c}={found[c]['ratio']:.2f}" if c in found else f"{c}=n/a" for c in COLUMNS)
