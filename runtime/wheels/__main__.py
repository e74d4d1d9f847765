"""python -m runtime.wheels [--out FOLDER] [--only PLATFORM ...] | --check WHEEL ...

Builds wheels for 64-bit ARM, x86-64 and 32-bit ARM, with glibc and with musl, on any one of them; needs

    pip install ".[wheels]"

Every wheel's name says on which systems it runs; auditwheel computes that from the engine, whose contents and size are
checked as well. --check does so with wheels that are there.

Exit codes: 0 all wheels are built and right; 1 one is not; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .building import build
from .checks import WheelError, check
from .platforms import PLATFORMS


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.wheels",
        description="Build edge_vqa's wheels for every platform.",
        epilog="Exit codes: 0 all wheels are built and right; 1 one is not; 2 wrong usage.",
    )
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="FOLDER", help="where wheels go (dist)")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(PLATFORMS), default=list(PLATFORMS), metavar="PLATFORM",
        help=f"of {', '.join(PLATFORMS)}",
    )  # fmt: skip
    parser.add_argument("--check", nargs="+", type=Path, default=[], metavar="WHEEL", help="build none, check these")
    options = parser.parse_args(arguments)
    try:
        for wheel in options.check:
            _show(wheel)
        if not options.check:
            build(list(dict.fromkeys(options.only)), options.out, done=_show)
    except WheelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _show(wheel: Path) -> None:
    """Raises WheelError."""
    platform = check(wheel)
    print(f"{wheel.stat().st_size / 1e6:.2f} MB  {platform}  {wheel}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
