"""Photos as cameras make them, from smaller pictures: enlarged, with the grain of a sensor, the same on every run."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from edge_vqa.errors import DataError
from export.data import load_dataset

EXAMPLES = Path(__file__).parents[2] / "examples"

QUALITY = 92
"""Of the JPEG, as Pillow counts (and libjpeg)."""

GRAIN = 4.0
"""Standard deviation of the noise, of 255 levels. Grey: a camera smooths colour noise away. It brings a photo of 12
megapixels to about 3 MB, as cameras' are; without it an enlarged picture has little to decode."""

CAMERA = "4:2:0"
KINDS: dict[str, dict[str, Any]] = {
    CAMERA: {"subsampling": "4:2:0"},
    "restart markers": {"subsampling": "4:2:0", "restart_marker_rows": 1},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive": {"subsampling": "4:2:0", "progressive": True},
}
"""How the colours of a JPEG are stored, or what else is different, as Pillow's options. The first is the usual kind."""

_STRIP = 256  # rows that get their grain at a time: a photo of 48 megapixels never exists in floats


def size_of(megapixels: float) -> tuple[int, int]:
    """Width and height of a photo of so many megapixels, 4 to 3."""
    width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
    return width, round(width * 3 / 4)


def make_photo(picture: Image.Image, megapixels: float, seed: int, kind: str = CAMERA) -> bytes:
    """A JPEG file of `size_of(megapixels)` pixels, showing the middle of an RGB picture."""
    large = ImageOps.fit(picture, size_of(megapixels), Image.Resampling.LANCZOS)
    return _store(large, seed, kind)


def make_whole_photo(picture: Image.Image, megapixels: float, seed: int) -> bytes:
    """A JPEG file of about so many megapixels, showing all of an RGB picture."""
    factor = math.sqrt(megapixels * 1e6 / (picture.width * picture.height))
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return _store(picture.resize(size, Image.Resampling.LANCZOS), seed, CAMERA)


def _store(picture: Image.Image, seed: int, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(add_grain(np.asarray(picture), seed)).save(out, "JPEG", quality=QUALITY, **KINDS[kind])
    return out.getvalue()


def add_grain(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Pixels [H,W,3] uint8 with normal noise of deviation GRAIN, the same in all three colours."""
    draw = np.random.default_rng(seed)
    out = np.empty_like(pixels)
    for top in range(0, len(pixels), _STRIP):
        strip = pixels[top : top + _STRIP]
        grain = np.rint(draw.standard_normal(strip.shape[:2], np.float32) * GRAIN).astype(np.int16)
        out[top : top + _STRIP] = np.clip(strip + grain[:, :, None], 0, 255)
    return out


def read_picture(path: Path) -> Image.Image:
    """Upright, RGB, of its full size. Raises OSError."""
    with Image.open(path) as picture:
        return ImageOps.exif_transpose(picture).convert("RGB")


def pictures(data: Path | None, split: str, count: int) -> list[Image.Image]:
    """What photos are made of: `count` pictures of a data set's split, evenly spaced, or the project's examples.

    Raises DataError when the folder is no data set or its split is empty, OSError.
    """
    if data is None:
        paths = sorted(EXAMPLES.glob("*.jpg"))
    else:
        dataset = load_dataset(data)
        paths = [dataset.image_paths[name] for name in dataset.images(split)]
    if not paths:
        raise DataError(f"{data or EXAMPLES}: holds no pictures" + (f" of {split}" if data else ""))
    count = min(count, len(paths))
    return [read_picture(paths[i * len(paths) // count]) for i in range(count)]
