"""python -m bench.peers [--only NAME ...] [--quick] [--threads N ...] [--json FILE] [--plot FILE] [--fill FILE]

Our engine and others on the same network, each in an environment and a process of its own, on the same processor, in
turns. docs/benchmarks.md says what is measured. The last line is

    encoder=R answer=R further_question=R cold_start=R memory=R jpeg_12mp=R threads2=R installed_size=R

each R the best peer's median over ours: above 1 we are better.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_vqa import EdgeVQAError

from .measure import last_line
from .pinning import usable
from .plan import QUESTIONS, Plan
from .report import as_markdown, as_text, fill
from .roster import OWN, PEERS
from .session import run


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured, and 2 (by argparse) on wrong usage."""
    parser = parser_of_options()
    options = parser.parse_args(arguments)
    try:
        result = json.loads(options.source.read_text(encoding="utf-8")) if options.source else measure(options)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if options.plot:
            from .plot import draw

            draw(result, options.plot)
        for document in options.fill or []:
            fill(document, result)
    except ModuleNotFoundError as error:
        print(f"error: --plot needs {error.name}: pip install {error.name}", file=sys.stderr)
        return 1
    except (EdgeVQAError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_markdown(result) if options.markdown else as_text(result))
    print(last_line(result["ratios"]))
    return 0


def parser_of_options() -> argparse.ArgumentParser:
    """The command's options."""
    keys = [entry.key for entry in (OWN, *PEERS)]
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Our engine and others, side by side.")
    parser.add_argument(
        "--only", nargs="+", type=str.lower, choices=keys, default=[], metavar="NAME",
        help=f"these peers: {', '.join(keys[1:])}; {keys[0]}: none, ours is always measured",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument(
        "--threads", type=int, nargs="+", metavar="N",
        help="the first for all columns, the others for encoder and answer (default: 1 2, or 1 on one processor)",
    )  # fmt: skip
    parser.add_argument(
        "--environments", type=Path, default=Path(".peers"), metavar="FOLDER",
        help="where each contender's environment is made and kept (default: .peers)",
    )  # fmt: skip
    parser.add_argument(
        "--python", nargs="+", type=_named_python, default=[], metavar="NAME=PATH",
        help="an interpreter that has a contender installed, instead of an environment made for it",
    )  # fmt: skip
    parser.add_argument("--model", help="ours: a model file or the name of a bundled model")
    parser.add_argument("--engine", help="ours: default the first that is installed")
    parser.add_argument(
        "--peers-model", type=Path, metavar="FILE",
        help="the .evqa file that the peers' files are made of (default: ours)",
    )  # fmt: skip
    parser.add_argument("--tflite-encoder", type=Path, metavar="FILE", help="for LiteRT, instead of the one made here")
    parser.add_argument("--tflite-head", type=Path, metavar="FILE", help="for questions of as many words as --q has")
    parser.add_argument("--q", metavar="QUESTION", default=QUESTIONS[0], help="the question that is timed")
    parser.add_argument("--cpu", type=int, metavar="N", help="the first processor to run on (default: the last ones)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it (with matplotlib)")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument(
        "--from", type=Path, dest="source", metavar="FILE", help="show an earlier --json, measure nothing"
    )
    parser.add_argument(
        "--fill", type=Path, nargs="+", metavar="FILE", help="put the tables into these documents' marked blocks"
    )
    return parser


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """What the options ask for, with progress on standard error. Raises EdgeVQAError, OSError, ValueError."""
    threads = tuple(options.threads or ((1, 2) if len(usable()) > 1 else (1,)))
    if min(threads) < 1 or len(set(threads)) < len(threads):
        raise ValueError("--threads must be different numbers from 1 on")
    plan = Plan(
        only=tuple(options.only), pythons=dict(options.python), environments=options.environments, threads=threads,
        cpu=options.cpu, model=options.model, engine=options.engine, peers_model=options.peers_model,
        tflite_encoder=options.tflite_encoder, tflite_head=options.tflite_head, question=" ".join(options.q.split()),
    )  # fmt: skip
    if options.quick:
        plan.be_quick()
    with tempfile.TemporaryDirectory() as folder:
        return run(plan, Path(folder), lambda what: print(what, file=sys.stderr, flush=True))


def _named_python(text: str) -> tuple[str, str]:
    name, found, path = text.partition("=")
    if not found or name.lower() not in [entry.key for entry in (OWN, *PEERS)]:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH with a contender's name")
    # Absolute, as it is started elsewhere; but not what a link of an environment points to.
    return name.lower(), str(Path(shutil.which(path) or path).absolute())


if __name__ == "__main__":
    sys.exit(main())
