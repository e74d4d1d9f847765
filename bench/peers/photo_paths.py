"""From a JPEG's bytes to the model's pixels as users of other runtimes write it."""

# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any

USUAL, SCALED, OWN = "usual", "scaled", "own"


def decoder(way: str, threads: int) -> Callable[[bytes, int], Any]:
    """The function (JPEG, side) -> uint8 array [side,side,3]. Raises ImportError when its packages are missing."""
    return _usual() if way == USUAL else _scaled(threads)


def _usual() -> Callable[[bytes, int], Any]:
    """Pillow decodes the whole picture and resizes it, antialiased."""
    import numpy as np
    from PIL import Image

    def decode(jpeg: bytes, side: int) -> Any:
        picture = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(picture)

    return decode


def _scaled(threads: int) -> Callable[[bytes, int], Any]:
    """libjpeg-turbo decodes at the smallest scale that is large enough (simplejpeg), OpenCV averages over areas."""
    simplejpeg, cv2 = importlib.import_module("simplejpeg"), importlib.import_module("cv2")
    cv2.setNumThreads(threads)

    def decode(jpeg: bytes, side: int) -> Any:
        picture = simplejpeg.decode_jpeg(
            jpeg, "RGB", fastdct=True, fastupsample=True, min_height=side, min_width=side, min_factor=1
        )
        return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)

    return decode
