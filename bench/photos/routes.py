"""Ways from a JPEG file's bytes to `side` x `side` RGB pixels: ours, and how others write it.

Each takes the bytes and the side, and returns pixels row by row: bytes, or an array [side, side, 3] uint8.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from edge_vqa.image import picture_pixels

Route = Callable[[bytes, int], Any]

OURS = "edge_vqa"
PLAIN = "Pillow, BILINEAR"
"""The plain way, with the filter that the model was trained on; others are held against it."""
DEFAULT = "Pillow, resize's default"
ALIASED = "OpenCV, INTER_LINEAR"

_BILINEAR, _BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def open_routes() -> tuple[dict[str, Route], dict[str, str]]:
    """All routes whose libraries are installed, by name, and why the others are left out."""
    found: dict[str, Route] = {
        OURS: picture_pixels,
        PLAIN: _pillow(_BILINEAR),
        DEFAULT: _pillow(_BICUBIC),
        "Pillow draft, BILINEAR": _pillow(_BILINEAR, draft=True),
    }
    left_out = {}
    for library, module, make in (("OpenCV", "cv2", _opencv), ("simplejpeg", "simplejpeg", _simplejpeg)):
        try:
            found |= make(importlib.import_module(module))
        except ImportError as error:
            left_out[library] = f"not installed ({error})"
    return found, left_out


def as_array(pixels: Any, side: int) -> np.ndarray:
    """What a route returned as an array [side, side, 3] uint8."""
    if isinstance(pixels, bytes):
        pixels = np.frombuffer(pixels, np.uint8).reshape(side, side, 3)
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (side, side, 3) and pixels.dtype == np.uint8, f"{pixels.shape} {pixels.dtype}"
    return pixels


def _pillow(filter_: Image.Resampling, draft: bool = False) -> Route:
    def pixels(data: bytes, side: int) -> np.ndarray:
        picture: Image.Image = Image.open(io.BytesIO(data))
        if draft:
            picture.draft("RGB", (side, side))
        if picture.mode != "RGB":  # convert copies the picture even where nothing is to convert
            picture = picture.convert("RGB")
        return np.array(picture.resize((side, side), filter_))

    return pixels


def _opencv(cv2: Any) -> dict[str, Route]:
    cv2.setNumThreads(1)
    reduced = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}

    def full(interpolation: int) -> Route:
        def pixels(data: bytes, side: int) -> np.ndarray:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            return np.ascontiguousarray(cv2.resize(picture, (side, side), interpolation=interpolation)[:, :, ::-1])

        return pixels

    def scaled(data: bytes, side: int) -> np.ndarray:
        shorter = min(Image.open(io.BytesIO(data)).size)  # OpenCV does not tell before it has decoded
        flag = next((flag for scale, flag in reduced.items() if shorter >= scale * side), cv2.IMREAD_COLOR)
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        return np.ascontiguousarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)[:, :, ::-1])

    return {
        "OpenCV, INTER_AREA": full(cv2.INTER_AREA),
        ALIASED: full(cv2.INTER_LINEAR),
        "OpenCV reduced, INTER_AREA": scaled,
    }


def _simplejpeg(simplejpeg: Any) -> dict[str, Route]:
    def with_pillow(scaled: bool) -> Route:
        def pixels(data: bytes, side: int) -> np.ndarray:
            least = side if scaled else 0
            picture = simplejpeg.decode_jpeg(data, "RGB", min_height=least, min_width=least)
            return np.array(Image.fromarray(picture).resize((side, side), _BILINEAR))

        return pixels

    found = {"simplejpeg, BILINEAR": with_pillow(False), "simplejpeg scaled, BILINEAR": with_pillow(True)}
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return found

    def with_opencv(data: bytes, side: int) -> np.ndarray:
        picture = simplejpeg.decode_jpeg(data, "RGB", min_height=side, min_width=side)
        resized = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        assert isinstance(resized, np.ndarray)
        return resized

    return {**found, "simplejpeg scaled, INTER_AREA": with_opencv}
