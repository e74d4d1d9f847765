"""The result as a picture: modelled cycles of an answer on each core."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from .boards import proper
from .report import NAMES


def draw(result: Mapping[str, Any], path: Path) -> None:
    """One panel a core, one bar a contender, the head's cycles on top of the encoder's."""
    cores = result["cores"]
    figure, panels = plt.subplots(1, len(cores), figsize=(3.6 * len(cores), 3.4), layout="constrained", squeeze=False)
    for axes, (core, found) in zip(panels[0], cores.items(), strict=True):
        names = [NAMES[name] for name in found]
        encoder = [c["encoder"]["cycles"] / 1e6 for c in found.values()]
        head = [c["head"]["cycles"] / 1e6 for c in found.values()]
        colours = ["tab:green" if name == "ours" else "tab:grey" for name in found]
        axes.bar(names, encoder, color=colours)
        bars = axes.bar(names, head, bottom=encoder, color="tab:orange")
        axes.bar_label(bars, [f"{a + b:.1f}" for a, b in zip(encoder, head)], fontsize=8)
        axes.set(title=proper(core), ylabel="million cycles, modelled")
        axes.tick_params("x", rotation=30, labelsize=8)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.margins(y=0.12)  # room for the labels
    figure.suptitle("One answer, int8, one thread; orange: the question's part")
    figure.savefig(path, dpi=100)
    plt.close(figure)
