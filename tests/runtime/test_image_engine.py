"""The engine resizes every picture to the pixels that Pillow makes, whatever the format, the size and the strides."""

from __future__ import annotations

import random
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
Image = pytest.importorskip("PIL.Image")

RGB, BGR, GREY, NV12, YUYV = range(5)
NAMES = ("RGB", "BGR", "GREY", "NV12", "YUYV")
ERROR_ARGUMENT = 1

SIZES = [
    (1, 1), (1, 2), (2, 1), (1, 500), (500, 1), (2, 2), (3, 5), (7, 7), (16, 9), (111, 112), (112, 448), (223, 224),
    (224, 223), (224, 224), (225, 224), (224, 225), (225, 225), (223, 223), (448, 448), (640, 480), (480, 640),
    (1280, 720), (1920, 1080), (65535, 1), (1, 65535), (5000, 3), (3, 5000), (447, 449),
]  # fmt: skip


@dataclass
class Picture:
    """A picture in one of the formats; `gaps` are bytes between its rows."""

    format: int
    width: int
    height: int
    planes: list[bytes]
    strides: list[int] = field(default_factory=lambda: [0, 0])
    null_planes: int = 0

    def request(self, side: int, kernels: int) -> bytes:
        planes = [*self.planes, b""][:2]
        numbers = (kernels, self.format, self.width, self.height, side, self.null_planes, *self.strides)
        return struct.pack("<6i4q", *numbers, *map(len, planes)) + b"".join(planes)


def rows(array, gap: int, draw: random.Random) -> tuple[bytes, int]:  # type: ignore[no-untyped-def]
    """Rows with `gap` bytes of rubbish between them, none after the last; and the stride."""
    lines = [line.tobytes() for line in array]
    rubbish = draw.randbytes(gap)
    return rubbish.join(lines), len(lines[0]) + gap


def make_picture(format: int, width: int, height: int, gap: int, draw: random.Random) -> Picture:
    noise = np.random.default_rng(draw.randrange(1 << 30))

    def plane(*shape: int):  # type: ignore[no-untyped-def]
        values = noise.integers(0, 256, shape, dtype=np.uint8)
        return np.where(noise.random(shape) < 0.2, np.uint8(draw.choice((0, 255))), values)

    if format == NV12:
        arrays = [plane(height, width), plane((height + 1) // 2, (width + 1) // 2 * 2)]
    else:
        arrays = [plane(height, width * {RGB: 3, BGR: 3, GREY: 1, YUYV: 2}[format])]
    made = [rows(array, gap, draw) for array in arrays]
    strides = [stride if gap or draw.random() < 0.5 else 0 for _, stride in made]
    return Picture(format, width, height, [data for data, _ in made], [*strides, 0][:2])


def unpack(picture: Picture):  # type: ignore[no-untyped-def]
    """The planes as arrays [rows, bytes of a row], without gaps."""
    widths = {
        RGB: [picture.width * 3],
        BGR: [picture.width * 3],
        GREY: [picture.width],
        YUYV: [picture.width * 2],
        NV12: [picture.width, (picture.width + 1) // 2 * 2],
    }[picture.format]
    arrays = []
    for data, width, stride in zip(picture.planes, widths, picture.strides):
        step = stride or width
        padded = data + bytes(-len(data) % step)
        arrays.append(np.frombuffer(padded, np.uint8).reshape(-1, step)[:, :width])
    return arrays


def to_rgb(picture: Picture):  # type: ignore[no-untyped-def]
    """[height, width, 3], by the formula of image.h."""
    planes = unpack(picture)
    if picture.format in (RGB, BGR):
        pixels = planes[0].reshape(picture.height, picture.width, 3)
        return pixels if picture.format == RGB else pixels[:, :, ::-1]
    if picture.format == GREY:
        return np.repeat(planes[0][:, :, None], 3, axis=2)
    if picture.format == NV12:
        y = planes[0].astype(int)
        chroma = planes[1].astype(int).repeat(2, axis=0)[: picture.height]
        u, v = chroma[:, 0::2].repeat(2, axis=1), chroma[:, 1::2].repeat(2, axis=1)
    else:
        y = planes[0][:, 0::2].astype(int)
        u, v = planes[0][:, 1::4].astype(int).repeat(2, axis=1), planes[0][:, 3::4].astype(int).repeat(2, axis=1)
    u, v = u[:, : picture.width] - 128, v[:, : picture.width] - 128
    c = 298 * (y - 16) + 128
    colours = [(c + 409 * v) >> 8, (c - 100 * u - 208 * v) >> 8, (c + 516 * u) >> 8]
    return np.stack(colours, axis=2).clip(0, 255).astype(np.uint8)


def expected(picture: Picture, side: int) -> bytes:
    """One resize to (side, side) up to Pillow 12.2; later ones may shrink the height first, which rounds otherwise."""
    image = Image.fromarray(np.ascontiguousarray(to_rgb(picture)))
    across = image.resize((side, picture.height), Image.Resampling.BILINEAR)
    return across.resize((side, side), Image.Resampling.BILINEAR).tobytes()


class Engine:
    """The C++ resizer behind image_program.cc."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.kernels = subprocess.run([program, "names"], capture_output=True, text=True, check=True).stdout.split()

    def resize(self, pictures: list[Picture], sides: list[int], kernels: int = -1) -> list[bytes | str]:
        """The pixels of each picture, or why there are none; all through one resizer, in this order."""
        requests = b"".join(picture.request(side, kernels) for picture, side in zip(pictures, sides))
        done = subprocess.run([self.program], input=requests, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        answers: list[bytes | str] = []
        data = done.stdout
        while data:
            status, size = struct.unpack_from("<2i", data)
            answer = data[8 : 8 + size]
            assert status in (0, ERROR_ARGUMENT)
            answers.append(answer.decode() if status else answer)
            data = data[8 + size :]
        assert len(answers) == len(pictures)
        return answers

    def check(self, pictures: list[Picture], sides: list[int], about: str) -> None:
        wanted = [expected(picture, side) for picture, side in zip(pictures, sides)]
        wrong = []
        for kernels, name in enumerate(self.kernels):
            for picture, side, want, got in zip(pictures, sides, wanted, self.resize(pictures, sides, kernels)):
                if got != want:
                    how = f"{name}: {NAMES[picture.format]} {picture.width} x {picture.height} to {side}"
                    wrong.append(how + (f": {got}" if isinstance(got, str) else f": {differ(got, want)}"))
        assert not wrong, f"{about}: {len(wrong)} pictures differ from Pillow's\n" + "\n".join(wrong[:20])


def differ(got: bytes, want: bytes) -> str:
    places = [i for i, (a, b) in enumerate(zip(got, want)) if a != b]
    return f"{len(places)} of {len(want)} bytes, first at {places[0]}: {got[places[0]]}, not {want[places[0]]}"


@pytest.fixture(scope="module")
def engine(compile_program) -> Engine:  # type: ignore[no-untyped-def]
    return Engine(compile_program("image_program.cc", "image.cc", "resample.cc", "error.cc"))


@pytest.mark.parametrize("format", [RGB, BGR, GREY, NV12, YUYV], ids=lambda f: NAMES[f])
def test_sizes_that_matter(engine: Engine, format: int) -> None:
    draw = random.Random(format)
    sizes = [(w, h) for w, h in SIZES if format != YUYV or w % 2 == 0]
    if format not in (RGB, NV12):
        sizes = [(w, h) for w, h in sizes if w * h < 400_000]
    pictures = [make_picture(format, w, h, draw.choice((0, 0, 1, 5, 64)), draw) for w, h in sizes]
    engine.check(pictures, [224] * len(pictures), "sizes")


def test_a_photograph_of_twelve_megapixels(engine: Engine) -> None:
    engine.check([make_picture(RGB, 4000, 3000, 0, random.Random(0))], [224], "12 megapixels")


@pytest.mark.parametrize("seed", range(4))
def test_random_sizes_sides_and_strides(engine: Engine, seed: int) -> None:
    draw = random.Random(seed)
    pictures, sides = [], []
    for _ in range(60):
        side = draw.choice((1, 2, 5, 31, 32, 33, 64, 128, 224, 224, 224))
        near = [side, side - 1, side + 1, 2 * side]
        sizes = [max(1, draw.choice((*near, draw.randint(1, 40), draw.randint(1, 700)))) for _ in range(2)]
        format = draw.randrange(5)
        if format == YUYV:
            sizes[0] += sizes[0] % 2
        pictures.append(make_picture(format, *sizes, draw.choice((0, 0, 1, 2, 3, 31, 100)), draw))
        sides.append(side)
    engine.check(pictures, sides, f"seed {seed}")


def test_extreme_values_do_not_overflow(engine: Engine) -> None:
    pictures = [
        Picture(format, width, height, [bytes([value]) * (width * height * size)])
        for value in (0, 255)
        for format, size in ((RGB, 3), (GREY, 1), (YUYV, 2))
        for width, height in ((640, 480), (20_000, 2), (2, 20_000))
    ]
    engine.check(pictures, [224] * len(pictures), "extremes")
    engine.check(pictures, [1] * len(pictures), "extremes")


def test_yuv_of_every_value(engine: Engine) -> None:
    """Each luma with many chromas, at the size where nothing is resized."""
    chroma = np.array([(u, v) for u in range(0, 256, 5) for v in (0, 16, 100, 127, 128, 129, 200, 240, 255)], np.uint8)
    pictures = []
    for y in range(0, 256, 3):
        luma = np.full((64, 64), y, np.uint8)
        luma[:, 1::2] = 255 - y
        pairs = np.resize(np.roll(chroma, y, axis=0), (32 * 32, 2)).reshape(32, 64)
        pictures.append(Picture(NV12, 64, 64, [luma.tobytes(), pairs.tobytes()]))
        both = np.stack([luma, pairs.repeat(2, axis=0)], axis=2)
        pictures.append(Picture(YUYV, 64, 64, [both.tobytes()]))
    engine.check(pictures, [64] * len(pictures), "YUV")


GOOD = Picture(RGB, 4, 3, [bytes(36)])


@pytest.mark.parametrize(
    ("changes", "side", "error"),
    [
        ({"format": 5}, 224, "5 is no format of pictures"),
        ({"format": -1}, 224, "-1 is no format"),
        ({"width": 0}, 224, "the picture is 0 x 3 pixels"),
        ({"height": -2}, 224, "the picture is 4 x -2 pixels"),
        ({"width": 65536}, 224, "the picture is 65536 x 3 pixels; 1 to 65535"),
        ({"height": 2**31 - 1}, 224, "the picture is 4 x 2147483647 pixels"),
        ({"strides": [11, 0]}, 224, "the stride of plane 0 is 11 bytes, but a row has 12"),
        ({"strides": [-12, 0]}, 224, "the stride of plane 0 is -12 bytes, but a row has 12"),
        ({"strides": [2**62, 0]}, 224, "the stride of plane 0, 4611686018427387904 bytes, is too large"),
        ({"strides": [-(2**63), 0]}, 224, "bytes, but a row has 12"),
        ({"null_planes": 1}, 224, "plane 0 of the picture is a null pointer"),
        ({"format": NV12, "null_planes": 2}, 224, "plane 1 of the picture is a null pointer"),
        ({"format": NV12, "width": 3, "strides": [0, 3]}, 224, "the stride of plane 1 is 3 bytes, but a row has 4"),
        ({"format": YUYV, "width": 3}, 224, "a YUYV picture must have an even width, not 3"),
        ({}, 0, "cannot be resized to 0 x 0"),
        ({}, -5, "cannot be resized to -5 x -5"),
        ({}, 100_000, "cannot be resized to 100000 x 100000"),
    ],
)
def test_what_is_no_picture_is_an_error(engine: Engine, changes: dict[str, object], side: int, error: str) -> None:
    wrong = Picture(**{**vars(GOOD), **changes})
    answers = engine.resize([GOOD, wrong, GOOD], [8, side, 8])
    assert isinstance(answers[1], str)
    assert error in answers[1]
    assert answers[0] == answers[2] == bytes(192)


def test_a_null_second_plane_is_no_error_where_there_is_none(engine: Engine) -> None:
    assert engine.resize([Picture(RGB, 4, 3, [bytes(36)], null_planes=2)], [8]) == [bytes(192)]
