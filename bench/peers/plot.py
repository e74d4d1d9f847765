"""A result as bars: a chart for each column, our package first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

from .report import Column, compact_columns, value_of

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OURS, PEER = "tab:green", "tab:gray"
CUT = 8.0
"""How many times as long as ours a bar may be."""


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Horizontal bars, shorter is better; bars much longer than ours are cut off. Raises OSError."""
    columns = compact_columns(result)
    across = min(4, len(columns))
    down = -(-len(columns) // across)
    height = 0.32 * len(result["contenders"]) + 0.9
    figure, axes = plt.subplots(
        down, across, figsize=(3.4 * across, height * down), layout="constrained", squeeze=False
    )
    for place, column in zip(axes.flat, columns):
        _draw_column(place, result, column)
        place.set_title(column.heading, fontsize=9)
    for place in axes.flat[len(columns) :]:
        place.set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_column(axes: Any, result: Mapping[str, Any], column: Column) -> None:
    values = {name: value_of(result, name, column.key) for name in result["contenders"]}
    medians = {name: value["median"] for name, value in values.items() if value}
    longest = min(max(medians.values()), CUT * medians.get(result["own"], float("inf")))
    colours = [OURS if name == result["own"] else PEER for name in medians]
    axes.barh(list(medians), [min(value, longest) for value in medians.values()], color=colours)
    for place, value in enumerate(medians.values()):
        text = f"{value:.{column.digits}f}"
        axes.text(
            min(value, longest), place, f" {text}" if value <= longest else f" ... {text}", va="center", fontsize=8
        )
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * longest)
    axes.tick_params(labelsize=8)
