"""The engine makes of ordinary JPEGs the pixels that Pillow makes, bit for bit, and leaves the others alone."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable

import pytest

pytest.importorskip("numpy")
import numpy as np
from jpeg_decoder import ENGINE, Decoder, pillow
from jpeg_writer import AC_SYMBOLS, EOI, JFIF, SOI, Jpeg, draw_code, draw_jpeg, exif, segment
from PIL import Image

from edge_vqa.errors import ImageError

SAMPLINGS = {
    "grey": [(1, 1)],
    "grey 2x2": [(2, 2)],
    "4:4:4": [(1, 1)] * 3,
    "4:2:2": [(2, 1), (1, 1), (1, 1)],
    "4:4:0": [(1, 2), (1, 1), (1, 1)],
    "4:2:0": [(2, 2), (1, 1), (1, 1)],
    "4:2:2 of 2x2": [(2, 2), (1, 2), (1, 2)],
    "4:4:0 of 2x2": [(2, 2), (2, 1), (2, 1)],
    "chroma apart": [(2, 2), (2, 1), (1, 2)],
    "4:4:4 of 2x1": [(2, 1)] * 3,
    "much chroma": [(1, 1), (2, 2), (1, 1)],
}


@pytest.fixture(scope="module")
def decoder(compile_program) -> Decoder:  # type: ignore[no-untyped-def]
    return Decoder(compile_program("jpeg_program.cc", *ENGINE))


def draw_picture(width: int, height: int, kind: int, draw: random.Random) -> Image.Image:
    """Noise, black and white, or something smooth with some grain."""
    noise = np.random.default_rng(draw.randrange(1 << 30))
    if kind == 0:
        pixels = noise.integers(0, 256, (height, width, 3))
    elif kind == 1:
        pixels = noise.integers(0, 2, (height, width, 3)) * 255
    else:
        few = noise.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).astype(np.uint8)
        smooth = Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(smooth) + noise.normal(0, 4, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def save(picture: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


def size_for(scale: int, side: int, draw: random.Random) -> tuple[int, int]:
    """A size that is decoded at 1/scale, one way just so or much larger."""
    room = (3 * side + 1) // 2  # that a scaled decode leaves at least
    least, most = {1: (1, 2), 2: (2, 4), 4: (4, 8), 8: (8, 12)}[scale]
    near, far = draw.randint(least * room if scale > 1 else 1, most * room - 1), draw.randint(most * room, 15 * room)
    sizes = [near, draw.choice((near, draw.randint(least * room, most * room), far))]
    draw.shuffle(sizes)
    return sizes[0], sizes[1]


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_what_pillow_writes(decoder: Decoder, scale: int, seed: int) -> None:
    draw = random.Random(seed * 8 + scale)
    pictures, about = [], []
    for number in range(45):
        side = draw.choice((8, 15, 16, 32))
        width, height = size_for(scale, side, draw)
        picture = draw_picture(width, height, number % 3, draw)
        if number % 9 == 0:
            picture = picture.convert("L")
        options = {"quality": draw.randint(1, 100), "subsampling": number % 4 % 3}
        if draw.random() < 0.4:
            options["restart_marker_blocks"] = draw.randint(1, 30)
        if number % 2 and number % 3 == 2:
            options["optimize"] = True
        if draw.random() < 0.5:
            options["exif"] = exif(draw.randint(1, 8), draw.choice("<>"))
        pictures.append((save(picture, **options), side))
        about.append(f"{picture.mode} {width} x {height} to {side}, {options}")
    decoder.check(pictures, about)


@pytest.mark.parametrize("quality", range(1, 101, 11))
def test_every_quality_at_every_scale(decoder: Decoder, quality: int) -> None:
    draw = random.Random(quality)
    picture = draw_picture(150, 130, quality % 3, draw)
    pictures = [(save(picture, quality=quality, subsampling=s), side) for s in range(3) for side in (128, 60, 30, 16)]
    decoder.check(pictures, [f"side {side}" for _, side in pictures])


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_samplings_codes_and_extreme_samples(decoder: Decoder, sampling: list[tuple[int, int]]) -> None:
    draw = random.Random(str(sampling))
    pictures, about = [], []
    for number in range(24):
        side, scale = draw.choice((4, 8)), (1, 2, 4, 8)[number % 4]
        width, height = size_for(scale, side, draw)
        dc, ac = draw_code(range(12), draw), draw_code(AC_SYMBOLS, draw)
        jpeg = draw_jpeg(width, height, sampling, draw, dc=dc, ac=ac, restart=draw.choice((0, 0, 1, 7)))
        pictures.append((jpeg.bytes(frame=draw.choice((0xC0, 0xC1))), side))
        about.append(f"{width} x {height} to {side} at 1/{scale}")
    decoder.check(pictures, about)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(decoder: Decoder, orientation: int) -> None:
    picture = draw_picture(141, 67, 2, random.Random(orientation))
    data = save(picture, exif=exif(orientation, "<>"[orientation % 2]))
    sides = [(data, side) for side in (8, 30, 67, 141, 200)]
    decoder.check(sides, [f"to {side}" for _, side in sides])


def test_pictures_of_a_few_pixels(decoder: Decoder) -> None:
    draw = random.Random(2)
    pictures, about = [], []
    for width, height in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (4, 5), (5, 4), (17, 2), (2, 17), (33, 1)]:
        for name, sampling in SAMPLINGS.items():
            side = draw.choice((1, 2, 5))
            pictures.append((draw_jpeg(width, height, sampling, draw).bytes(), side))
            about.append(f"{name} {width} x {height} to {side}")
    decoder.check(pictures, about)


def test_a_long_and_narrow_picture(decoder: Decoder) -> None:
    draw = random.Random(5)
    pictures = []
    for size in ((20_000, 5), (5, 20_000)):
        for orientation in (1, 6):
            pictures.append((save(draw_picture(*size, 2, draw), exif=exif(orientation)), 8))
    decoder.check(pictures, ["across", "across, turned", "down", "down, turned"])


def test_every_coefficient_alone(decoder: Decoder) -> None:
    """A block for each place of the zigzag, so that none is taken for another, at every size of block."""
    blocks = [np.zeros((8, 64, 64), int) for _ in range(3)]
    for place in range(64):
        across = place % 8 * 8
        blocks[place % 3][place // 8, across : across + 8, place] = np.linspace(-900, 900, 8).astype(int)
    data = Jpeg(512, 64, [(1, 1)] * 3, blocks).bytes()
    decoder.check([(data, side) for side in (64, 32, 16, 8)], ["1/1", "1/2", "1/4", "1/8"])


def test_quantisation_of_16_bits(decoder: Decoder) -> None:
    blocks = [np.zeros((2, 2, 64), int)]
    blocks[0][..., 0], blocks[0][1, 1, 1] = 1, -1
    data = Jpeg(16, 16, [(1, 1)], blocks, quant=[700] + [300] * 63).bytes()
    decoder.check([(data, side) for side in (16, 8, 4, 2)], ["1/1", "1/2", "1/4", "1/8"])


def test_what_may_surround_a_picture(decoder: Decoder) -> None:
    """Segments of all kinds that say nothing of the pixels, MPO's second picture, and rubbish behind the end."""
    picture = draw_picture(40, 30, 2, random.Random(1))
    plain = save(picture, icc_profile=bytes(300), comment=b"hello")
    mpo = io.BytesIO()
    picture.save(mpo, "MPO", save_all=True, append_images=[picture.rotate(90)])
    apps = b"".join(segment(0xE0 + i, b"whatever this is") for i in range(16))
    adobe = segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 1))
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
    turned = segment(0xE1, exif(6)) + segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0 tiff:Orientation="8"')
    files = {
        "icc and comment": plain,
        "behind the end": plain + bytes(100) + plain,
        "two pictures": mpo.getvalue(),
        "APP0 to APP15": SOI + apps + plain[2:],
        "Adobe's marker": draw_jpeg(40, 30, SAMPLINGS["4:2:0"], random.Random(1), segments=adobe).bytes(),
        "no JFIF": draw_jpeg(40, 30, SAMPLINGS["4:2:0"], random.Random(1), segments=b"").bytes(),
        "XMP": SOI + xmp + plain[2:],
        "EXIF before XMP": SOI + turned + plain[2:],
        "no orientation": SOI + segment(0xE1, exif(None)) + plain[2:],
    }
    decoder.check([(data, 16) for data in files.values()], list(files))


def strange_files() -> dict[str, bytes]:
    draw = random.Random(3)
    picture = draw_picture(40, 30, 2, draw)
    plain, grey = save(picture), save(picture.convert("L"))
    ycc = draw_jpeg(40, 30, SAMPLINGS["4:4:4"], draw)
    coded = ycc.bytes()
    rgb = draw_jpeg(40, 30, SAMPLINGS["4:4:4"], draw, segments=b"", ids=(82, 71, 66)).bytes()
    adobe = segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0))
    wide = draw_jpeg(16, 16, [(1, 1)], draw)
    wide.blocks[0][...] = 0
    wide.blocks[0][0, 0, :3] = 1000
    wide.quant = [40] * 64
    stream = io.BytesIO()
    picture.save(stream, "MPO", save_all=True, append_images=[picture])
    mpo = stream.getvalue()
    places = mpo.index(struct.pack("<HHI", 0xB001, 4, 1)) + 8  # how many pictures the file says it has
    xmp = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>')
    return {
        "progressive": save(picture, progressive=True),
        "CMYK": save(picture.convert("CMYK")),
        "RGB by its components": rgb,
        "RGB by Adobe's marker": draw_jpeg(40, 30, SAMPLINGS["4:4:4"], draw, segments=adobe).bytes(),
        "4:1:1": draw_jpeg(40, 30, [(4, 1), (1, 1), (1, 1)], draw).bytes(),
        "turned by XMP": SOI + xmp + plain[2:],
        "coefficients beyond 16 bits": wide.bytes(),
        "12 bits": coded.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        "arithmetic coding": coded.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc9\0\x11\x08"),
        "no end": plain[:-2],
        "half": plain[: len(plain) // 2],
        "half and an end": plain[: len(plain) // 2] + EOI,
        "more than there are blocks": grey[:-2] + b"\xaa\xaa" + EOI,
        "restart markers that were not announced": coded[:-2] + b"\xff\xd0" + EOI,
        "two EXIF segments": SOI + segment(0xE1, exif(6)) * 2 + plain[2:],
        "EXIF cut off": SOI + segment(0xE1, exif(6)[:-9]) + plain[2:],
        "no EXIF in an EXIF segment": SOI + segment(0xE1, b"Exif\0\0nothing at all") + plain[2:],
        "EXIF with one NUL": SOI + segment(0xE1, b"Exif\0" + exif(6)[6:]) + segment(0xE1, exif(3)) + plain[2:],
        "a list of pictures that is too short": mpo[:places] + struct.pack("<I", 40) + mpo[places + 4 :],
        "EXIF's orientation as a long number": SOI + segment(0xE1, exif(6, kind=4)) + plain[2:],
        "a PNG": b"\x89PNG\r\n\x1a\n" + plain,
        "nothing": b"",
        "a marker": SOI,
    }


@pytest.mark.parametrize("name", strange_files())
def test_others_are_left_to_others(decoder: Decoder, name: str) -> None:
    (answer,) = decoder([(strange_files()[name], 16)])
    assert isinstance(answer, str)
    assert answer


def test_more_than_fifty_megapixels_are_not_decoded(decoder: Decoder) -> None:
    data = draw_jpeg(16, 16, [(1, 1)], random.Random(0)).bytes()
    (answer,) = decoder([(data.replace(b"\x08\0\x10\0\x10", b"\x08" + struct.pack(">HH", 7072, 7071)), 16)])
    assert answer == "the JPEG has more than 50 megapixels"


def refuses(data: bytes) -> bool:
    try:
        pillow(data, 16)
    except ImageError:
        return True
    return False


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a JFIF segment that is too short": lambda d: SOI + segment(0xE0, JFIF[:6]) + d[2:],
    "a profile that is too short": lambda d: SOI + segment(0xE2, b"ICC_PROFILE\0\x01") + d[2:],
    "a Photoshop segment cut off": lambda d: SOI + segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed") + d[2:],
    "no pixels": lambda d: d.replace(struct.pack(">BHH", 8, 30, 40), struct.pack(">BHH", 8, 0, 40)),
    "cut off": lambda d: d[:-40],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_pillow_refuses_is_refused(decoder: Decoder, name: str) -> None:
    data = DAMAGE[name](save(draw_picture(40, 30, 2, random.Random(1))))
    assert refuses(data)
    assert isinstance(decoder([(data, 16)])[0], str)
