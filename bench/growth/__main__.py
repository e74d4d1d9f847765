"""python -m bench.growth [--quick] [--only CURVE ...] [--json FILE] [--from FILE] [--fill docs/growth.md] [--plot FILE]

How the cost grows with its work: pictures in one process, questions about a picture, words in a question, the
picture's size (as JPEG and as array), the network's width and its picture's side, and threads. The last line is

    pictures=E questions=E words=E size=E arrays=E width=E side=E threads=F memory_pictures=E ... too_fast=none

each E a growth exponent: cost ~ work^E over the upper half of the points, so 1 is growth in step with the work; the
cost is the processor's time there. `size` is a JPEG's way to the model's pixels and `arrays` an array's, by megapixels;
`width` and `side` are a look, by multiply-accumulates; memory_... is the most memory of a process. F is the efficiency
of the most threads: speed-up over their number. `too_fast` names what grows faster than its work by more than the
exponent's uncertainty, and threads where the most of them take longer than one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_vqa import EdgeVQAError

from .curves import QUICK, Plan
from .report import as_text, fill
from .session import NAMES, last_line, measure


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured, read or written, and 2 (by argparse) on wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="How the cost grows with its work.")
    parser.add_argument("--quick", action="store_true", help="fewer points and runs: under a minute")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="CURVE", help=", ".join(NAMES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument(
        "--from", type=Path, dest="source", metavar="FILE", help="show an earlier --json, measure nothing"
    )
    parser.add_argument("--fill", type=Path, metavar="FILE", help="put the tables into this document's marked blocks")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves (needs matplotlib)")
    options = parser.parse_args(arguments)
    try:
        result = json.loads(options.source.read_text(encoding="utf-8")) if options.source else take(options)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if options.fill:
            fill(options.fill, result)
        if options.plot:
            from .plot import draw

            draw(result, options.plot)
    except (EdgeVQAError, OSError, ImportError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_text(result))
    print(last_line(result))
    return 0


def take(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; the folder that holds what is measured on is removed. Raises EdgeVQAError, OSError, ImportError."""
    plan = QUICK if options.quick else Plan()
    with tempfile.TemporaryDirectory() as folder:
        return measure(plan, Path(folder), options.only, lambda name: print(f"measuring: {name}", file=sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
