"""Taking turns, medians and ratios."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .contender import PeerError

BLOCKS = 10
"""Of how many stretches of the measurement a ratio's spread is taken."""

LAST_LINE = (
    "encoder", "answer", "further_question", "cold_start", "memory", "jpeg_12mp", "threads2", "installed_size",
)  # fmt: skip
"""Columns whose ratios end the program's output. Every column is better when smaller."""

SCALED = "_scaled"
"""What a photograph's column behind a scaled decode ends with; ours has no other path and is its plain column."""


def take_turns(
    turns: Mapping[str, Callable[[], Sequence[float]]], rounds: int, settle: float = 0.0
) -> tuple[dict[str, list[list[float]]], dict[str, str]]:
    """The milliseconds of `rounds` turns of each, and why those that are missing failed.

    Who goes first moves on from round to round, so whatever slows the machine for a while slows them all. `settle`:
    seconds to wait before each turn, for runtimes whose further threads spin on after the work is done.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in turns}
    failed: dict[str, str] = {}
    for round_ in range(rounds):
        names = list(found)
        first = round_ % len(names) if names else 0
        for name in names[first:] + names[:first]:
            if settle:
                time.sleep(settle)
            try:
                found[name].append(list(turns[name]()))
            except PeerError as error:
                failed[name] = str(error)
                del found[name]
    return found, failed


def summary(turns: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Of all values: median, 95th percentile, smallest, how many; and the median of each of BLOCKS stretches of turns.

    With fewer turns than BLOCKS each turn is a stretch.
    """
    values = list(itertools.chain.from_iterable(turns))
    count = min(BLOCKS, len(turns))
    edges = [len(turns) * i // count for i in range(count + 1)]
    blocks = [list(itertools.chain.from_iterable(turns[a:b])) for a, b in itertools.pairwise(edges)]
    return {
        "median": statistics.median(values),
        "p95": statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0],
        "least": min(values),
        "runs": len(values),
        "blocks": [statistics.median(block) for block in blocks],
    }


def ratios(own: Mapping[str, Any], peers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each column of a peer: the best peer's median over ours, who that is, and how far the ratio spread.

    `low` and `high` are the smallest and the largest ratio of that peer's and our median in the same stretch.
    """
    columns = dict.fromkeys(column for peer in peers.values() for column in peer)
    found = {}
    for column in columns:
        ours = own.get(column.removesuffix(SCALED))
        measured = {name: peer[column] for name, peer in peers.items() if column in peer}
        if ours is not None:
            best = min(measured, key=lambda name: measured[name]["median"])
            each = [theirs / ours for theirs, ours in zip(measured[best]["blocks"], ours["blocks"])]
            found[column] = {
                "ratio": measured[best]["median"] / ours["median"], "low": min(each), "high": max(each),
                "best_peer": best,
            }  # fmt: skip
    return found


def last_line(found: Mapping[str, Mapping[str, Any]]) -> str:
    """`encoder=R answer=R ...` with two decimals; n/a where no peer was measured."""
    return " ".join(f"{c}={found[c]['ratio']:.2f}" if c in found else f"{c}=n/a" for c in LAST_LINE)
