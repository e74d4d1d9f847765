"""python -m bench.photos [--data FOLDER] [--quick] [--json FILE] [--from FILE] [--fill docs/photos.md] [--plot FILE]

From a camera's photo to the model's pixels: our way beside Pillow, OpenCV and simplejpeg (those that are installed), on
one core, in turns: time, memory, and how near the pixels come to a full decode in floating point. With --data, also
what it does to the answers. docs/photos.md says what is measured. The last line is

    photos_1mp=R photos_12mp=R psnr_12mp=DB accuracy_change=POINTS
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from edge_vqa import EdgeVQAError

from .report import as_markdown, as_text, fill, last_line, notes, tables
from .session import Plan, run


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured, and 2 (by argparse) on wrong usage."""
    options = _parser().parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        print("error: --limit must be 1 or more", file=sys.stderr)
        return 2
    try:
        result = json.loads(options.source.read_text(encoding="utf-8")) if options.source else _measure(options)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if options.fill:
            fill(options.fill, result)
        if options.plot:
            from .plot import draw

            draw(result, options.plot)
    except ImportError as error:
        print(f"error: {error} (pip install '.[photos]' installs what is needed)", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: memory could not be measured: {error.stderr.strip()[-500:]}", file=sys.stderr)
        return 1
    except (EdgeVQAError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print((as_markdown if options.markdown else as_text)(tables(result), notes(result)))
    print(last_line(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.photos", description="From photos to pixels, side by side.")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="make photos of its pictures, and ask about them")
    parser.add_argument("--split", choices=("test", "val"), default="test", help="of --data")
    parser.add_argument("--limit", type=int, metavar="N", help="ask about so many pictures (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer runs and photos: under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="show an earlier --json")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--fill", type=Path, metavar="FILE", help="put the tables into this document's marked block")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw time and quality over the photo's size")
    return parser


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    plan = Plan(data=options.data, split=options.split, limit=options.limit)
    if options.quick:
        plan.be_quick()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])  # the system's own work prefers the first
    return run(plan, lambda text: print(text, file=sys.stderr, flush=True))


if __name__ == "__main__":
    sys.exit(main())
