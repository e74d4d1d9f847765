"""Times in turns, and the most memory that a route takes, in a process of its own."""

from __future__ import annotations

import gc
import io
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PIL import Image, features

from .routes import open_routes

ROOT = Path(__file__).parents[2]
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def take_turns(calls: Mapping[str, Callable[[], object]], rounds: int, burst: int) -> dict[str, list[float]]:
    """Milliseconds of rounds * burst calls each.

    In every round each has a turn of `burst` calls after an uncounted one, and who goes first moves on: whatever slows
    the machine for a while slows them all.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for round_ in range(rounds):
            first = round_ % len(names)
            for name in names[first:] + names[:first]:
                call = calls[name]
                call()
                for _ in range(burst):
                    began = time.perf_counter_ns()
                    call()
                    found[name].append((time.perf_counter_ns() - began) / 1e6)
    finally:
        if collecting:
            gc.enable()
    return found


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, 5th and 95th percentile, smallest and how many (2 or more)."""
    twentieths = statistics.quantiles(values, n=20, method="inclusive")
    return {
        "median": statistics.median(values), "p5": twentieths[0], "p95": twentieths[-1],
        "least": min(values), "runs": len(values),
    }  # fmt: skip


def memory_of(route: str, photo: Path, side: int) -> float | None:
    """Most megabytes (10^6 bytes) that a fresh process holds while it takes `route`, beyond what it held before.

    By then everything was imported and one small photo decoded, and the photo's own bytes were read. None: the system
    does not tell (it needs Linux's /proc). Raises subprocess.CalledProcessError when the route fails.
    """
    if not _CLEAR.exists():
        return None
    program = "import sys; from bench.photos.measure import print_memory as p; p(sys.argv[1], sys.argv[2], sys.argv[3])"
    command = [sys.executable, "-c", program, route, str(photo), str(side)]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def print_memory(route: str, photo: str, side: str) -> None:
    """What `memory_of` starts."""
    data, small = Path(photo).read_bytes(), io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, "JPEG")
    pixels = open_routes()[0][route]
    pixels(small.getvalue(), int(side))
    _CLEAR.write_text("5")  # the peak starts anew from what is held now
    before = _status("VmHWM")
    pixels(data, int(side))
    print(max(0, _status("VmHWM") - before) / 1e6)  # the system counts pages in lots: below 0 is 0


def _status(key: str) -> int:
    """Bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key + ":"))
    return int(line.split()[1]) * 1024


def versions() -> dict[str, str]:
    """Of everything that decodes or resizes."""
    found = {"Python": platform.python_version()}
    for name in ("edge_vqa", "Pillow", "numpy", "opencv-python-headless", "opencv-python", "simplejpeg"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if turbo := features.version_feature("libjpeg_turbo"):
        found["Pillow's libjpeg-turbo"] = turbo
    return found
