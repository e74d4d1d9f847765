"""Data sets: a folder of pictures and CSV files, or easy-vqa from PyPI.

A folder holds train.csv (and, where they exist, val.csv and test.csv), UTF-8, one question a row, with the columns
image,question,answer and, optionally, id and kind. Pictures lie in images/ or beside the CSV files. boxes.jsonl, also
optional, has one JSON object a picture: image, dish, source, boxes [{label, x0, y0, x1, y1}] in fractions of the width
and height. Without val.csv, every tenth picture of train.csv is held out, chosen by a hash of its name.
"""

from __future__ import annotations

import csv
import importlib
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from edge_vqa.errors import DataError

SPLITS = ("train", "val", "test")
_COLUMNS = ("image", "question", "answer")


@dataclass(frozen=True)
class Example:
    """One question about one picture."""

    id: str
    image: str
    question: str
    answer: str
    kind: str = "any"


@dataclass(frozen=True)
class Box:
    """A labelled thing; corners in fractions (0 to 1) of the picture's width and height."""

    label: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Scene:
    """What is known of a picture beyond its questions."""

    dish: str = ""
    source: str = ""
    boxes: tuple[Box, ...] = ()


@dataclass
class Dataset:
    """All questions by split, where the pictures lie, and the boxes where there are any."""

    name: str
    splits: dict[str, list[Example]]
    image_paths: dict[str, Path]
    scenes: dict[str, Scene] = field(default_factory=dict)

    def images(self, split: str) -> list[str]:
        """Names of the pictures of a split, in order of first appearance."""
        return list(dict.fromkeys(e.image for e in self.splits[split]))

    def answers(self) -> list[str]:
        """Answers of the training split, sorted: the classes of a model trained on it."""
        return sorted({e.answer for e in self.splits["train"]})


def load_dataset(source: str | Path) -> Dataset:
    """Read the folder `source`, or easy-vqa when `source` is that word.

    Raises DataError, naming file and row, for a missing picture, an empty field, a wrong encoding or a missing column.
    """
    if str(source) == "easy-vqa":
        return _easy_vqa()
    folder = Path(source)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (give a folder with train.csv, or easy-vqa)")
    if not any((folder / f"{split}.csv").is_file() for split in SPLITS):
        raise DataError(f"{folder}: holds none of train.csv, val.csv, test.csv")
    paths: dict[str, Path] = {}
    splits = {split: _read_csv(folder / f"{split}.csv", split, folder, paths) for split in SPLITS}
    if splits["train"] and not splits["val"]:
        splits["train"], splits["val"] = _hold_out(splits["train"])
    _refuse_leaks(folder, splits, paths)
    return Dataset(folder.name, splits, paths, _read_boxes(folder / "boxes.jsonl"))


def _read_csv(file: Path, split: str, folder: Path, paths: dict[str, Path]) -> list[Example]:
    if not file.is_file():
        return []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [c for c in _COLUMNS if c not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{file}: the first row lacks the column {', '.join(missing)} (needed: {', '.join(_COLUMNS)})"
                )
            return [
                _example(row, f"{file}, row {reader.line_num}", split, n, folder, paths) for n, row in enumerate(reader)
            ]
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}, row {line}: not UTF-8 (byte {error.start}: {error.reason}); save the file as UTF-8"
        ) from error
    except csv.Error as error:
        raise DataError(f"{file}: not a readable CSV file: {error}") from error


def _example(row: dict[str, str], where: str, split: str, n: int, folder: Path, paths: dict[str, Path]) -> Example:
    values = {}
    for column in _COLUMNS:
        value = (row.get(column) or "").strip()
        if not value:
            raise DataError(f"{where}: the {column} is empty")
        values[column] = value
    image = values["image"]
    if image not in paths:
        candidates = (folder / "images" / image, folder / image)
        found = next((p for p in candidates if p.is_file()), None)
        if found is None:
            raise DataError(f"{where}: the picture {image} is neither in {folder / 'images'} nor in {folder}")
        paths[image] = found
    return Example(
        row.get("id") or f"{split}-{n:05d}", image, values["question"], values["answer"], row.get("kind") or "any"
    )


def _hold_out(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    held = {e.image for e in examples if zlib.crc32(e.image.encode()) % 10 == 0}
    return [e for e in examples if e.image not in held], [e for e in examples if e.image in held]


def _refuse_leaks(folder: Path, splits: dict[str, list[Example]], paths: dict[str, Path]) -> None:
    files = {name: path.resolve() for name, path in paths.items()}
    images = {split: {files[e.image] for e in examples} for split, examples in splits.items()}
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = images[a] & images[b]
        if shared:
            raise DataError(f"{folder}: {a}.csv and {b}.csv share {len(shared)} pictures ({min(shared).name}, ...)")


def _read_boxes(file: Path) -> dict[str, Scene]:
    if not file.is_file():
        return {}
    scenes = {}
    for n, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            item = json.loads(line.decode("utf-8"))
            boxes = tuple(Box(str(b["label"]), *(float(b[k]) for k in ("x0", "y0", "x1", "y1"))) for b in item["boxes"])
            scenes[item["image"]] = Scene(item.get("dish") or "", item.get("source") or "", boxes)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{file}, row {n}: {error!r}") from error
        for b in boxes:
            if not (0 <= b.x0 < b.x1 <= 1.001 and 0 <= b.y0 < b.y1 <= 1.001):
                raise DataError(f"{file}, row {n}: the box of {b.label} is not within 0 to 1, x0 < x1 and y0 < y1")
    return scenes


def _easy_vqa() -> Dataset:
    """The PyPI package easy-vqa (MIT): 64-pixel shapes, English questions, 13 answers, 5,000 pictures."""
    try:
        easy = importlib.import_module("easy_vqa")
    except ImportError as error:
        raise DataError("easy-vqa is not installed: pip install easy-vqa") from error
    splits: dict[str, list[Example]] = {"val": []}
    paths: dict[str, Path] = {}
    for split in ("train", "test"):
        questions, answers, image_ids = getattr(easy, f"get_{split}_questions")()
        files = getattr(easy, f"get_{split}_image_paths")()
        paths |= {f"{split}/{i}.png": Path(p) for i, p in files.items()}
        splits[split] = [
            Example(f"{split}-{n:05d}", f"{split}/{i}.png", q, a)
            for n, (q, a, i) in enumerate(zip(questions, answers, image_ids, strict=True))
        ]
    splits["train"], splits["val"] = _hold_out(splits["train"])
    return Dataset("easy-vqa", splits, paths)
