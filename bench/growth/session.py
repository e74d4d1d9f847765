"""One whole measurement, ready for JSON."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.suite.engines import processor
from edge_vqa import VQA

from . import curves
from .curves import Curve, Plan
from .fit import exponent, grows_too_fast, straight_line, summary
from .timing import pin, usable_processors

LINE = (
    "pictures", "questions", "words", "size", "arrays", "width", "side", "threads",
    "memory_pictures", "memory_size", "memory_arrays",
)  # fmt: skip
"""The order of the last line."""
NAMES = (*curves.ON_ONE_PROCESSOR, "threads")


def measure(plan: Plan, folder: Path, only: Sequence[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Everything but the threads runs on the last processor, which the system's own work prefers least."""
    processors = usable_processors()
    load = [_load()]
    found: list[Curve] = []
    try:
        pin(processors[-1:])
        for name, take in curves.ON_ONE_PROCESSOR.items():
            if name in only:
                say(name)
                found += take(plan, folder)
    finally:
        pin(processors)
    if "threads" in only:
        say("threads")
        found += curves.threads(plan, processors)
    vqa = VQA(threads=1)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(), "processor": processor(),
        "processors": len(processors) or os.cpu_count(), "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(), "engine": vqa.engine.name, "isa": getattr(vqa.engine, "isa", ""),
        "load": [*load, _load()], "curves": {c.name: of_curve(c) for c in found},
    }  # fmt: skip


def of_curve(curve: Curve) -> dict[str, Any]:
    """A curve's points, line, exponent, and whether it grows faster than its work.

    Points and line are of the time on the wall, the exponent of the processor's: a busy machine makes long calls wait
    more often than short ones, which is no growth of their cost.
    """
    points = []
    for i, (work, taken) in enumerate(zip(curve.work, curve.taken)):
        point: dict[str, Any] = {"work": work, **summary(taken.wall), "busy": summary(taken.busy)["median"]}
        point["per_unit"] = point["median"] / work
        if curve.labels:
            point["label"] = curve.labels[i]
        points.append(point | {name: values[i] for name, values in curve.also.items()})
    medians = [point["median"] for point in points]
    result: dict[str, Any] = {"title": curve.title, "unit": curve.unit, "cost": curve.cost, "points": points}
    if curve.name == "threads":
        return result | _threads(curve, points)
    if curve.base is not None:
        result["base"] = summary(curve.base.wall)
    busy = [taken.busy for taken in curve.taken]
    result["line"] = straight_line(curve.work, medians)
    result["exponent"] = exponent(curve.work, busy, curve.base.busy if curve.base else None)
    result["too_fast"] = grows_too_fast(result["exponent"])
    if curve.name == "size":
        coded = curve.also["megabytes of JPEG"]
        result["exponent_of_bytes"] = exponent(coded, busy)
        result["line_of_bytes"] = straight_line(coded, medians)
    return result


def _threads(curve: Curve, points: list[dict[str, Any]]) -> dict[str, Any]:
    """Speed-up and efficiency; threads grow faster than their work where more of them take longer than one."""
    times = [taken.wall for taken in curve.taken]
    first = np.median(times[0])
    for point in points:
        point["speed_up"] = float(first / point["median"])
        point["efficiency"] = point["speed_up"] / point["work"]
    each = np.median(times[-1], 1) / np.median(times[0], 1)
    spread = 1.96 * 1.2533 * float(np.std(each)) / len(each) ** 0.5  # of a median of normal values
    return {"too_fast": len(points) > 1 and float(np.median(each)) - spread > 1}


def last_line(result: Mapping[str, Any]) -> str:
    """`pictures=E ... threads=F ... verdict`: exponents, for threads the efficiency of the most; n/a: not measured."""
    cells = []
    for name in LINE:
        curve = result["curves"].get(name)
        if curve is None:
            cells.append(f"{name}=n/a")
        elif name == "threads":
            cells.append(f"{name}={curve['points'][-1]['efficiency']:.2f}")
        else:
            cells.append(f"{name}={curve['exponent']['value']:.2f}" if curve["exponent"] else f"{name}=n/a")
    return f"{' '.join(cells)} too_fast={','.join(too_fast(result)) or 'none'}"


def too_fast(result: Mapping[str, Any]) -> list[str]:
    """Names of the curves that grow faster than their work."""
    return [name for name, curve in result["curves"].items() if curve["too_fast"]]


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
