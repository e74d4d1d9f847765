"""python -m bench.photos.accuracy --data FOLDER [--split test|val] [--limit N] [--megapixels 12] [--json FILE]

The pictures of a split, enlarged to a camera's size and stored as JPEG, are answered by the bundled model: through our
way to pixels, through the plain one, and from the pixels that floating point gives. Nothing is kept on disk; a picture
of 12 megapixels takes about two seconds. The last line is

    accuracy_change=POINTS

ours less the plain way's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa import VQA, EdgeVQAError
from edge_vqa.errors import DataError
from export.data import Example, load_dataset

from .maker import make_whole_photo, read_picture
from .quality import decode_full, rounded, truth
from .routes import ALIASED, DEFAULT, OURS, PLAIN, as_array, open_routes

TRUTH = "full decode in floats"
ASKED = (OURS, PLAIN, DEFAULT, ALIASED)
"""The routes that are asked, where they are installed, besides the truth."""


def measure_accuracy(
    data: Path, split: str, limit: int | None, megapixels: float, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Accuracy of each route, and how many of its answers differ from the truth's and from the plain way's.

    `limit`: so many pictures, evenly spaced; None: all. Raises DataError, EdgeVQAError, OSError.
    """
    began = time.monotonic()
    vqa = VQA(threads=1)
    side = vqa.model.side
    routes = {name: route for name, route in open_routes()[0].items() if name in ASKED}
    answers: dict[str, list[str]] = {name: [] for name in (*routes, TRUTH)}
    expected: list[str] = []
    pictures = 0
    for pictures, (photo, questions) in enumerate(photos(data, split, limit, megapixels), 1):
        shown = {name: as_array(route(photo, side), side) for name, route in routes.items()}
        shown[TRUTH] = rounded(truth(decode_full(photo), side, "bilinear"))
        expected += [q.answer for q in questions]
        for name, pixels in shown.items():
            scene = vqa.look(pixels)
            answers[name] += [scene.ask(q.question, top=1).text for q in questions]
        if pictures % 20 == 0:
            tell(f"accuracy: {pictures} pictures, {time.monotonic() - began:.0f} s")
    return {
        "data": data.name, "split": split, "pictures": pictures, "questions": len(expected),
        "megapixels": megapixels, "model": vqa.model.name,
        "minutes": (time.monotonic() - began) / 60, **score(answers, expected),
    }  # fmt: skip


def score(answers: dict[str, list[str]], expected: Sequence[str]) -> dict[str, Any]:
    """For each route its accuracy in per cent and how many answers differ from two others' on the same questions."""
    routes = {
        name: {
            "accuracy": 100 * float(np.mean([a == b for a, b in zip(given, expected, strict=True)])),
            "other_than_plain": sum(a != b for a, b in zip(given, answers[PLAIN], strict=True)),
            "other_than_truth": sum(a != b for a, b in zip(given, answers[TRUTH], strict=True)),
        }
        for name, given in answers.items()
    }
    return {"routes": routes, "change": routes[OURS]["accuracy"] - routes[PLAIN]["accuracy"]}


def photos(
    data: Path, split: str, limit: int | None, megapixels: float
) -> Iterator[tuple[bytes, list[Example]]]:  # fmt: skip
    """One picture of the split after the other as a JPEG file of that size, and its questions.

    Raises DataError when the split has none, OSError.
    """
    dataset = load_dataset(data)
    names = dataset.images(split)
    if not names:
        raise DataError(f"{data}: no {split}.csv")
    count = min(limit or len(names), len(names))
    for i in range(count):
        name = names[i * len(names) // count]
        picture = read_picture(dataset.image_paths[name])
        yield make_whole_photo(picture, megapixels, seed=i), [e for e in dataset.splits[split] if e.image == name]


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured, and 2 (by argparse) on wrong usage."""
    from .report import accuracy_table, as_text, change

    parser = argparse.ArgumentParser(prog="python -m bench.photos.accuracy", description="Answers about large photos.")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="holds SPLIT.csv and the pictures")
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--limit", type=int, metavar="N", help="so many pictures, evenly spaced (default: all)")
    parser.add_argument("--megapixels", type=float, default=12, help="of the enlarged photos")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    options = parser.parse_args(arguments)
    if not 0.01 <= options.megapixels <= 50:
        parser.error("--megapixels must be from 0.01 to 50")
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be 1 or more")
    try:
        found = measure_accuracy(
            options.data, options.split, options.limit, options.megapixels, lambda text: print(text, file=sys.stderr)
        )
        if options.json:
            options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except (EdgeVQAError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_text([accuracy_table(found)]))
    print(f"accuracy_change={change(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
