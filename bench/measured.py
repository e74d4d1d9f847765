"""python -m bench.measured RESULT [OTHER]

Puts results that `python -m edge_vqa.bench --json RESULT` wrote into docs/measure.md: the first as the example, and the
comparison of both where there is another.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.peers.report import fill_block
from edge_vqa.bench import result_file
from edge_vqa.bench.compare import compare_markdown
from edge_vqa.bench.report import as_markdown

PAGE = Path(__file__).parents[1] / "docs" / "measure.md"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when a result cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.measured", description="Fill the example of docs/measure.md."
    )
    parser.add_argument("results", nargs="+", metavar="RESULT")
    parser.add_argument("--page", type=Path, default=PAGE, help="another document with the same marks")
    options = parser.parse_args(arguments)
    if len(options.results) > 2:
        parser.error("one result, or two")
    try:
        results = [result_file.load(path) for path in options.results]
        fill_block(options.page, "measured", as_markdown(results[0]))
        if len(results) == 2:
            fill_block(options.page, "compared", compare_markdown(*results))
    except (result_file.ResultError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
