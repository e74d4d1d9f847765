"""From a picture as cameras and people hand it over to the model's pixels: RGB, uint8, square.

Training, evaluation and serving all come through here, so the model is judged on what it is given. Ordinary JPEGs are
decoded by the native engine, everything else by Pillow, which is loaded when it is needed.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, Union

from .errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

ImageLike = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, "Image.Image", "np.ndarray[Any, Any]"]
"""A path, the bytes of a file, a PIL picture, or an array [H,W], [H,W,1], [H,W,3] or [H,W,4] (RGB order)."""

_JPEG = b"\xff\xd8\xff"
_MOST_BYTES = 1 << 27
"""Larger files are not read as a whole."""


def load_image(source: ImageLike, side: int = 224) -> Image.Image:
    """The upright RGB picture behind `source`, decoded no larger than needed for a `side` x `side` model input.

    JPEGs are decoded at 1/2, 1/4 or 1/8 scale where that leaves at least `side` pixels each way. EXIF orientation is
    applied whatever the source is. Raises ImageError for anything that is not a complete picture of 1 to 50 megapixels'
    worth of pixels.
    """
    from . import pillow_image

    return pillow_image.load_image(source, side)


def to_pixels(image: Image.Image, side: int) -> Image.Image:
    """The picture squeezed to `side` x `side` (every part of it stays in view), antialiased bilinear."""
    from . import pillow_image

    return pillow_image.to_pixels(image, side)


def picture_pixels(source: ImageLike, side: int) -> bytes:
    """What a model is given of a picture: `side` x `side` RGB pixels, 3 bytes each, row by row. Raises ImageError.

    The same pixels as those of to_pixels(load_image(source, side), side), whoever decodes the picture.
    """
    data = _jpeg_bytes(source)
    pixels = _jpeg_pixels(data, side) if data is not None else None
    return pixels or to_pixels(load_image(source, side), side).tobytes()


def _jpeg_bytes(source: ImageLike) -> bytes | None:
    """The whole file, where it is a JPEG's. None: it is not, or Pillow shall say what is wrong with it."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        return data if data.startswith(_JPEG) else None
    if not isinstance(source, (str, os.PathLike)):
        return None
    try:
        with open(os.fsdecode(source), "rb", buffering=0) as stream:
            status = os.fstat(stream.fileno())
            # What comes out of a pipe could not be read again.
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES or stream.read(3) != _JPEG:
                return None
            stream.seek(0)
            return stream.read()
    except (OSError, ValueError):
        return None


def _jpeg_pixels(data: bytes, side: int) -> bytes | None:
    """None: no ordinary JPEG, or there is no native engine."""
    try:
        from .engines import native

        return native.jpeg_pixels(data, side)
    except (ImportError, EngineError):
        return None
