"""python -m bench.arm [--library FILE | --wheel FILE] [--ours] [--steps] [--json FILE] [--fill DOCUMENT] [--plot FILE]

Our engine beside LiteRT and onnxruntime on ARM cores that are not here: emulated by qemu, instructions counted, cycles
modelled by llvm-mca. docs/arm.md says what that is worth. The last line is

    a53=R a72=R a76=R answer_a76=R

each R the best peer's modelled cycles over ours, of the encoder on Cortex-A53, -A72 and -A76 and of a whole answer on
Cortex-A76: above 1 we are better.

While a kernel is being written: --library build/libedge_vqa.so --ours --steps --cores cortex-a76, with a library that
was built for aarch64 and keeps its symbols (CMAKE_BUILD_TYPE=None), takes seconds. --library names the engine that is
measured; without it, the wheel is built as for a release.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_vqa import EdgeVQAError

from .report import as_text, fill
from .session import CORES, Plan, check_library, last_line, run


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured, and 2 (by argparse) on wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m bench.arm", description="Our engine and others on modelled ARM.")
    ours = parser.add_mutually_exclusive_group()
    ours.add_argument("--library", type=Path, metavar="FILE", help="ours: libedge_vqa.so for aarch64")
    ours.add_argument("--wheel", type=Path, metavar="FILE", help="ours: a wheel for aarch64 (default: it is built)")
    parser.add_argument("--ours", action="store_true", help="measure no peers, and no starts of processes")
    parser.add_argument("--quick", action="store_true", help="no starts of processes")
    parser.add_argument("--steps", action="store_true", help="show every step of our encoder, too")
    parser.add_argument("--cores", nargs="+", default=CORES, choices=(*CORES, "i8mm"), metavar="CORE")
    parser.add_argument("--model", help="a model file or the name of a bundled model")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="show an earlier --json")
    parser.add_argument(
        "--fill", type=Path, nargs="+", default=[], metavar="FILE", help="fill documents' marked blocks"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the cycles as a PNG")
    options = parser.parse_args(arguments)
    try:
        result = read_result(options.source) if options.source else measure(options)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for document in options.fill:
            fill(document, result)
        if options.plot:
            from .plot import draw

            draw(result, options.plot)
    except (EdgeVQAError, ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_text(result, options.steps))
    print(last_line(result["ratios"]))
    return 0


def read_result(path: Path) -> dict[str, Any]:
    """An earlier --json. Raises EdgeVQAError, OSError."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        as_text(result, True)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EdgeVQAError(f"{path}: is no result of --json ({error})") from error
    return result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Raises EdgeVQAError, OSError."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plan = Plan(options.library, model=options.model, cores=options.cores)
        plan.start = not (options.ours or options.quick)
        if options.ours:
            plan.peers = ()
        if options.library:
            plan.library = options.library.resolve()
            check_library(plan.library)
        else:
            from .engine import unpack_wheel  # building takes packages that measuring does not

            plan.library, plan.package = unpack_wheel(options.wheel, folder)
        return run(plan, folder)


if __name__ == "__main__":
    sys.exit(main())
