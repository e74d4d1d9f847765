"""Any picture that Pillow reads, upright and RGB: behind the functions of image.py, which say more."""

from __future__ import annotations

import io
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image, UnidentifiedImageError

from .errors import ImageError
from .image import MAX_PIXELS, ROOM

if TYPE_CHECKING:
    from .image import ImageLike

FORMATS = frozenset(
    {"JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "TGA", "ICO", "JPEG2000", "AVIF", "HEIF"}
)
"""Formats that are decoded (the last two where Pillow can). Others are refused: some make Pillow start programs."""

_ORIENTATION = 0x0112  # EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""


def picture_pixels(source: ImageLike, side: int) -> bytes:
    """See image.picture_pixels."""
    decoded = _decode(source, math.ceil(ROOM * side))
    # Turned when it is small; which of the file's own axes is squeezed first does not change by that.
    return _turn(_squeeze(decoded.image, decoded.width, decoded.height, side), decoded.orientation).tobytes()


def load_image(source: ImageLike, side: int) -> Image.Image:
    """See image.load_image."""
    decoded = _decode(source, side)
    return _turn(decoded.image, decoded.orientation)


class _Decoded(NamedTuple):
    image: Image.Image
    """RGB, as it lies in the file."""
    width: float
    """In pixels of `image`; less than its own where a scaled decode ends within a pixel."""
    height: float
    orientation: int
    """EXIF's: 1 is upright."""


def _decode(source: ImageLike, draft: int) -> _Decoded:
    """`draft`: the least side in pixels that a scaled decode may leave."""
    if isinstance(source, Image.Image):
        return _rgb(source, "the picture", None)
    if isinstance(source, (bytes, bytearray, memoryview)):
        try:
            return _open(io.BytesIO(bytes(source)), "the picture", draft)
        except (ValueError, NotImplementedError) as error:  # a view that has been released, or is none of bytes
            raise ImageError(f"the picture cannot be read ({error})") from error
    if isinstance(source, (str, os.PathLike)):
        name = os.fsdecode(source)
        try:
            with open(name, "rb") as stream:
                return _open(stream, name, draft)
        except (OSError, ValueError) as error:
            raise ImageError(f"{name}: {getattr(error, 'strerror', None) or error}") from error
    if hasattr(source, "__array_interface__"):
        image = _from_array(source)
        return _Decoded(image, image.width, image.height, 1)
    raise ImageError(f"a picture must be a path, bytes, a PIL picture or an array, not {type(source).__name__}")


def _squeeze(image: Image.Image, width: float, height: float, side: int) -> Image.Image:
    """The first `width` x `height` pixels, squeezed to `side` x `side`, antialiased bilinear.

    First across, then down: in one call, which comes first, and so how pixels are rounded, depends on Pillow's version.
    """
    bilinear = Image.Resampling.BILINEAR
    if (image.width, width) != (side, side):
        image = image.resize((side, image.height), bilinear, box=(0, 0, width, image.height))
    if (image.height, height) != (side, side):
        image = image.resize((side, side), bilinear, box=(0, 0, side, height))
    return image


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _open(stream: Any, name: str, draft: int) -> _Decoded:
    try:
        image = _open_jpeg(stream) or Image.open(stream)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: too large ({error})") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not a picture that can be read") from error
    except Exception as error:
        raise ImageError(f"{name}: damaged picture ({error})") from error
    if image.format not in FORMATS:
        raise ImageError(f"{name}: {image.format} is not a format of pictures that is read")
    return _rgb(image, name, draft)


def _open_jpeg(stream: Any) -> Image.Image | None:
    """A JPEG, which most pictures are, without loading Pillow's readers of every other format. None: not a good one."""
    magic = stream.read(3)
    stream.seek(0)
    if magic != b"\xff\xd8\xff":
        return None
    from PIL import JpegImagePlugin

    try:
        return JpegImagePlugin.jpeg_factory(stream)
    except Exception:  # Image.open says what is wrong with it
        stream.seek(0)
        return None


def _rgb(image: Image.Image, name: str, draft: int | None) -> _Decoded:
    """`draft`: decode a JPEG scaled to no less than this side; None leaves the caller's own picture as it is."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name}: {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} megapixels are read")
    if width < 1 or height < 1:
        raise ImageError(f"{name}: the picture has no pixels")
    try:
        drafted = None
        if image.format in ("JPEG", "MPO") and draft is not None:
            drafted = image.draft("RGB", (draft, draft))
        image.load()
        orientation = image.getexif().get(_ORIENTATION, 1)
        size = drafted[1][2:] if drafted else image.size
        return _Decoded(_to_rgb(image), size[0], size[1], orientation)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"{name}: damaged or truncated picture ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: 16-bit and float greys are scaled to 8 bits, transparency is laid on white."""
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        image = image.convert("I")
        return image.point(lambda v: v * (1 / 256)).convert("L").convert("RGB")
    if image.mode == "I":
        scale = 1 / 256 if _range(image)[1] > 255 else 1.0
        return image.point(lambda v: v * scale).convert("L").convert("RGB")
    if image.mode == "F":
        return _scaled_float(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _range(image: Image.Image) -> tuple[float, float]:
    """Smallest and largest value of a picture of one channel."""
    low, high = image.getextrema()
    assert not isinstance(low, tuple) and not isinstance(high, tuple)
    return low, high


def _scaled_float(image: Image.Image) -> Image.Image:
    low, high = _range(image)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError("the picture holds values that are not numbers")
    scale = 255.0 if high <= 1.0 else 1.0
    return image.point(lambda v: v * scale).convert("L").convert("RGB")


def _from_array(array: Any) -> Image.Image:
    try:
        import numpy as np

        array = np.asarray(array)
    except Exception as error:  # the array's own code runs here
        raise ImageError(f"the array cannot be read ({error})") from error
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageError(f"an array must be [H,W], [H,W,1], [H,W,3] or [H,W,4], not {list(array.shape)}")
    if array.shape[0] < 1 or array.shape[1] < 1:
        raise ImageError("the picture has no pixels")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise ImageError(
            f"{array.shape[1]} x {array.shape[0]} pixels; at most {MAX_PIXELS // 1_000_000} megapixels are read"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ImageError("the picture holds values that are not numbers")
        array = array * (255.0 if array.max() <= 1.0 else 1.0)
    elif (array.dtype.kind, array.dtype.itemsize) == ("u", 2):
        array = array >> 8
    elif array.dtype == np.bool_:
        array = array * 255
    elif array.dtype.kind not in "ui":
        raise ImageError(f"an array must hold numbers, not {array.dtype}")
    return _to_rgb(Image.fromarray(np.clip(array, 0, 255).astype(np.uint8)))
