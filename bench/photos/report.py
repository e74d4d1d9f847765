"""A result as text or Markdown: tables, what one has to know to judge them, and the last line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..peers.report import fill_block
from .maker import CAMERA
from .quality import TRUTHS
from .routes import OURS, PLAIN
from .session import LARGE, figures


@dataclass(frozen=True)
class Table:
    """A title and rows; the first row is the heading. Cells between ** are stressed."""

    title: str
    rows: list[list[str]]


def tables(result: Mapping[str, Any]) -> list[Table]:
    """All that were measured."""
    usual = [photo for photo in result["photos"] if photo["kind"] == CAMERA]
    kinds = [photo for photo in result["photos"] if photo["megapixels"] == LARGE]
    found = [_photo_table(photo) for photo in usual]
    if len(kinds) > 1:
        found.append(_kinds_table(kinds))
    if result["frames"]:
        found.append(_frames_table(result["frames"]))
    if result["quality"]:
        found += [*_quality_tables(result["quality"]), _sizes_table(result["quality"])]
    if result["accuracy"]:
        found.append(accuracy_table(result["accuracy"]))
    return found


def _photo_table(photo: Mapping[str, Any]) -> Table:
    title = (
        f"{photo['megapixels']:g} megapixels ({photo['width']} x {photo['height']}, {photo['bytes'] / 1e6:.2f} MB, "
        f"{photo['kind']})"
    )
    heading = ["", "ms, median", "p5", "p95", "plain way / this", "this / ours", "memory, MB"]
    ours, plain = photo["times"][OURS]["median"], photo["times"][PLAIN]["median"]
    rows = [heading]
    for name, found in photo["times"].items():
        memory = photo["memory"].get(name)
        rows.append([
            name, *(f"{found[key]:.2f}" for key in ("median", "p5", "p95")), f"{plain / found['median']:.2f}",
            _stressed(f"{found['median'] / ours:.2f}", _ahead(found["median"], ours)),
            "" if memory is None else f"{memory:.1f}",
        ])  # fmt: skip
    return Table(title, rows)


def _kinds_table(photos: Sequence[Mapping[str, Any]]) -> Table:
    rows = [["ms, median", *(f"{p['kind']} ({p['bytes'] / 1e6:.2f} MB)" for p in photos)]]
    for name in photos[0]["times"]:
        medians = [(p["times"][name]["median"], p["times"][OURS]["median"]) for p in photos]
        rows.append([name, *(_stressed(f"{median:.2f}", _ahead(median, ours)) for median, ours in medians)])
    return Table(f"Kinds of JPEG, {LARGE} megapixels", rows)


def _frames_table(frames: Mapping[str, Any]) -> Table:
    rows = [["", "ms, median", "p5", "p95"]]
    rows += [[size, *(f"{found[key]:.2f}" for key in ("median", "p5", "p95"))] for size, found in frames.items()]
    return Table(f"Frames, {OURS}", rows)


def _quality_tables(quality: Mapping[str, Any]) -> list[Table]:
    found = []
    for size in ("1", f"{LARGE}"):
        if size in quality:
            rows = [["PSNR, dB (least)", *(f"against {of}" for of in TRUTHS)]]
            for name, by_truth in quality[size].items():
                rows.append([name, *(f"{by_truth[of]['mean']:.1f} ({by_truth[of]['least']:.1f})" for of in TRUTHS)])
            found.append(Table(f"Quality, {size} megapixels", rows))
    return found


def _sizes_table(quality: Mapping[str, Any]) -> Table:
    rows = [["PSNR, dB, the least", *(f"{size} MP" for size in quality)]]
    for name in next(iter(quality.values())):
        rows.append([name, *(f"{found[name]['bilinear']['least']:.1f}" for found in quality.values())])
    return Table("Quality over sizes, against bilinear", rows)


def accuracy_table(found: Mapping[str, Any]) -> Table:
    """Of one measurement of accuracy."""
    rows = [["", "accuracy, %", "answers other than the plain way's", "other than from full decode in floats"]]
    for name, route in found["routes"].items():
        rows.append([
            name, f"{route['accuracy']:.2f}", str(route["other_than_plain"]), str(route["other_than_truth"])
        ])  # fmt: skip
    title = (
        f"Accuracy: {found['questions']} questions about {found['pictures']} photographs ({found['data']}, "
        f"{found['split']}), enlarged to {found['megapixels']:g} megapixels; {found['model']}"
    )
    return Table(title, rows)


def _ahead(median: float, ours: float) -> bool:
    """Quicker than ours by as much as two decimals show."""
    return median / ours < 0.995


def _stressed(text: str, so: bool) -> str:
    return f"**{text}**" if so else text


def notes(result: Mapping[str, Any]) -> list[str]:
    """What one has to know to judge the tables."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    found = [
        f"{result['processor']}, one core, {result['system']}, {result['date']}; {versions}.",
        f"Photos made of: {result['pictures']}; JPEG quality {result['jpeg_quality']}; to {result['side']} x "
        f"{result['side']} pixels.",
    ]
    found += [f"{name}: left out: {why}." for name, why in result["left_out"].items()]
    before, after = result["load"]
    if max(before, after) > 1.5:
        found.append(f"The machine was busy with other things (load {before:.1f} before, {after:.1f} after).")
    return found


def as_text(shown: Sequence[Table], below: Sequence[str] = ()) -> str:
    """For a terminal."""
    parts = []
    for table in shown:
        widths = [max(len(row[i]) for row in table.rows) for i in range(len(table.rows[0]))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in table.rows]
        parts.append("\n".join([table.title, *lines]))
    return "\n\n".join([*parts, *(["\n".join(below)] if below else [])])


def as_markdown(shown: Sequence[Table], below: Sequence[str] = ()) -> str:
    """For a document."""
    parts = []
    for table in shown:
        heading, *body = ("| " + " | ".join(row) + " |" for row in table.rows)
        parts.append("\n".join([f"**{table.title}**", "", heading, "|" + "---|" * len(table.rows[0]), *body]))
    return "\n\n".join([*parts, *(["\n".join(f"- {line}" for line in below)] if below else [])])


def fill(document: Path, result: Mapping[str, Any]) -> None:
    """Put the tables between the document's marks. Raises ValueError when it has none."""
    fill_block(document, "photos", as_markdown(tables(result), notes(result)))


def last_line(result: Mapping[str, Any]) -> str:
    """`photos_1mp=R photos_12mp=R psnr_12mp=DB accuracy_change=POINTS`; n/a where something was not measured."""
    found = figures(result)
    shown = {
        **{key: f"{found[key]:.2f}" for key in ("photos_1mp", "photos_12mp")}, "psnr_12mp": f"{found['psnr_12mp']:.1f}",
        "accuracy_change": change(result["accuracy"]) if result["accuracy"] else "n/a",
    }  # fmt: skip
    return " ".join(f"{key}={'n/a' if math.isnan(found[key]) else text}" for key, text in shown.items())


def change(accuracy: Mapping[str, Any]) -> str:
    """Points of accuracy gained (+) or lost (-) by our way, to two decimals."""
    return f"{accuracy['change'] + 0.0:+.2f}"
