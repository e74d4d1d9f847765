"""How near pixels come to those that a full-size decode and a proper resize in floating point give.

A resize that antialiases is not one thing: each filter weighs the pixels under an output pixel in its own way, and
these differ from each other by far more than any of them loses by being computed quickly. So there is a truth for each
filter in common use, and a route is judged against all:

- bilinear: a triangle over two output pixels each way, Pillow's BILINEAR. The model was trained on it: this is what
  the model should be given, and the first truth.
- area: the mean over exactly the area of the output pixel, OpenCV's INTER_AREA.
- bicubic: Pillow's BICUBIC, the default of its resize.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

TRUTHS = ("bilinear", "area", "bicubic")

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def decode_full(data: bytes) -> np.ndarray:
    """All pixels of a JPEG file, [H,W,3] uint8."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def truth(picture: np.ndarray, side: int, name: str) -> np.ndarray:
    """Pixels [H,W,3] uint8 resized to [side,side,3] float32 without any rounding to whole levels."""
    channels = []
    for c in range(3):
        channel = picture[:, :, c].astype(np.float32)
        if name == "area":
            channels.append(_mean_over_areas(_mean_over_areas(channel, side).T, side).T)
        else:
            channels.append(np.asarray(Image.fromarray(channel).resize((side, side), _FILTERS[name])))
    return np.stack(channels, axis=-1).astype(np.float32)


def rounded(pixels: np.ndarray) -> np.ndarray:
    """Floats to the nearest of the levels 0 to 255, uint8."""
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def psnr(pixels: np.ndarray, wanted: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(255^2 / mean squared difference); infinite for equal pixels."""
    error = float(np.mean((pixels.astype(np.float64) - wanted) ** 2))
    return 10 * math.log10(255.0**2 / error) if error else math.inf


def _mean_over_areas(rows: np.ndarray, count: int) -> np.ndarray:
    """[N,W] to [N,count]: means over `count` equal parts of each row, whose borders may lie within pixels.

    The integral from a row's start is linear between pixels' borders, so interpolating it is exact.
    """
    width = rows.shape[1]
    integral = np.zeros((len(rows), width + 1))
    np.cumsum(rows, axis=1, dtype=np.float64, out=integral[:, 1:])
    borders = np.arange(count + 1) * (width / count)
    before = np.minimum(borders.astype(np.int64), width - 1)
    part = borders - before
    at = integral[:, before] * (1 - part) + integral[:, before + 1] * part
    return np.diff(at, axis=1) * (count / width)
