"""Model files that someone changed and signed anew: the engine refuses them or runs them, and never crashes.

A process of its own does it, so that a crash is a failed test and not the end of all tests.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from native_library import needs_native

pytest.importorskip("numpy")
from tiny_model import KINDS, make_model

from edge_vqa.evqa_file import PRECISIONS

pytestmark = needs_native
ROUNDS = 400
NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 4096, 65535, 1 << 24, 1 << 31, (1 << 32) - 1)


def sign(data: bytearray) -> bytes:
    """With the size, the CRC-32 and the SHA-256 that the header states set right."""
    data[32:64] = hashlib.sha256(data[64:]).digest()
    data[16:28] = struct.pack("<QI", len(data), zlib.crc32(data[32:]))
    return bytes(data)


def changed(original: bytes, rng: random.Random) -> bytes:
    """A few numbers of the records, or a few bytes anywhere, replaced."""
    data = bytearray(original)
    sections = [struct.unpack_from("<4s4xQQ", data, 64 + 24 * i) for i in range(struct.unpack_from("<I", data, 12)[0])]
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        name, offset, size = rng.choice(sections)
        if rng.random() < 0.1:
            offset, size = 8, 56 + 24 * len(sections)
        if name == b"DATA" or rng.random() < 0.3:
            data[offset + rng.randrange(max(1, size))] = rng.randrange(256)
        elif size >= 8:
            at = offset + 4 * rng.randrange(size // 4)
            data[at : at + 4] = struct.pack("<I", rng.choice((*NUMBERS, rng.randrange(1 << 32))))
    if rng.random() < 0.1:
        del data[rng.randrange(64, len(data)) :]
    return sign(data)


def attack(path: Path, seed: int) -> tuple[int, int]:
    """How many changed files were refused, and how many answered."""
    from edge_vqa.engines import native

    library = ctypes.CDLL(native.load_library().path)
    original = path.read_bytes()
    rng, refused, answered = random.Random(seed), 0, 0
    for _ in range(ROUNDS):
        data = changed(original, rng)
        bytes_ = (ctypes.c_uint64 * (len(data) // 8 + 1))()
        ctypes.memmove(bytes_, data, len(data))
        handle, scene, about = ctypes.c_void_p(), ctypes.c_void_p(), native._About()
        if library.evqa_open_memory(bytes_, ctypes.c_size_t(len(data)), rng.choice((1, 2)), ctypes.byref(handle)):
            refused += 1
            continue
        assert not library.evqa_describe(handle, ctypes.byref(about))
        assert not library.evqa_scene_create(handle, ctypes.byref(scene))
        pixels = bytes(about.side**2 * 3)
        image = native._Image(0, about.side, about.side, (ctypes.c_char_p * 2)(pixels, None))
        assert not library.evqa_look(handle, ctypes.byref(image), scene)
        assert not library.evqa_ask(handle, scene, "món này là gì".encode(), (ctypes.c_uint64 * 64)())
        answered += 1
        library.evqa_scene_free(scene)
        library.evqa_close(handle)
    return refused, answered


@pytest.mark.parametrize("precision", range(len(PRECISIONS)), ids=PRECISIONS)
@pytest.mark.parametrize("kind", ["mobile-attention", "odd", "dense-attention"])
def test_changed_files_never_crash_the_engine(kind: str, precision: int, tmp_path: Path) -> None:
    assert kind in KINDS
    path = make_model(tmp_path / "tiny.evqa", kind, precision=precision)
    seed = random.SystemRandom().randrange(1 << 32)
    done = subprocess.run(
        [sys.executable, __file__, str(path), str(seed)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}: {done.returncode}\n{done.stderr}"
    refused, answered = map(int, done.stdout.split())
    assert refused > ROUNDS / 4, "hardly anything was refused: are the changes any good?"
    assert answered > ROUNDS / 40, "hardly anything ran: are the changes too coarse?"


if __name__ == "__main__":
    print(*attack(Path(sys.argv[1]), int(sys.argv[2])))
