"""Reading the metadata of .tflite files, on a FlatBuffer laid out here by hand, whole and damaged."""

from __future__ import annotations

import contextlib
import hashlib
import random
import struct
from pathlib import Path

import pytest

from edge_vqa.errors import ModelError
from edge_vqa.tflite_file import DIGEST, METADATA, parse_metadata, read_metadata, signed

TEXT = '{"format": "edge_vqa", "words": ["món"]}'.encode()


def table(fields: dict[int, bytes], children: list[tuple[int, bytes]]) -> bytes:
    """A table behind its vtable. `fields` are plain values; of each (field, content) the content follows the table.

    Its first 4 bytes say where in it the table begins, as a parent needs it; contents begin with their own.
    """
    inline = {**fields, **{number: b"" for number, _ in children}}
    slots = [0] * (max(inline, default=-1) + 1)
    size = 4
    for number in inline:
        slots[number] = size
        size += 4
    vtable = struct.pack(f"<HH{len(slots)}H", 4 + 2 * len(slots), size, *slots)
    vtable += bytes(-len(vtable) % 4)
    body = bytearray(struct.pack("<i", len(vtable)).ljust(size, b"\0"))
    for number, value in fields.items():
        body[slots[number] : slots[number] + 4] = value
    tail = b""
    for number, content in children:
        (begins,) = struct.unpack_from("<I", content)
        struct.pack_into("<I", body, slots[number], size + len(tail) + begins - slots[number])
        tail += content[4:] + bytes(-len(content) % 4)
    return struct.pack("<I", len(vtable)) + vtable + bytes(body) + tail


def octets(data: bytes) -> bytes:
    return struct.pack("<II", 0, len(data)) + data + bytes(-len(data) % 4)


def tables(contents: list[bytes]) -> bytes:
    offsets, tail, start = [], b"", 4 + 4 * len(contents)
    for i, content in enumerate(contents):
        (begins,) = struct.unpack_from("<I", content)
        offsets.append(start + len(tail) + begins - (4 + 4 * i))
        tail += content[4:]
    return struct.pack(f"<II{len(offsets)}I", 0, len(contents), *offsets) + tail


def make_file(buffers: dict[str, bytes]) -> bytes:
    """Version 3, an empty buffer 0, and the buffers under their names in the metadata; not signed."""
    entries = [table({1: struct.pack("<I", i + 1)}, [(0, octets(name.encode()))]) for i, name in enumerate(buffers)]
    contents = [table({}, []), *(table({}, [(0, octets(data))]) for data in buffers.values())]
    model = table({0: struct.pack("<I", 3)}, [(4, tables(contents)), (6, tables(entries))])
    (begins,) = struct.unpack_from("<I", model)
    return struct.pack("<I4s", 8 + begins, b"TFL3") + model[4:]


GOOD = signed(make_file({"min_runtime_version": b"2.5.0", METADATA: TEXT, DIGEST: bytes(32)}))


def read(data: bytes) -> bytes:
    return parse_metadata("x.tflite", data)


def test_the_metadata_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mô hình.tflite"
    path.write_bytes(GOOD)
    assert read_metadata(path) == TEXT


def test_the_digest_is_that_of_the_file_without_it() -> None:
    empty = make_file({METADATA: TEXT, DIGEST: bytes(32)})
    digest = hashlib.sha256(empty).digest()
    assert signed(empty).count(digest) == 1
    assert signed(empty).replace(digest, bytes(32)) == empty


@pytest.mark.parametrize("missing", [METADATA, DIGEST])
def test_files_of_others_are_refused(missing: str) -> None:
    buffers = {METADATA: TEXT, DIGEST: bytes(32)}
    with pytest.raises(ModelError, match="not one that edge_vqa made"):
        read(make_file({name: data for name, data in buffers.items() if name != missing}))


def test_a_digest_of_another_length_is_refused() -> None:
    with pytest.raises(ModelError, match="SHA-256"):
        read(make_file({METADATA: TEXT, DIGEST: bytes(31)}))


def test_other_files_and_no_files_are_refused(tmp_path: Path) -> None:
    for data in (b"", b"TFL3", bytes(100), b"\x89EVQA\r\n\n"):
        with pytest.raises(ModelError, match="not a .tflite file"):
            read(data)
    for path in (tmp_path / "none.tflite", tmp_path, "nul\0"):
        with pytest.raises(ModelError, match="cannot be read"):
            read_metadata(path)


def test_every_truncated_file_is_refused() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(ModelError):
            read(GOOD[:size])
    with pytest.raises(ModelError):
        read(GOOD + b"\0")


def test_every_changed_byte_is_noticed() -> None:
    for place in range(len(GOOD)):
        with pytest.raises(ModelError):
            read(GOOD[:place] + bytes([GOOD[place] ^ 0x81]) + GOOD[place + 1 :])


def test_changed_files_that_are_signed_anew_are_read_or_refused() -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    rng, read_again, refused = random.Random(seed), 0, 0
    for _ in range(2000):
        data = bytearray(GOOD)
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = 4 * rng.randrange(len(data) // 4)
            value = rng.choice((0, 1, 4, len(data), 1 << 31, (1 << 32) - 1, rng.randrange(1 << 32), rng.randrange(300)))
            data[at : at + 4] = struct.pack("<I", value)
        with contextlib.suppress(KeyError, ValueError, struct.error):  # the place for the digest is lost
            data = bytearray(signed(bytes(data)))
        try:
            assert isinstance(read(bytes(data)), bytes)
            read_again += 1
        except ModelError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert read_again > 100 and refused > 100
