"""python -m bench.peers [--quick] [--threads N] [--own-only] [--json FILE] [--markdown]

Our engine and others (onnxruntime, OpenVINO, LiteRT; those that are installed) on the same network, on the same
core, in turns. docs/benchmarks.md says what is measured. The last line is

    encoder=R answer=R further_question=R cold_start=R memory=R

each R the best peer's median over ours: above 1 we are better.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_vqa import EdgeVQAError

from .measure import last_line
from .report import as_markdown, as_text, fill
from .session import Plan, run


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured, and 2 (by argparse) on wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Our engine and others, side by side.")
    parser.add_argument("--quick", action="store_true", help="fewer runs: under two minutes")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--own-only", action="store_true", help="measure no peers")
    parser.add_argument("--model", help="ours: a model file or the name of a bundled model")
    parser.add_argument("--engine", help="ours: default the first that is installed")
    parser.add_argument(
        "--peers-model",
        type=Path,
        metavar="FILE",
        help="the .evqa file that the peers' files are made of (default: ours)",
    )
    parser.add_argument("--tflite-encoder", type=Path, metavar="FILE", help="instead of the one made of --peers-model")
    parser.add_argument("--tflite-head", type=Path, metavar="FILE", help="for questions of as many words as --q has")
    parser.add_argument("--q", metavar="QUESTION", help="the question that is timed")
    parser.add_argument("--cpu", type=int, metavar="N", help="the processor to run on (default: the last ones)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument(
        "--from", type=Path, dest="source", metavar="FILE", help="show an earlier --json, measure nothing"
    )
    parser.add_argument("--fill", type=Path, metavar="FILE", help="put the table into this document's marked block")
    options = parser.parse_args(arguments)
    if options.threads < 1:
        parser.error("--threads must be 1 or more")
    try:
        result = json.loads(options.source.read_text(encoding="utf-8")) if options.source else measure(options)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if options.fill:
            fill(options.fill, result)
    except (EdgeVQAError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_markdown(result) if options.markdown else as_text(result))
    print(last_line(result["ratios"]))
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Pin this process and what it starts, then measure. Raises EdgeVQAError, OSError."""
    pin(options.threads, options.cpu)
    plan = Plan(
        threads=options.threads, own_only=options.own_only, model=options.model, engine=options.engine,
        peers_model=options.peers_model, tflite_encoder=options.tflite_encoder, tflite_head=options.tflite_head,
    )  # fmt: skip
    if options.q:
        plan.question = " ".join(options.q.split())
    if options.quick:
        plan.be_quick()
    with tempfile.TemporaryDirectory() as folder:
        return run(plan, Path(folder))


def pin(threads: int, first: int | None) -> None:
    """To `threads` processors from `first` on, by default the last ones: the system's own work prefers the first.

    Raises ValueError when there are not so many.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    usable = sorted(os.sched_getaffinity(0))
    chosen = usable[-threads:] if first is None else [cpu for cpu in usable if cpu >= first][:threads]
    if len(chosen) < threads or (first is not None and chosen[0] != first):
        raise ValueError(f"there are no {threads} processors from {usable[0] if first is None else first} on to use")
    os.sched_setaffinity(0, chosen)


if __name__ == "__main__":
    sys.exit(main())
