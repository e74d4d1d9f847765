"""Pictures of the results: SQNR by layer, and sheets of the photographs whose answers differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from edge_vqa.image import load_image

MOST_ON_A_SHEET = 40
_COLUMNS = 5
_STYLES = {"evqa": "-", "onnx": "--", "tflite": ":"}


def draw_layers(models: Mapping[str, Any], path: Path) -> None:
    """One panel a model, one line a file: SQNR of every layer in dB."""
    drawn = {name: model["layers"] for name, model in models.items() if model["layers"]}
    if not drawn:
        return
    figure, panels = plt.subplots(
        len(drawn), 1, figsize=(11, 3.4 * len(drawn)), layout="constrained", sharey=True, squeeze=False
    )
    for axes, (name, files) in zip(panels[:, 0], drawn.items(), strict=True):
        for kind, found in files.items():
            precision, format_ = kind.split(".")
            names = list(found["sqnr"])
            colour = "tab:red" if precision == "int8" else "tab:blue"
            axes.plot(
                range(len(names)), found["sqnr"].values(), _STYLES[format_], color=colour, linewidth=1.4, label=kind
            )
        every = max(1, len(names) // 30)
        shown = [n for n in range(len(names)) if n % every == 0 or not names[n].startswith("conv")]
        axes.set_xticks(shown, [names[n] for n in shown], rotation=90, fontsize=7)
        axes.set(title=name, ylabel="SQNR, dB", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=2)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_sheet(differences: list[dict[str, Any]], file: str, paths: Mapping[str, Path], path: Path, title: str) -> None:
    """The first MOST_ON_A_SHEET of the questions that `file` answers otherwise than PyTorch, with their pictures."""
    chosen = [d for d in differences if d["files"][file]["answer"] != d["pytorch"]["answer"]][:MOST_ON_A_SHEET]
    if not chosen:
        return
    rows = -(-len(chosen) // _COLUMNS)
    figure, panels = plt.subplots(
        rows, _COLUMNS, figsize=(2.6 * _COLUMNS, 3.1 * rows), layout="constrained", squeeze=False
    )
    for axes in panels.flat:
        axes.axis("off")
    for axes, found in zip(panels.flat, chosen):
        image = load_image(paths[found["picture"]], 160)
        image.thumbnail((160, 160))
        axes.imshow(image)
        full, own = found["pytorch"], found["files"][file]
        text = (
            f"{found['question']}?\nexpected: {found['expected']}\n"
            f"PyTorch: {full['answer']} ({full['probability']:.2f})\n"
            f"{file}: {own['answer']} ({own['probability']:.2f})"
        )
        axes.set_title(text, fontsize=7, loc="left", wrap=True)
    figure.suptitle(title)
    figure.savefig(path, dpi=90)
    plt.close(figure)
