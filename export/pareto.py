"""python -m export.pareto --data FOLDER [--out runs/pareto] [--only train|measure]

How small a picture and how narrow a MobileNetV2 may become, and what each costs: trains the product's model at four
widths and four picture sizes (export.distil, with the released one as teacher), exports each as int8 .evqa, and
measures accuracy on val, milliseconds a picture and bytes. Writes export/released/pareto.json and docs/pareto.png, and
the table in docs/smaller.md. Points that are already trained are not trained again.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from edge_vqa import VQA
from edge_vqa.errors import DataError

from .command import ends_in_one_line
from .data import Dataset, load_dataset
from .distil import Stage, Student, TeacherViews, distil
from .release import RELEASED
from .report import ROOT, fill
from .run_folder import RunFolder
from .scoring import predict
from .views import Pictures

log = logging.getLogger("export.pareto")

TEACHER = "mobilenetv2-lstm-attention"
MULTIPLIERS = (0.35, 0.5, 0.75, 1.0)
SIDES = (128, 160, 192, 224)
FIRST_SIDE = 160
"""Where a width is trained from its cut-down teacher; the other sizes go on from there."""
_LOOKS = 60


class Point(NamedTuple):
    """One place of the grid."""

    multiplier: float
    side: int

    @property
    def name(self) -> str:
        return f"{self.multiplier:g}-{self.side}"

    @property
    def is_teacher(self) -> bool:
        return self == (1.0, 224)

    def student(self, runs: Path) -> Student:
        """How it is trained: long from the teacher at the first side, shorter from there at the others.

        The whole width is not cut, only shown smaller pictures, and needs half as long.
        """
        sizes, whole = {"multiplier": self.multiplier}, self.multiplier == 1
        if self.side == FIRST_SIDE:
            return Student(self.side, sizes, stages=(Stage(5 if whole else 10),))
        first = runs / f"{self.multiplier:g}-{FIRST_SIDE}"
        return Student(self.side, sizes, str(first), (Stage(2 if whole else 3, 1e-3),))


def grid() -> list[Point]:
    """All points, in an order in which each can start from one before it."""
    sides = sorted(SIDES, key=lambda side: side != FIRST_SIDE)
    return [Point(multiplier, side) for multiplier in MULTIPLIERS for side in sides]


def train(points: Iterable[Point], data: str, runs: Path, copies: int) -> None:
    """Train what is not yet trained."""
    dataset = load_dataset(data)
    views = TeacherViews(RunFolder(RELEASED / TEACHER), dataset, runs / "views", copies)
    for point in points:
        folder = RunFolder(runs / point.name)
        if not point.is_teacher and not folder.weights.is_file():
            distil(views, point.student(runs), dataset, folder)


def measure(name: str, run: RunFolder, dataset: Dataset, file: Path, pictures: Pictures) -> dict[str, Any]:
    """One row: the int8 file's accuracy on val (and float32's), milliseconds a picture on one thread, bytes.

    `pictures` are val's at the run's own side.
    """
    network, vocabulary, answers, side = run.load()
    predictions = predict(network, dataset, "val", vocabulary, answers, side, pictures=pictures)
    vqa = VQA(file, "native", threads=1)
    pixels = [p.permute(1, 2, 0).contiguous().numpy().tobytes() for p in pictures.pixels]
    features = {name: vqa.engine.encode(p) for name, p in zip(pictures.names, pixels, strict=True)}
    right = 0
    for example in dataset.splits["val"]:
        ids = vqa.model.vocabulary.encode(example.question).ids
        logits = list(vqa.engine.answer(features[example.image], ids)[0])[:-1]
        right += vqa.model.answers[logits.index(max(logits))] == example.answer
    return {
        "name": name,
        "multiplier": network.shape.multiplier,
        "side": side,
        "val_accuracy": right / len(dataset.splits["val"]),
        "val_accuracy_float32": predictions.accuracy,
        "bytes": file.stat().st_size,
        "encoder_ms": _milliseconds(vqa, pixels),
    }


def _milliseconds(vqa: VQA, pixels: list[bytes]) -> float:
    """The median over some pictures, after a warm-up."""
    times = []
    for n in range(_LOOKS + 10):
        began = time.perf_counter()
        vqa.engine.encode(pixels[n % len(pixels)])
        times.append((time.perf_counter() - began) * 1e3)
    return median(times[10:])


def measure_all(points: Iterable[Point], data: str, runs: Path) -> dict[str, Any]:
    """Export what has no file yet, and measure everything, the released tiny model included."""
    from .to_evqa import export_evqa

    dataset = load_dataset(data)
    pictures: dict[int, Pictures] = {}
    rows = []
    runs_of = {point.name: RELEASED / TEACHER if point.is_teacher else runs / point.name for point in points}
    if (RELEASED / "tiny" / "model.safetensors").is_file():
        runs_of["tiny"] = RELEASED / "tiny"
    for name, path in runs_of.items():
        run, file = RunFolder(path), runs / f"{name}.evqa"
        if not run.weights.is_file():
            raise DataError(f"{path}: not trained yet")
        if not file.is_file():
            export_evqa(run, dataset, file, "int8", {"name": name})
        side = run.about()["side"]
        if side not in pictures:
            pictures[side] = Pictures(dataset.image_paths, dataset.images("val"), side)
        rows.append(measure(name, run, dataset, file, pictures[side]))
        log.info(" ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in rows[-1].items()))
    return {"split": "val", "questions": len(dataset.splits["val"]), "rows": rows}


def frontier(rows: list[dict[str, Any]], cost: str) -> list[dict[str, Any]]:
    """The rows that no other one beats: none of the same `cost` or less is more accurate. By rising cost."""
    best: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda r: (r[cost], -r["val_accuracy"])):
        if not best or row["val_accuracy"] > best[-1]["val_accuracy"]:
            best.append(row)
    return best


def table(result: dict[str, Any]) -> str:
    """Markdown, by rising time; rows on the frontier of time are bold."""
    rows = sorted(result["rows"], key=lambda r: r["encoder_ms"])
    on = {r["name"] for r in frontier(rows, "encoder_ms")}
    lines = [
        "| width | picture | accuracy on val, int8 | float32 | encoder, ms | file, MB |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        bold = "**" if r["name"] in on else ""
        label = f"{r['multiplier']:g}" + (" (`tiny`)" if r["name"] == "tiny" else "")
        lines.append(
            f"| {label} | {r['side']} | {bold}{r['val_accuracy']:.4f}{bold} | {r['val_accuracy_float32']:.4f} "
            f"| {r['encoder_ms']:.2f} | {r['bytes'] / 1e6:.2f} |"
        )
    return "\n".join(lines)


@ends_in_one_line
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.pareto", description="Accuracy against time and bytes.")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/pareto"), help="where runs and views are kept (7 GB)")
    parser.add_argument("--only", choices=("train", "measure"), help="default: both")
    parser.add_argument("--copies", type=int, default=10, help="views of each picture that the teacher looks at")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.only != "measure":
        train(grid(), options.data, options.out, options.copies)
    if options.only != "train":
        from .plots import draw_pareto

        result = measure_all(grid(), options.data, options.out)
        (RELEASED / "pareto.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        draw_pareto(result["rows"], ROOT / "docs" / "pareto.png")
        page = ROOT / "docs" / "smaller.md"
        page.write_text(fill(page.read_text(encoding="utf-8"), {"pareto": table(result)}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
