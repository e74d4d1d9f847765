"""Pictures of results, drawn with matplotlib and without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, NullLocator


def draw_curves(history: list[dict[str, Any]], path: Path, title: str) -> None:
    """Loss and accuracy by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    epochs = [r["epoch"] for r in history]
    left.plot(epochs, [r["loss"] for r in history], label="answers (training)")
    parts = (("look", "where to look"), ("things", "things (/10)"), ("dish", "dish"), ("mimic", "what the teacher saw"))
    for key, label in ((k, text) for k, text in parts if k in history[0]):
        left.plot(epochs, [r[key] * (0.1 if key == "things" else 1) for r in history], label=label, linewidth=0.8)
    left.set(xlabel="epoch", ylabel="loss", title="loss", ylim=(0, None))
    left.legend()
    right.plot(epochs, [r["accuracy"] for r in history], label="training views")
    measured = [r for r in history if "val_accuracy" in r]
    right.plot([r["epoch"] for r in measured], [r["val_accuracy"] for r in measured], "o-", label="val")
    right.set(xlabel="epoch", ylabel="accuracy", title="accuracy")
    right.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_confusion(labels: list[str], counts: Any, path: Path, title: str) -> None:
    """Shares of each true dish's answers; rows are true dishes."""
    shares = counts.float() / counts.sum(1, keepdim=True).clamp_min(1)
    size = 3 + 0.22 * len(labels)
    figure, axes = plt.subplots(figsize=(size, size), layout="constrained")
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
    axes.set_yticks(
        range(len(labels) - 1), [f"{name} ({n})" for name, n in zip(labels, counts.sum(1).tolist())], fontsize=7
    )
    axes.set(xlabel="answered", ylabel="true (questions)", title=title)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_kinds(by_kind: dict[str, float], counts: dict[str, int], path: Path, title: str) -> None:
    """Accuracy by kind of question, best first."""
    kinds = sorted(by_kind, key=lambda k: by_kind[k])
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(kinds) + 1.2), layout="constrained")
    bars = axes.barh([f"{k} ({counts[k]})" for k in kinds], [by_kind[k] for k in kinds])
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.set(xlim=(0, 1.1), xlabel="accuracy", title=title)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_reliability(rows: list[dict[str, float]], error: float, path: Path, title: str) -> None:
    """Accuracy against confidence; a calibrated model lies on the diagonal."""
    figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    axes.plot([0, 1], [0, 1], "k--", linewidth=0.8)
    axes.plot([r["confidence"] for r in rows], [r["accuracy"] for r in rows], "o-")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="confidence",
        ylabel="accuracy",
        title=f"{title}: calibration error {error:.3f}",
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_pareto(rows: list[dict[str, Any]], path: Path) -> None:
    """Accuracy against milliseconds and against bytes, a line a width, a mark a picture size; see export.pareto."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for axes, cost, scale, label in (
        (panels[0], "encoder_ms", 1.0, "encoder, ms a picture (one thread)"),
        (panels[1], "bytes", 1e-6, "int8 file, MB"),
    ):
        for width in sorted({r["multiplier"] for r in rows if r["name"] != "tiny"}):
            line = sorted(
                (r for r in rows if r["multiplier"] == width and r["name"] != "tiny"), key=lambda r: r["side"]
            )
            values = [r[cost] * scale for r in line]
            axes.plot(values, [r["val_accuracy"] for r in line], "o-", label=f"width {width:g}")
            for r, value in zip(line, values, strict=True):
                axes.annotate(str(r["side"]), (value, r["val_accuracy"]), (4, -9), textcoords="offset points", size=7)
        for r in (r for r in rows if r["name"] == "tiny"):
            axes.plot(r[cost] * scale, r["val_accuracy"], "k*", markersize=13, label=f"tiny ({r['side']})")
        axes.set(xlabel=label)
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="accuracy on val, int8", xscale="log")
    panels[0].xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50]))
    panels[0].xaxis.set_major_formatter("{x:g}")
    panels[0].xaxis.set_minor_locator(NullLocator())
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
