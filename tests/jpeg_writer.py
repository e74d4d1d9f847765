"""Writes JPEGs that Pillow cannot: any sampling, any coefficients, any Huffman tables, any segments."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
JFIF = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def exif(orientation: object, order: str = "<", kind: int = 3, count: int = 1, before: bytes = b"") -> bytes:
    """The contents of an APP1 segment; `before`: entries of 12 bytes that come first."""
    entry = struct.pack(order + "HHIHH", 0x0112, kind, count, orientation, 0) if orientation is not None else b""
    entries = before + entry
    head = b"II*\0" if order == "<" else b"MM\0*"
    counted = struct.pack(order + "H", len(entries) // 12)
    return b"Exif\0\0" + head + struct.pack(order + "I", 8) + counted + entries + bytes(4)


@dataclass
class Code:
    """A Huffman table: how many codes of 1 to 16 bits, and their symbols, shortest first."""

    counts: Sequence[int]
    symbols: Sequence[int]

    def __post_init__(self) -> None:
        self.bits: dict[int, str] = {}
        code, left = 0, iter(self.symbols)
        for length, count in enumerate(self.counts, start=1):
            for _ in range(count):
                self.bits[next(left)] = f"{code:0{length}b}"
                code += 1
            code <<= 1

    def table(self, place: int) -> bytes:
        return bytes([place, *self.counts, *self.symbols])


AC_SYMBOLS = [0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 11))]


def draw_code(symbols: Sequence[int], draw: random.Random) -> Code:
    """Codes of every length for these symbols, in any order: some of 1 or 2 bits, the others of up to 16."""
    shuffled = draw.sample(list(symbols), len(symbols))
    counts, left, room = [0] * 16, len(shuffled), 1
    for length in range(1, 17):
        room *= 2  # codes of this length that are still free
        most = min(left, room - 1) if length == 16 else draw.randint(0, max(0, min(left, room // 2 - 1)))
        counts[length - 1] = most
        left -= most
        room -= most
    return Code(counts, shuffled) if left == 0 else draw_code(symbols, draw)


def _number(value: int) -> tuple[int, str]:
    """Size and bits of a number."""
    size = abs(value).bit_length()
    return size, f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def _block(values: Sequence[int], previous: int, dc: Code, ac: Code) -> str:
    size, bits = _number(values[0] - previous)
    parts, run = [dc.bits[size], bits], 0
    for value in values[1:]:
        if value == 0:
            run += 1
            continue
        parts += [ac.bits[0xF0]] * (run // 16)
        size, bits = _number(value)
        parts += [ac.bits[run % 16 << 4 | size], bits]
        run = 0
    return "".join([*parts, ac.bits[0x00] if run else ""])


def _stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:].replace(b"\xff", b"\xff\0")


@dataclass
class Jpeg:
    """A picture by its coefficients: [blocks down, blocks across, 64 in zigzag order], whole MCUs."""

    width: int
    height: int
    sampling: list[tuple[int, int]]
    """Across and down, of each component."""
    blocks: list[np.ndarray] = field(repr=False)
    quant: Sequence[int] = (1,) * 64
    dc: Code = field(default_factory=lambda: Code([0, 0, 0, 12, *[0] * 12], range(12)))
    ac: Code = field(default_factory=lambda: Code([0] * 7 + [162] + [0] * 8, AC_SYMBOLS))
    restart: int = 0
    segments: bytes = segment(0xE0, JFIF)
    ids: Sequence[int] = (1, 2, 3)

    def scan(self) -> bytes:
        across, down = map(max, zip(*self.sampling))
        if len(self.sampling) == 1:
            across = down = 1
        mcus = [(y, x) for y in range(-(-self.height // (8 * down))) for x in range(-(-self.width // (8 * across)))]
        parts: list[bytes] = []
        bits: list[str] = []
        previous = [0] * len(self.sampling)
        for i, (y, x) in enumerate(mcus):
            if self.restart and i and i % self.restart == 0:
                marker = 0xD0 + (i // self.restart - 1) % 8
                parts += [_stuffed("".join(bits)), bytes([0xFF, marker])]
                bits, previous = [], [0] * len(self.sampling)
            for c, (h, v) in enumerate(self.sampling if len(self.sampling) > 1 else [(1, 1)]):
                for b in range(v):
                    for a in range(h):
                        values = self.blocks[c][y * v + b, x * h + a].tolist()
                        bits.append(_block(values, previous[c], self.dc, self.ac))
                        previous[c] = values[0]
        return b"".join([*parts, _stuffed("".join(bits))])

    def bytes(self, frame: int = 0xC0) -> bytes:
        count = len(self.sampling)
        parts = [bytes([self.ids[i], h << 4 | v, 0]) for i, (h, v) in enumerate(self.sampling)]
        wide = max(self.quant) > 255
        tables = bytes([0x10 if wide else 0]) + struct.pack(f">64{'H' if wide else 'B'}", *self.quant)
        return b"".join(
            [
                SOI,
                self.segments,
                segment(0xDB, tables),
                segment(frame, struct.pack(">BHHB", 8, self.height, self.width, count) + b"".join(parts)),
                segment(0xC4, self.dc.table(0) + self.ac.table(0x10)),
                segment(0xDD, struct.pack(">H", self.restart)) if self.restart else b"",
                segment(0xDA, bytes([count]) + b"".join(bytes([i, 0]) for i in self.ids[:count]) + b"\0\x3f\0"),
                self.scan(),
                EOI,
            ]
        )


def draw_jpeg(width: int, height: int, sampling: list[tuple[int, int]], draw: random.Random, **more: object) -> Jpeg:
    """Smooth blocks, busy ones and blocks that leave the range of samples."""
    noise = np.random.default_rng(draw.randrange(1 << 30))
    across, down = map(max, zip(*sampling))
    blocks = []
    for h, v in sampling if len(sampling) > 1 else [(1, 1)]:
        shape = (-(-height // (8 * down)) * v, -(-width // (8 * across)) * h, 64)
        if len(sampling) == 1:
            shape = (-(-height // 8), -(-width // 8), 64)
        spread = noise.choice([0, 2, 30, 200], shape[:2])[..., None] / (1 + np.arange(64) * noise.choice([0.05, 1]))
        values = noise.normal(0, 1, shape) * spread
        values[..., 0] = noise.normal(0, 400, shape[:2])
        blocks.append(np.clip(values.round().astype(int), -1000, 1000))
    return Jpeg(width, height, sampling, blocks, **more)  # type: ignore[arg-type]
