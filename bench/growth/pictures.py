"""Pictures of any size with as many bytes a pixel as a camera's, made of the example pictures."""

from __future__ import annotations

import functools
import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from edge_vqa import EdgeVQAError
from edge_vqa.evqa_tensors import Array

from .timing import ROOT

EXAMPLES = ROOT / "examples"
NOISE = 6.0
"""Standard deviation of the noise, of 255: about a phone's sensor indoors."""
QUALITY = 90


def size_of(megapixels: float) -> tuple[int, int]:
    """Width and height, 4 to 3, of no more than so many millions of pixels."""
    width = int(math.sqrt(megapixels * 1e6 * 4 / 3))
    return width, width * 3 // 4


def mosaic(width: int, height: int) -> Array:
    """[height, width, 3] uint8: the example pictures side by side, again and again, with noise."""
    row = _row()
    across, down = -(-width // row.shape[1]), -(-height // row.shape[0])
    return np.ascontiguousarray(np.tile(row, (down, across, 1))[:height, :width])


@functools.cache
def _row() -> Array:
    random, tiles = np.random.default_rng(0), []
    for file in sorted(EXAMPLES.glob("*.jpg")):
        with Image.open(file) as picture:
            tile = np.asarray(picture.convert("RGB"), np.float32)
        noisy = tile + random.normal(0, NOISE, (*tile.shape[:2], 1)).astype(np.float32)
        tiles.append(np.clip(noisy, 0, 255).astype(np.uint8))
    if not tiles:
        raise EdgeVQAError(f"{EXAMPLES}: holds no pictures")
    return np.concatenate(tiles, 1)


def jpeg(pixels: Array) -> bytes:
    """As a JPEG with half the colour resolution each way, as cameras write it."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY, subsampling="4:2:0")
    return out.getvalue()


def make_folder(folder: Path, count: int, width: int = 640, height: int = 480) -> list[Path]:
    """So many different pictures as files: parts of one mosaic, each a little further to the right."""
    step, paths = 128, []
    wide = mosaic(width + step * count, height)
    for number in range(count):
        paths.append(folder / f"{number:03}.jpg")
        paths[-1].write_bytes(jpeg(wide[:, number * step : number * step + width]))
    return paths
