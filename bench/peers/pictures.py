"""The pictures that are asked about, made of the examples: small ones for cold starts, and photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .contender import PeerError
from .environments import ROOT

PICTURES = ROOT / "examples"

SIZES = {"0.05mp": (256, 192), "1mp": (1152, 864), "12mp": (4000, 3000)}
"""Width and height of the photographs: 4 to 3, as cameras have it."""

QUALITY = 92
NOISE = 5.0
"""Standard deviation of the noise on each pixel, of 255: it makes 12 megapixels the 3 to 4 MB that phones write."""


@dataclass(frozen=True)
class Photo:
    """A JPEG of SIZES[name]."""

    name: str
    path: Path
    width: int
    height: int
    bytes: int


def examples() -> list[Path]:
    """The example pictures, in the order of their names. Raises PeerError when there are none."""
    sources = sorted(PICTURES.glob("*.jpg"))
    if not sources:
        raise PeerError(f"{PICTURES}: holds no pictures")
    return sources


def small_pictures(side: int, folder: Path) -> list[Path]:
    """The example pictures as JPEGs of side x side pixels, so that decoding them costs little and the same for all."""
    made = []
    for source in examples():
        made.append(folder / source.name)
        with Image.open(source) as picture:
            picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC).save(made[-1], quality=90)
    return made


def photographs(folder: Path) -> list[Photo]:
    """One of each size: an example enlarged, with the same noise each time; baseline JPEG, 4:2:0."""
    made = []
    with Image.open(examples()[0]) as picture:
        source = picture.convert("RGB")
    height = source.width * 3 // 4  # the middle of it
    top = (source.height - height) // 2
    for name, size in SIZES.items():
        enlarged = source.resize(size, Image.Resampling.BICUBIC, box=(0, top, source.width, top + height))
        noise = np.random.default_rng(0).normal(0, NOISE, (size[1], size[0], 1)).astype(np.float32)
        pixels = np.clip(np.asarray(enlarged) + noise, 0, 255).astype(np.uint8)
        path = folder / f"photo-{name}.jpg"
        Image.fromarray(pixels).save(path, quality=QUALITY, subsampling="4:2:0")
        made.append(Photo(name, path, *size, path.stat().st_size))
    return made
