"""A picture's way to the model's pixels: the engine's resize, and from a JPEG; Pillow's pixels, then the time."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_size_t
from typing import Any

import pytest
from PIL import Image

from bench.growth.pictures import jpeg, mosaic
from bench.suite.conftest import Tell
from edge_vqa import pillow_image
from edge_vqa.engines import native
from edge_vqa.image import picture_pixels

SIDE = 224
SIZES = ((640, 480), (1280, 720), (1920, 1080), (4000, 3000))


def squeezed(image: Image.Image) -> bytes:
    """Across, then down, each by Pillow."""
    across = image.resize((SIDE, image.height), Image.Resampling.BILINEAR)
    return across.resize((SIDE, SIDE), Image.Resampling.BILINEAR).tobytes()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_resize(benchmark: Any, tell: Tell, width: int, height: int) -> None:
    pixels = mosaic(width, height)
    resize = ctypes.CDLL(native.load_library().path).evqa_resize
    resize.restype, resize.argtypes = c_int, (POINTER(native._Image), c_int32, c_char_p, c_size_t)
    frame = pixels.tobytes()
    image = native._Image(0, width, height, (c_char_p * 2)(frame, None))
    out = ctypes.create_string_buffer(SIDE * SIDE * 3)
    assert resize(byref(image), SIDE, out, len(out)) == 0
    assert out.raw == squeezed(Image.fromarray(pixels))
    tell("resize", megapixels=width * height / 1e6)
    benchmark(resize, byref(image), SIDE, out, len(out))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_jpeg(benchmark: Any, tell: Tell, width: int, height: int) -> None:
    data = jpeg(mosaic(width, height))
    assert picture_pixels(data, SIDE) == pillow_image.picture_pixels(data, SIDE)
    tell("JPEG to pixels", megapixels=width * height / 1e6, megabytes=len(data) / 1e6)
    benchmark(picture_pixels, data, SIDE)
