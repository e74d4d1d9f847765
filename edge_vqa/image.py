"""From a picture as cameras and people hand it over to the model's pixels: RGB, uint8, square.

Training, evaluation and serving all come through here, so the model is judged on what it is given. Ordinary JPEGs are
decoded, and frames of 8 bits resized, by the native engine; everything else goes through Pillow, which is loaded when
it is needed. Both give the same pixels.
"""

from __future__ import annotations

import os
import stat
import sys
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

MAX_PIXELS = 50_000_000
"""Larger pictures are refused before they are decoded."""

ROOM = 1.5
"""A JPEG is decoded scaled where that leaves this many times the model's side each way. What that costs
against the resize of all pixels is below one level of 255 (root of the mean square; docs/photos.md has the figures)."""


def picture_pixels(source: ImageLike, side: int) -> bytes:
    """What a model is given of a picture: `side` x `side` RGB pixels, 3 bytes each, row by row.

    The upright picture is squeezed, so that every part of it stays in view, with an antialiased bilinear filter. JPEGs
    are decoded at 1/2, 1/4 or 1/8 scale where that leaves ROOM. Raises ImageError for anything that is not a complete
    picture of at most 50 megapixels.
    """
    data = _jpeg_bytes(source)
    pixels = _native_pixels(source, data, side)
    if pixels is not None:
        return pixels
    from . import pillow_image

    return pillow_image.picture_pixels(source, side)


def load_image(source: ImageLike, side: int = 224) -> Image.Image:
    """The upright RGB picture behind `source`, for people to look at, decoded no larger than needed.

    JPEGs are decoded at 1/2, 1/4 or 1/8 scale where that leaves at least `side` pixels each way. EXIF orientation is
    applied whatever the source is. Raises ImageError for anything that is not a complete picture of at most 50
    megapixels.
    """
    from . import pillow_image

    return pillow_image.load_image(source, side)


def _jpeg_bytes(source: ImageLike) -> bytes | None:
    """The whole file, where it is a JPEG's. None: it is not, or Pillow shall say what is wrong with it."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        try:
            return bytes(source) if bytes(source[:3]) == _JPEG else None
        except (ValueError, NotImplementedError):  # a view that has been released, or is none of bytes
            return None
    if not isinstance(source, (str, os.PathLike)):
        return None
    try:
        path = os.fsdecode(source)
        # What comes out of a pipe could not be read again; one that is opened and closed unread kills its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size > _MOST_BYTES or stream.read(3) != _JPEG:
                return None
            stream.seek(0)
            return stream.read()
    except (OSError, ValueError):
        return None


def _is_pil(source: ImageLike) -> bool:
    """Whether it is a PIL picture, whose `__array_interface__` would decode it."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(source, pil.Image)


def _native_pixels(source: ImageLike, jpeg: bytes | None, side: int) -> bytes | None:
    """None: neither an ordinary JPEG nor a frame of 8 bits a sample, or there is no native engine."""
    if jpeg is None and (_is_pil(source) or not hasattr(source, "__array_interface__")):
        return None
    try:
        from .engines import native

        return native.jpeg_pixels(jpeg, side) if jpeg is not None else native.array_pixels(source, side)
    except (ImportError, EngineError):
        return None
