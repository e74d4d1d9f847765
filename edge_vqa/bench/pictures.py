"""The pictures that are timed: JPEGs in memory, drawn by Pillow, so that everyone measures with the same ones."""

from __future__ import annotations

import hashlib
import io
from typing import Any, NamedTuple

from PIL import Image, ImageChops, ImageDraw

from ..errors import ImageError

SIZES = (("small", 224, 224), ("1mp", 1152, 864), ("12mp", 4000, 3000))
"""Name, width, height."""

QUALITY = 85
RECIPE = (
    "A bowl of soup on a table, drawn in proportion to the size with Pillow's ImageDraw: a table of 24 boards in "
    "changing browns, a plate of three ellipses, 60 noodles, 40 leaves and slices at places that SHA-256 gives; then "
    "grain of up to 12 of 255 levels either way on every pixel and channel, tiles of 256 x 256 from SHAKE-128; saved "
    f"as a baseline JPEG, quality {QUALITY}, 4:2:0"
)
_TILE, _GRAIN = 256, 12


class Picture(NamedTuple):
    """A picture file in memory."""

    name: str
    width: int
    height: int
    content: bytes

    @property
    def label(self) -> str:
        """What reports call it."""
        pixels = self.width * self.height
        millions = round(pixels / 1e6)
        size = f"{millions} megapixel{'s' * (millions > 1)}" if millions else f"{self.width} x {self.height}"
        return f"your picture, {size}" if self.name == "own" else f"JPEG, {size}"

    def about(self) -> dict[str, Any]:
        """For the result file. The bytes differ where another libjpeg encoded the same drawing."""
        return {
            "name": self.name, "label": self.label, "width": self.width, "height": self.height,
            "bytes": len(self.content), "sha256": hashlib.sha256(self.content).hexdigest(),
        }  # fmt: skip


def draw(name: str, width: int, height: int) -> Picture:
    """RECIPE at this size; a matter of a second or two at 12 megapixels on a small board."""
    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    _draw_table(pen, width, height)
    _draw_bowl(pen, width, height)
    _add_grain(image)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, subsampling=2)
    return Picture(name, width, height, out.getvalue())


def own_picture(path: str) -> Picture:
    """The user's own file. Raises ImageError."""
    from ..image import load_image

    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        load_image(content)
        with Image.open(io.BytesIO(content)) as image:
            return Picture("own", *image.size, content)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _places(subject: str, count: int) -> list[tuple[float, float, float]]:
    """`count` triples of numbers from 0 to below 1 that are the same everywhere."""
    data = hashlib.shake_128(subject.encode()).digest(6 * count)
    numbers = [int.from_bytes(data[i : i + 2], "little") / 65536 for i in range(0, len(data), 2)]
    return [(numbers[i], numbers[i + 1], numbers[i + 2]) for i in range(0, len(numbers), 3)]


def _draw_table(pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for i, (red, green, _) in enumerate(_places("table", 24)):
        colour = (130 + int(red * 60), 90 + int(green * 30), 55)
        pen.rectangle((0, height * i // 24, width, height * (i + 1) // 24), fill=colour)


def _draw_bowl(pen: ImageDraw.ImageDraw, width: int, height: int) -> None:
    middle_x, middle_y, reach = width / 2, height / 2, min(width, height) / 2

    def disc(x: float, y: float, across: float, down: float, fill: tuple[int, int, int]) -> None:
        pen.ellipse((x - across, y - down, x + across, y + down), fill=fill)

    disc(middle_x, middle_y, 0.92 * reach, 0.92 * reach, (238, 238, 232))
    disc(middle_x, middle_y, 0.80 * reach, 0.80 * reach, (205, 208, 210))
    disc(middle_x, middle_y, 0.74 * reach, 0.74 * reach, (188, 120, 52))
    for x, y, turn in _places("noodles", 60):
        box_x, box_y = middle_x + (x - 0.5) * reach, middle_y + (y - 0.5) * reach
        size = (0.12 + 0.2 * turn) * reach
        box = (box_x - size, box_y - size / 2, box_x + size, box_y + size / 2)
        pen.arc(box, 360 * turn, 360 * turn + 170, fill=(240, 226, 190), width=max(1, int(reach / 45)))
    for i, (x, y, size) in enumerate(_places("leaves and slices", 40)):
        fill = (46, 120 + int(80 * size), 50) if i % 3 else (205, 80 + int(60 * size), 70)
        across = (0.02 + 0.05 * size) * reach
        disc(middle_x + (x - 0.5) * 1.1 * reach, middle_y + (y - 0.5) * 1.1 * reach, across, across * 0.6, fill)


def _add_grain(image: Image.Image) -> None:
    """A camera's noise: what makes a photograph's JPEG take long to decode. Tile by tile, to need little memory."""
    data = hashlib.shake_128(b"grain").digest(_TILE * _TILE * 3)
    steps = 2 * _GRAIN + 1
    grain = Image.frombytes("RGB", (_TILE, _TILE), data.translate(bytes(v * steps // 256 for v in range(256))))
    for top in range(0, image.height, _TILE):
        for left in range(0, image.width, _TILE):
            box = (left, top, min(left + _TILE, image.width), min(top + _TILE, image.height))
            part = image.crop(box)
            image.paste(ImageChops.add(part, grain.crop((0, 0, *part.size)), 1, -_GRAIN), box)
