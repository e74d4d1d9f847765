"""python -m bench.layers [--model FILE] [--runs N] [--json FILE] [--fill DOCUMENT]

Where the time of a look goes: for each step of the native engine, on one thread, the median time, its
multiply-accumulates, and its rate as a share of the most that the engine's own convolutions reach on this core. The
rate of the core changes with what else the machine does, so the peak is measured anew beside every few runs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

from edge_vqa.engines import native
from edge_vqa.errors import EdgeVQAError
from edge_vqa.evqa_file import read_evqa
from edge_vqa.model_file import load_model

from .peers.report import fill_block

MOST_STEPS = 258
WHY = {
    "few inputs": "few products an output: turning sums into bytes takes as many instructions as the products",
    "depthwise": "the depthwise part does 9 products an output, of which one in four dot-product lanes is idle",
    "no products": "moves bytes, multiplies nothing",
}


class Step(ctypes.Structure):
    """evqa_step of the C header."""

    _fields_ = (
        ("name", c_char_p),
        ("first_layer", c_int32),
        ("layers", c_int32),
        ("macs", c_int64),
        ("nanoseconds", c_int64),
    )


def measure(model: str | None, runs: int) -> dict[str, Any]:
    """The report as a dictionary: level, peak in multiply-accumulates a second, and a list of steps."""
    library = native.load_library()
    loaded = ctypes.CDLL(library.path)
    profile, rate = loaded.evqa_profile_look, loaded.evqa_rate
    profile.restype, rate.restype, rate.argtypes = c_int, c_double, (c_void_p,)
    profile.argtypes = (c_void_p, c_char_p, c_void_p, POINTER(Step), c_int32, POINTER(c_int32))
    file = load_model(model)
    engine = native.NativeEngine(library, file, 1)
    pixels = os.urandom(file.side**2 * 3)
    scene = engine.encode(pixels)
    steps, count = (Step * MOST_STEPS)(), c_int32()
    times: list[list[int]] = []
    peaks: list[float] = []
    for run in range(runs):
        if run % 20 == 0:
            peaks.append(rate(engine.handle))
        library.check(profile(engine.handle, pixels, scene.pointer, steps, MOST_STEPS, byref(count)), file.path)
        times.append([steps[i].nanoseconds for i in range(count.value)])
    peak = statistics.median(peaks)
    convs = read_evqa(file.path).convs
    rows = []
    for i in range(count.value):
        step, ns = steps[i], statistics.median(t[i] for t in times)
        layers = convs[step.first_layer : step.first_layer + step.layers] if step.macs else ()
        last = step.first_layer + step.layers - 1
        row = {
            "step": step.name.decode(), "layers": f"{step.first_layer}-{last}" if layers else "",
            "shape": shape_of(layers), "microseconds": ns / 1e3, "mmac": step.macs / 1e6,
            "share_of_peak": step.macs / ns * 1e9 / peak,
        }  # fmt: skip
        if row["share_of_peak"] < 0.6:
            row["why"] = _why(layers)
        rows.append(row)
    return {"model": file.name, "isa": engine.isa, "peak_gmac_per_second": peak / 1e9, "runs": runs, "steps": rows}


def shape_of(layers: Any) -> str:
    """`7x7x160 -> 960 -> 960 -> 320`: of a step's convolutions, what goes in and the channels behind each."""
    if not layers:
        return ""
    through = " -> ".join(str(c.outputs) for c in layers)
    return f"{layers[0].in_side}x{layers[0].in_side}x{layers[0].inputs} -> {through}"


def _why(layers: Any) -> str:
    if not layers:
        return WHY["no products"]
    if min(c.inputs * c.kernel**2 for c in layers if not c.depthwise) <= 36:
        return WHY["few inputs"]
    return WHY["depthwise"]


def as_text(report: dict[str, Any]) -> str:
    """A table for people."""
    lines = [
        f"{report['model']}, one thread, kernels for {report['isa']}, "
        f"peak {report['peak_gmac_per_second']:.0f} G multiply-accumulates a second",
        f"{'layers':>7}  {'shape':<36} {'us':>8} {'MMAC':>7} {'of peak':>8}",
    ]
    for row in report["steps"]:
        shape = row["shape"] or row["step"]
        lines.append(
            f"{row['layers']:>7}  {shape:<36} {row['microseconds']:8.1f} {row['mmac']:7.2f} {row['share_of_peak']:8.0%}"
            + (f"  {row['why']}" if "why" in row else "")
        )
    total = sum(r["microseconds"] for r in report["steps"])
    macs = sum(r["mmac"] for r in report["steps"])
    share = macs / total * 1e12 / (report["peak_gmac_per_second"] * 1e9)
    return "\n".join([*lines, f"{'':>7}  {'all':<36} {total:8.1f} {macs:7.2f} {share:8.0%}"])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.layers", description="Time and share of peak by layer.")
    parser.add_argument("--model", help="an .evqa file or the name of a bundled model")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the report here")
    parser.add_argument("--fill", type=Path, metavar="FILE", help="put the table into this document's marked block")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    try:
        report = measure(options.model, options.runs)
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if options.fill:
            fill_block(options.fill, "layers", f"```\n{as_text(report)}\n```")
    except (EdgeVQAError, OSError, ImportError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_text(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
