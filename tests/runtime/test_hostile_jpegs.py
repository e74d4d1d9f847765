"""JPEGs that someone changed: whatever the bytes, the decoder keeps to its memory and gives Pillow's pixels or none."""

from __future__ import annotations

import io
import random
import warnings
from typing import Union

import pytest

pytest.importorskip("numpy")
import numpy as np
from jpeg_decoder import ENGINE, Decoder, pillow
from jpeg_writer import EOI, SOI, draw_jpeg, exif, segment
from PIL import Image

from edge_vqa.errors import ImageError

ROUNDS = 3000
SIDE = 8


@pytest.fixture(scope="module")
def decoder(compile_program) -> Decoder:  # type: ignore[no-untyped-def]
    return Decoder(compile_program("jpeg_program.cc", *ENGINE))


def originals(draw: random.Random) -> list[bytes]:
    """Small files of every sampling and scale, with every kind of segment."""
    noise = np.random.default_rng(draw.randrange(1 << 30))
    files = []
    for number in range(12):
        size = draw.choice((9, 17, 33, 70)), draw.choice((8, 20, 40, 66))
        few = noise.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3)).astype(np.uint8)
        picture = Image.fromarray(few).resize(size, Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        options: dict[str, object] = {"quality": draw.choice((20, 75, 95)), "subsampling": number % 3}
        if number % 4 == 1:
            options["restart_marker_blocks"] = 2
        if number % 2:
            options["exif"] = exif(draw.randint(1, 8), draw.choice("<>"))
        if number % 3 == 1:
            options["icc_profile"] = bytes(20)
        if number == 7:
            picture.save(stream, "MPO", save_all=True, append_images=[picture])
        else:
            picture.save(stream, "JPEG", **options)
        files.append(stream.getvalue())
    for sampling in ([(1, 1)], [(1, 2), (1, 1), (1, 1)], [(2, 2), (1, 2), (1, 2)]):
        files.append(draw_jpeg(40, 70, sampling, draw, restart=3).bytes())
    xmp = segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0 tiff:Orientation="6"')
    photoshop = segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x04abcd8BIM\x04\x04\0\0\0\0\0\0")
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01")
    files.append(SOI + segment(0xE1, exif(6)) + xmp + photoshop + adobe + files[0][2:])
    return files


def changed(original: bytes, draw: random.Random) -> bytes:
    """A few bytes replaced, taken out or put in, mostly where the file speaks of itself; or the end cut off."""
    data = bytearray(original)
    scan = data.index(b"\xff\xda")
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(2, scan + 14) if draw.random() < 0.6 else draw.randrange(len(data))
        kind = draw.random()
        if kind < 0.6:
            data[at : at + 1] = bytes([draw.choice((0, 1, 2, 7, 8, 16, 0x22, 0xFF, draw.randrange(256)))])
        elif kind < 0.7:
            data[at : at + 1] = bytes([data[at] ^ 1 << draw.randrange(8)]) if at < len(data) else b""
        elif kind < 0.8:
            del data[at : at + draw.choice((1, 2, 3, 50))]
        elif kind < 0.9:
            data[at:at] = draw.choice((b"\0", b"\xff", EOI, b"\xff\0", b"\xff\xd0", draw.randbytes(3)))
        elif kind < 0.95:
            other = draw.randrange(len(data))
            data[at : at + 8] = data[other : other + 8]
        else:
            del data[at:]
        if len(data) < 20:
            return bytes(data)
        scan = min(scan, len(data) - 15)
    return bytes(data)


def pillows(data: bytes) -> Union[bytes, None]:
    """None: it refuses the picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pillow(data, SIDE)
        except ImageError:
            return None


def test_changed_files_are_pillows_or_nobodys(decoder: Decoder) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    draw = random.Random(seed)
    files = originals(draw)
    pictures = [changed(draw.choice(files), draw) for _ in range(ROUNDS)]
    accepted, wrong = 0, []
    for number, (data, got) in enumerate(zip(pictures, decoder([(data, SIDE) for data in pictures]))):
        if isinstance(got, str):
            continue
        accepted += 1
        want = pillows(data)
        if got != want:
            wrong.append(f"picture {number} of seed {seed}: {'Pillow refuses it' if want is None else 'other pixels'}")
    assert not wrong, "\n".join(wrong)
    assert accepted > ROUNDS / 20, "hardly anything was decoded: are the changes too coarse?"
    assert accepted < ROUNDS * 0.7, "hardly anything was refused: are the changes any good?"


def test_every_place_where_a_file_may_be_cut_off(decoder: Decoder) -> None:
    for original in originals(random.Random(4))[:4]:
        assert original.endswith(EOI)
        answers = decoder([(original[:size], SIDE) for size in range(len(original))])
        assert all(isinstance(answer, str) for answer in answers)


def test_rubbish_where_the_pixels_are(decoder: Decoder) -> None:
    draw = random.Random(6)
    pictures = []
    for original in originals(draw):
        scan = original.index(b"\xff\xda") + 14
        for _ in range(20):
            rubbish = draw.randbytes(draw.randrange(400)).replace(b"\xff", b"\xff\0")
            pictures.append(original[:scan] + rubbish + EOI)
    for data, got in zip(pictures, decoder([(data, SIDE) for data in pictures])):
        assert isinstance(got, str) or got == pillows(data)
