"""The curves as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

PANELS: Sequence[tuple[str, tuple[tuple[str, str], ...], str]] = (
    ("Pictures, one after the other", (("pictures", ""),), "pictures"),
    ("Questions about one picture", (("questions", ""),), "questions"),
    ("Words in a question", (("words", ""),), "words"),
    ("Threads of a look", (("threads", ""),), "threads"),
    ("Size of the picture", (("size", "JPEG"), ("arrays", "array")), "megapixels"),
    ("Width of the network", (("width", ""),), "million multiply-accumulates"),
    ("Side of the network's picture", (("side", ""),), "million multiply-accumulates"),
    (
        "Memory",
        (
            ("memory_pictures", "by pictures"),
            ("memory_size", "by megapixels of JPEG"),
            ("memory_arrays", "by megapixels of array"),
        ),
        "pictures, or megapixels",
    ),
)
COLOURS = ("tab:green", "tab:orange", "tab:blue")


def draw(result: Mapping[str, Any], path: Path) -> None:
    """One panel a kind of work, both axes logarithmic: cost in step with the work rises as the dotted lines do."""
    curves = result["curves"]
    panels = [panel for panel in PANELS if any(name in curves for name, _ in panel[1])]
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(3.9 * columns, 3.5 * rows), layout="constrained", squeeze=False)
    for axes, panel in zip(grid.flat, panels):
        title, shown, unit = panel
        drawn = [(curves[name], label) for name, label in shown if name in curves]
        for (curve, label), colour in zip(drawn, COLOURS):
            _curve(axes, curve, label, colour)
        cost = "milliseconds" if drawn[0][0]["cost"] == "ms" else "peak memory, MB"
        axes.set(title=title, xlabel=unit, ylabel=cost, xscale="log", yscale="log")
        _guides(axes)
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(10, (1, 2, 5) if high < 5000 * low else (1,)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(LogLocator(10, ()))
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        if any(label for _, label in drawn):
            axes.legend(fontsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle("Median, bars from the 5th to the 95th percentile. Dotted: cost in step with the work")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _curve(axes: Axes, curve: Mapping[str, Any], label: str, colour: str) -> None:
    points = curve["points"]
    work, median = ([p[k] for p in points] for k in ("work", "median"))
    spread = [[p["median"] - p["p5"] for p in points], [p["p95"] - p["median"] for p in points]]
    axes.errorbar(work, median, spread, fmt="o-", color=colour, label=label or None, markersize=4, linewidth=1)
    for p in points:
        if "label" in p:
            axes.annotate(
                p["label"], (p["work"], p["median"]), (0, 6), textcoords="offset points", ha="center", fontsize=8
            )
    if "speed_up" in points[-1]:
        axes.plot(work, [median[0] / n for n in work], ":", color="tab:grey")


def _guides(axes: Axes) -> None:
    """Dotted lines of exponent 1; the panel of threads, whose cost should fall, has its own."""
    if axes.get_title().startswith("Threads"):
        return
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for start in range(-12, 13):
        factor = low / left * 10**start
        axes.plot([left, right], [factor * left, factor * right], ":", color="tab:grey", linewidth=0.8, zorder=0)
    axes.set(xlim=(left, right), ylim=(low, high))
