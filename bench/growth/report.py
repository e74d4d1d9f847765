"""A result as text and as the marked blocks of a document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.peers.report import fill_block

from .session import too_fast

COST = {"ms": "ms", "MB": "MB"}


def as_text(result: Mapping[str, Any]) -> str:
    """For a terminal: every curve with all its points."""
    lines = [about(result)]
    for curve in result["curves"].values():
        lines += ["", f"{curve['title']}: {growth(curve)}", *_point_lines(curve)]
    return "\n".join([*lines, "", *notes(result)])


def _point_lines(curve: Mapping[str, Any]) -> list[str]:
    cost = curve["cost"]
    lines = [f"  {curve['unit']:>10} {cost:>10} {'p5':>10} {'p95':>10}  {cost} a {curve['unit']}"]
    for p in curve["points"]:
        values = " ".join(f"{number(p[k]):>10}" for k in ("work", "median", "p5", "p95"))
        extra = f"  speed-up {p['speed_up']:.2f}, efficiency {p['efficiency']:.2f}" if "speed_up" in p else ""
        lines.append(f"  {values}  {number(p['per_unit'])}{extra}{_label(curve, p)}")
    return lines


def _label(curve: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    return f"  ({point['label']})" if "label" in point else ""


def growth(curve: Mapping[str, Any]) -> str:
    """The exponent with its uncertainty, in words."""
    if "speed_up" in curve["points"][-1]:
        last = curve["points"][-1]
        return f"{last['speed_up']:.2f} times as fast with {last['work']}, efficiency {last['efficiency']:.2f}"
    found = curve["exponent"]
    if found is None:
        return "too few or too noisy points for an exponent"
    too = ": **faster than its work**" if curve["too_fast"] else ""
    return f"exponent {found['value']:.2f} ± {found['uncertainty']:.2f}{too}"


def as_markdown(result: Mapping[str, Any]) -> str:
    """One row a curve."""
    heading = ("what grows", "work", "from", "to", "cost from", "to", "fixed", "for each one more", "exponent")
    lines = [f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
    for curve in result["curves"].values():
        first, last, cost, unit = curve["points"][0], curve["points"][-1], curve["cost"], curve["unit"]
        if "line" in curve:
            fixed, each = (f"{number(curve['line'][k])} {cost}" for k in ("fixed", "per_unit"))
            each += f" a {unit}"
        else:
            fixed, each = "", ""
        ends = " | ".join(f"{_end(p)}" for p in (first, last))
        costs = " | ".join(f"{number(p['median'])} {cost}" for p in (first, last))
        lines.append(f"| {curve['title']} | {_plural(unit)} | {ends} | {costs} | {fixed} | {each} | {_cell(curve)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in (about(result), *notes(result)))])


def _end(point: Mapping[str, Any]) -> str:
    return f"{number(point['work'])} ({point['label']})" if "label" in point else number(point["work"])


def _plural(unit: str) -> str:
    return unit if unit.isupper() else f"{unit}s"


def _cell(curve: Mapping[str, Any]) -> str:
    return growth(curve).removeprefix("exponent ")


def points_as_markdown(result: Mapping[str, Any]) -> str:
    """Every point: median, and in brackets 5th and 95th percentile."""
    parts = []
    for curve in result["curves"].values():
        cost, unit = curve["cost"], curve["unit"]
        lines = [
            f"**{curve['title']}**", "",
            f"| {_plural(unit)} | {cost}: median (5 %, 95 %) | {cost} a {unit} |", "|---|---|---|",
        ]  # fmt: skip
        for p in curve["points"]:
            spread = f"{number(p['median'])} ({number(p['p5'])}, {number(p['p95'])})"
            lines.append(f"| {_end(p)} | {spread} | {number(p['per_unit'])} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def about(result: Mapping[str, Any]) -> str:
    """Where and when."""
    return (
        f"{result['processor']}, {result['processors']} processors, {result['engine']} engine with kernels for "
        f"{result['isa']}, Python {result['python']}, {result['system']}, {result['date']}."
    )


def notes(result: Mapping[str, Any]) -> list[str]:
    """What was found, and what makes the figures doubtful."""
    named = [result["curves"][name]["title"] for name in too_fast(result)]
    found = [f"Grows faster than its work: {', '.join(named) or 'nothing that was measured'}."]
    size = result["curves"].get("size")
    if size and size["exponent_of_bytes"]:
        e, line = size["exponent_of_bytes"], size["line_of_bytes"]
        found.append(
            f"JPEG to pixels by megabytes of JPEG: exponent {e['value']:.2f} ± {e['uncertainty']:.2f}, "
            f"{number(line['per_unit'])} ms a megabyte."
        )
    if max(result["load"]) > 1.5:
        before, after = result["load"]
        found.append(f"The machine was busy with other things (load {before:.1f} before, {after:.1f} after).")
    return found


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def fill(document: Path, result: Mapping[str, Any]) -> None:
    """Put both tables between the document's marks. Raises ValueError when it has none."""
    fill_block(document, "growth", as_markdown(result))
    fill_block(document, "growth-points", points_as_markdown(result))
