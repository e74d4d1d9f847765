"""Reads what a .tflite file says of itself, with the standard library alone.

A .tflite file is a FlatBuffer: tables of fields, each found through an offset, see `_table`. Two of its metadata
buffers are ours: METADATA holds a JSON text, and DIGEST the SHA-256 of the whole file, taken with DIGEST's own bytes
as zeros, so that a damaged file is found before a runtime, which would compute with it or crash, reads it.
"""

from __future__ import annotations

import hashlib
import os
import struct

from .errors import ModelError

METADATA, DIGEST = "edge_vqa", "edge_vqa_sha256"
MAGIC = b"TFL3"
"""At byte 4."""
MAX_BYTES = 1 << 28
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA = 0
_DIGEST_BYTES = 32


def read_metadata(path: str | os.PathLike[str]) -> bytes:
    """The JSON text inside a .tflite file that edge_vqa wrote; it is not looked into.

    Raises ModelError when the file cannot be read, is none of ours, or is damaged anywhere.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error
    return parse_metadata(path, data)


def parse_metadata(path: str | os.PathLike[str], data: bytes) -> bytes:
    """The same as read_metadata for a file's content; `path` is only named in errors."""
    if len(data) > MAX_BYTES:
        raise ModelError(f"{path}: larger than {MAX_BYTES >> 20} MB")
    if data[4:8] != MAGIC:
        raise ModelError(f"{path}: not a .tflite file")
    try:
        buffers = _metadata_buffers(data)
    except (struct.error, _Outside) as error:
        raise ModelError(f"{path}: truncated or damaged ({error})") from error
    if METADATA not in buffers or DIGEST not in buffers:
        raise ModelError(f"{path}: a .tflite file, but not one that edge_vqa made (no metadata of that name)")
    start, length = buffers[METADATA]
    place, size = buffers[DIGEST]
    if size != _DIGEST_BYTES or data[place : place + size] != _digest(data, place):
        raise ModelError(f"{path}: damaged (its SHA-256 is not the one it states)")
    return data[start : start + length]


def signed(data: bytes) -> bytes:
    """A .tflite file with its SHA-256 written into the buffer DIGEST, which it must have (KeyError)."""
    place, _ = _metadata_buffers(data)[DIGEST]
    return data[:place] + _digest(data, place) + data[place + _DIGEST_BYTES :]


def _digest(data: bytes, place: int) -> bytes:
    """The SHA-256 of the file with zeros where the digest itself lies."""
    digest = hashlib.sha256(memoryview(data)[:place])
    digest.update(bytes(_DIGEST_BYTES))
    digest.update(memoryview(data)[place + _DIGEST_BYTES :])
    return digest.digest()


class _Outside(ValueError):
    """Something points to outside of the file."""


def _metadata_buffers(data: bytes) -> dict[str, tuple[int, int]]:
    """Name of a metadata buffer -> where its bytes begin and how many they are."""
    model = _follow(data, 0)
    buffers = _tables(data, model, _MODEL_BUFFERS)
    found = {}
    for entry in _tables(data, model, _MODEL_METADATA):
        name_at = _field(data, entry, _METADATA_NAME)
        number_at = _field(data, entry, _METADATA_BUFFER)
        number = _uint(data, number_at) if number_at else 0
        if name_at and number < len(buffers):
            start, length = _vector(data, name_at, 1)
            name = data[start : start + length].decode("utf-8", "replace")
            contents_at = _field(data, buffers[number], _BUFFER_DATA)
            if contents_at:
                found[name] = _vector(data, contents_at, 1)
    return found


def _uint(data: bytes, at: int) -> int:
    if not 0 <= at <= len(data) - 4:
        raise _Outside(f"something lies at byte {at} of {len(data)}")
    return int.from_bytes(data[at : at + 4], "little")


def _follow(data: bytes, at: int) -> int:
    """An offset counts from its own place."""
    return at + _uint(data, at)


def _field(data: bytes, table: int, number: int) -> int:
    """Where a table's field lies, 0 when it is absent.

    A table begins with the signed distance back to its vtable: two bytes each for the vtable's size, the table's size,
    and then, for every field, where in the table it lies.
    """
    vtable = table - struct.unpack_from("<i", data, _checked(data, table, 4))[0]
    (size,) = struct.unpack_from("<H", data, _checked(data, vtable, 4))
    entry = 4 + 2 * number
    if entry + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", data, _checked(data, vtable + entry, 2))
    return table + offset if offset else 0


def _vector(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Where the elements of a vector of `size` bytes each begin, and how many they are."""
    start = _follow(data, at)
    count = _uint(data, start)
    _checked(data, start + 4, count * size)
    return start + 4, count


def _tables(data: bytes, table: int, number: int) -> list[int]:
    """Where the tables of a table's vector field begin."""
    at = _field(data, table, number)
    if not at:
        return []
    start, count = _vector(data, at, 4)
    return [_follow(data, start + 4 * i) for i in range(count)]


def _checked(data: bytes, at: int, size: int) -> int:
    if not 0 <= at <= at + size <= len(data):
        raise _Outside(f"something lies at byte {at} of {len(data)}")
    return at
