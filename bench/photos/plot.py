"""The result as a picture: time and quality of every route over the photo's size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .maker import CAMERA
from .routes import OURS, PLAIN

_MARKERS = "osv^<>DPX*"


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Milliseconds over megapixels, both logarithmic; the least PSNR over megapixels."""
    figure, (times, quality) = plt.subplots(1, 2, figsize=(12, 5.4), layout="constrained")
    photos = [photo for photo in result["photos"] if photo["kind"] == CAMERA]
    for n, name in enumerate(result["routes"]):
        style = {
            "marker": _MARKERS[n % len(_MARKERS)], "markersize": 5, "color": f"C{n}", "label": name,
            "linewidth": 2.6 if name == OURS else 1.2, "zorder": 3 if name == OURS else 2,
            "linestyle": "-" if name in (OURS, PLAIN) else "--",
        }  # fmt: skip
        times.plot([p["megapixels"] for p in photos], [p["times"][name]["median"] for p in photos], **style)
        sizes = [float(size) for size in result["quality"]]
        quality.plot(sizes, [found[name]["bilinear"]["least"] for found in result["quality"].values()], **style)
    times.set(xscale="log", yscale="log", ylabel="milliseconds, one core (median)", title="Photo to pixels")
    quality.set(xscale="log", ylabel="least PSNR, dB, bilinear truth", title="Quality of the worst photo")
    _megapixels(times, [p["megapixels"] for p in photos])
    _megapixels(quality, [0.3, 1, 3, 12, 24])
    figure.legend(*times.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _megapixels(axes: Axes, ticks: list[float]) -> None:
    axes.set_xlabel("megapixels")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
