"""python -m bench.growth.worker FUNCTION ARGUMENTS: what is measured in a process of its own; prints JSON.

Nothing is imported that a program of a user's would not import: it would count as memory.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

QUESTION = "món này là món gì"


def answer_pictures(folder: str, *counts: str) -> list[list[float]]:
    """Opens the model and answers pictures one after the other: [milliseconds, of them
    the processor's, peak MB] at each count.
    """
    from edge_vqa import VQA

    paths = sorted(Path(folder).glob("*.jpg"))
    wanted = [int(count) for count in counts]
    found = []
    began, busy = time.perf_counter(), time.process_time()
    vqa = VQA(threads=1)
    for number in range(wanted[-1]):
        vqa.ask(paths[number % len(paths)], QUESTION)
        if number + 1 in wanted:
            wall, processor = time.perf_counter() - began, time.process_time() - busy
            found.append([wall * 1e3, processor * 1e3, peak_megabytes()])
    return found


def take_picture(kind: str, file: str) -> float:
    """Peak MB of making the model's pixels of one picture twice: a JPEG file, or an array saved by NumPy."""
    from edge_vqa.image import picture_pixels

    source: Any = file
    if kind == "array":
        import numpy as np

        source = np.load(file)
    for _ in range(2):
        picture_pixels(source, 224)
        gc.collect()
    return peak_megabytes()


def peak_megabytes() -> float:
    """The most that this process held in memory since its program began, in units of 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would also count what the process was before it became this program
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main(function: str, *arguments: str) -> None:
    """Print what the function returns."""
    functions: dict[str, Callable[..., Any]] = {"answer_pictures": answer_pictures, "take_picture": take_picture}
    print(json.dumps(functions[function](*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
