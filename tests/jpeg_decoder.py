"""The JPEG decoder behind jpeg_program.cc, and the pixels that Pillow makes."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Union

from edge_vqa.image import load_image, to_pixels

ENGINE = [f"{name}.cc" for name in (
    "jpeg", "jpeg_bits", "jpeg_colour", "jpeg_exif", "jpeg_header", "jpeg_huffman", "jpeg_idct", "jpeg_rows",
    "jpeg_scan", "resample", "error",
)]  # fmt: skip
ERROR_PICTURE = 7

Answer = Union[bytes, str]
"""A picture's pixels, or why there are none."""


def pillow(data: bytes, side: int) -> bytes:
    """Raises ImageError."""
    return to_pixels(load_image(data, side), side).tobytes()


class Decoder:
    def __init__(self, program: Path) -> None:
        self.program = program

    def __call__(self, pictures: Sequence[tuple[bytes, int]]) -> list[Answer]:
        """The answers to files and the side that each is wanted at."""
        requests = b"".join(struct.pack("<2i", side, len(data)) + data for data, side in pictures)
        done = subprocess.run([self.program], input=requests, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        answers: list[Answer] = []
        data = done.stdout
        at = 0
        while at < len(data):
            status, size = struct.unpack_from("<2i", data, at)
            assert status in (0, ERROR_PICTURE)
            answer = data[at + 8 : at + 8 + size]
            answers.append(answer.decode() if status else answer)
            at += 8 + size
        assert len(answers) == len(pictures)
        return answers

    def check(self, pictures: Sequence[tuple[bytes, int]], about: Sequence[str]) -> None:
        """All are decoded, to Pillow's pixels."""
        wrong = []
        for (data, side), name, got in zip(pictures, about, self(pictures)):
            want = pillow(data, side)
            if isinstance(got, str):
                wrong.append(f"{name}: {got}")
            elif got != want:
                places = [i for i, (a, b) in enumerate(zip(got, want)) if a != b]
                first = f"first at {places[0]}: {got[places[0]]}, not {want[places[0]]}"
                wrong.append(f"{name}: {len(places)} of {len(want)} bytes differ, {first}")
        assert not wrong, f"{len(wrong)} of {len(pictures)} pictures are not Pillow's\n" + "\n".join(wrong[:20])
