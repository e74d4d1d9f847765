"""python -m bench.latency [--image FILE] [--runs N] [--threads 1 2] [--json]

How long an answer takes on this device: each stage by itself, median and 95th percentile over many runs, and the time
from the start of a process to its first answer.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge_vqa import VQA, EdgeVQAError
from edge_vqa.image import picture_pixels

EXAMPLE = Path(__file__).parents[1] / "examples" / "to_bun.jpg"
QUESTION = "món này là món gì"


def measure(what: Callable[[], object], runs: int, warm_up: int = 5) -> dict[str, float]:
    """Milliseconds: median and 95th percentile of `runs` calls after `warm_up` uncounted ones."""
    for _ in range(warm_up):
        what()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        what()
        times.append((time.perf_counter() - began) * 1e3)
    return {"median_ms": statistics.median(times), "p95_ms": statistics.quantiles(times, n=20, method="inclusive")[-1]}


def measure_stages(vqa: VQA, picture: bytes, question: str, runs: int) -> dict[str, dict[str, float]]:
    """Decode (file to pixels), look (pixels to features), answer (question to answer), whole (file to answer)."""
    side = vqa.model.side
    pixels = picture_pixels(picture, side)
    scene = vqa.look(picture)
    return {
        "decode": measure(lambda: picture_pixels(picture, side), runs),
        "look": measure(lambda: vqa.engine.encode(pixels), runs),
        "answer": measure(lambda: scene.ask(question), runs),
        "whole": measure(lambda: vqa.ask(picture, question), runs),
    }


def measure_start(image: Path, question: str, runs: int, options: list[str]) -> dict[str, float]:
    """From the start of a process to the printed answer; `options` are further ones of edge_vqa.run."""
    command = [sys.executable, "-m", "edge_vqa.run", "--image", str(image), "--q", question, *options]
    return measure(lambda: subprocess.run(command, check=True, capture_output=True), runs, warm_up=1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description="How long an answer takes here.")
    parser.add_argument("--image", type=Path, default=EXAMPLE)
    parser.add_argument("--q", default=QUESTION, metavar="QUESTION")
    parser.add_argument("--model")
    parser.add_argument("--engine")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.runs < 2:
        parser.error("--runs must be 2 or more")
    try:
        picture = options.image.read_bytes()
        result = {}
        for threads in options.threads:
            vqa = VQA(options.model, options.engine, threads)
            result[f"{vqa.engine.name}, {threads} threads"] = measure_stages(vqa, picture, options.q, options.runs)
        further = [f"--{name}={value}" for name in ("model", "engine") if (value := getattr(options, name))]
        starts = measure_start(options.image, options.q, max(3, options.runs // 20), further)
        result["process"] = {"start to answer": starts}
    except (EdgeVQAError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), **result}, indent=1))
        return 0
    for group, stages in result.items():
        print(group)
        for stage, times in stages.items():
            print(f"  {stage:16} median {times['median_ms']:8.2f} ms   95 % {times['p95_ms']:8.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
