"""python -m edge_vqa.bench: how long answers take on this machine, and whether the figures can be trusted.

Exit codes: 0 everything was measured; 1 something could not be; 2 wrong usage, or a picture, question or result file
that cannot be used; 3 the model or the engine could not be used; 130 interrupted (what was measured is shown).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import EdgeVQAError, ImageError, QuestionError
from . import result_file
from .compare import compare_markdown, compare_text
from .plan import QUESTION, Plan
from .progress import Progress
from .report import as_markdown, as_text
from .sensors import Sensors


def main(arguments: list[str] | None = None, root: str = "/") -> int:
    """Run the command; returns its exit code. `root`: where the files of the system are read, / but in tests."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.source or options.compare) and (options.json or options.quick or options.minutes or options.image):
        parser.error("--from and --compare measure nothing: give them alone, or with --markdown")
    if options.source and options.compare:
        parser.error("give --from or --compare")
    try:
        if options.compare:
            return _compare(options)
        if options.source:
            return _show(result_file.load(options.source), options)
        if options.json:
            result_file.check_writable(options.json)
    except (result_file.ResultError, OSError) as error:
        return _complain(str(error), 2)
    try:
        return _measure(options, root)
    except (ImageError, QuestionError) as error:
        return _complain(str(error), 2)
    except BrokenPipeError:
        # The reader of our output has gone (head, say). Point stdout elsewhere so that Python's own flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (EdgeVQAError, OSError) as error:
        return _complain(str(error), 3)
    except KeyboardInterrupt:
        return 130


def _measure(options: argparse.Namespace, root: str) -> int:
    from .measure import run  # the pictures' and the model's code: not needed to show a result

    # Under a locale that is not UTF-8, Python hides the bytes of a question's accents in surrogates.
    question = options.q.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    plan = Plan(
        model=options.model, engine=options.engine, threads=options.threads, question=question, image=options.image,
        runs=options.runs, minutes=options.minutes, quick=options.quick,
    )  # fmt: skip
    result = run(plan, Sensors(root), Progress(None if options.no_progress else sys.stderr))
    if options.json:
        try:
            result_file.save(result, options.json)
        except OSError as error:
            _complain(f"{options.json}: cannot be written ({error.strerror or error})", 1)
            result["failed"]["writing the result"] = error.strerror or str(error)
    _show(result, options)
    if result["interrupted"]:
        return 130
    return 1 if result["failed"] or result["left_out"].keys() - {"threads"} else 0


def _show(result: Mapping[str, Any], options: argparse.Namespace) -> int:
    try:
        print((as_markdown if options.markdown else as_text)(result), flush=True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if not options.source:
            raise
        return _complain(f"{options.source}: damaged ({type(error).__name__}: {error})", 2)
    return 0


def _compare(options: argparse.Namespace) -> int:
    first, second = map(result_file.load, options.compare)
    try:
        print((compare_markdown if options.markdown else compare_text)(first, second))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return _complain(f"{' or '.join(options.compare)}: damaged ({type(error).__name__}: {error})", 2)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edge_vqa.bench",
        description="How long answers take on this machine, in about a minute; what its sensors say; and whether the "
        "figures can be trusted.",
        epilog="Exit codes: 0 everything was measured; 1 something could not be; 2 wrong usage, or a picture, question "
        "or result file that cannot be used; 3 the model or the engine could not be used; 130 interrupted (what was "
        "measured is shown).",
    )
    parser.add_argument("--quick", action="store_true", help="a quarter of the time, and less sure")
    parser.add_argument(
        "--minutes", type=_minutes, default=0.0, metavar="N", help="then answer without a pause for N minutes"
    )
    parser.add_argument("--model", help="a model file (.evqa, .onnx, .tflite) or the name of a bundled model")
    parser.add_argument("--engine", help="native, onnx, tflite or reference (default: the first that is there)")
    parser.add_argument("--threads", type=_positive, metavar="N", help="default: what the engine chooses, at most 4")
    parser.add_argument("--q", default=QUESTION, metavar="QUESTION", help="default: %(default)s")
    parser.add_argument("--image", metavar="FILE", help="time this picture, too")
    parser.add_argument(
        "--runs", type=_positive, metavar="N", help="of each measurement (default: as many as fit in its time)"
    )
    parser.add_argument("--no-progress", action="store_true", help="do not say on standard error what is measured")
    parser.add_argument("--json", metavar="FILE", help="write everything, to be compared or shown again")
    parser.add_argument("--markdown", action="store_true", help="print Markdown, for an issue")
    parser.add_argument("--from", dest="source", metavar="FILE", help="show this result, measure nothing")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="show two results side by side")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1e5:
        raise argparse.ArgumentTypeError("must be a number of minutes")
    return value


def _complain(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
