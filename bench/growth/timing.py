"""Calls timed in turns, the processors they run on, and processes of their own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa import EdgeVQAError

from .fit import Taken

ROOT = Path(__file__).parents[2]
SETTLE = 0.002
"""Seconds before a turn with several threads: those of the one before may still be going to sleep."""


def take_turns(calls: Sequence[Callable[[], object]], rounds: int, burst: int = 1, settle: float = 0.0) -> list[Taken]:
    """Milliseconds [rounds, burst] of each call.

    In each round every call has a turn, after an uncounted one that brings its data back into the caches; who begins
    moves on. So what slows the machine for a while slows every point of a curve, not one.
    """
    found = [Taken(np.zeros((rounds, burst)), np.zeros((rounds, burst))) for _ in calls]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for round_ in range(rounds):
            for turn in range(len(calls)):
                which = (turn + round_) % len(calls)
                call = calls[which]
                if settle:
                    time.sleep(settle)
                call()
                for i in range(burst):
                    busy = time.thread_time_ns()  # asks the system, which takes a microsecond: outside of the wall's
                    began = time.perf_counter_ns()
                    call()
                    found[which].wall[round_, i] = (time.perf_counter_ns() - began) / 1e6
                    found[which].busy[round_, i] = (time.thread_time_ns() - busy) / 1e6
    finally:
        if collecting:
            gc.enable()
    return found


def usable_processors() -> list[int]:
    """Of this process; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin(processors: Sequence[int]) -> None:
    """Run this thread, and what it starts from now on, on these; no change where there are none."""
    if processors:
        os.sched_setaffinity(0, processors)


def in_process(function: str, *arguments: str | int | Path) -> Any:
    """What the function of worker.py prints, as JSON, in a process of its own. Raises EdgeVQAError when it fails."""
    command = [sys.executable, "-m", "bench.growth.worker", function, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise EdgeVQAError(f"a process that was measured failed: {said[-1]}")
    return json.loads(done.stdout)
