"""Which processors the measurement runs on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence


def usable() -> list[int]:
    """Numbers of the processors that this process may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def processors(threads: int, first: int | None) -> list[int]:
    """`threads` of them from `first` on, by default the last ones: the system's own work prefers the first.

    None where processors cannot be chosen. Raises ValueError when there are not so many.
    """
    there = usable()
    if not there:
        return []
    chosen = there[-threads:] if first is None else [cpu for cpu in there if cpu >= first][:threads]
    if len(chosen) < threads or (first is not None and chosen[0] != first):
        raise ValueError(f"there are no {threads} processors from {there[0] if first is None else first} on to use")
    return chosen


@contextlib.contextmanager
def pinned(cpus: Sequence[int]) -> Iterator[None]:
    """Meanwhile this process, and those it starts, run on `cpus` (none: anywhere)."""
    before = usable()
    if cpus:
        os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        if cpus:
            os.sched_setaffinity(0, before)
