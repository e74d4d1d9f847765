"""The engine's CRC-32, with and without the processor's instructions, gives zlib's sums."""

from __future__ import annotations

import random
import subprocess
import zlib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def program(compile_program) -> Path:  # type: ignore[no-untyped-def]
    return compile_program("crc32_program.cc", "crc32.cc")


def sums(program: Path, data: bytes) -> list[int]:
    """[sum of the first 0 bytes, of the first byte, ..., of all], after checking that both ways agree."""
    done = subprocess.run([program], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    pairs = [line.split() for line in done.stdout.decode().splitlines()]
    assert all(plain == fast for plain, fast in pairs)
    return [int(plain) for plain, _ in pairs]


def test_the_check_value_of_the_standard(program: Path) -> None:
    assert sums(program, b"123456789")[-1] == 0xCBF43926


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_of_every_length(program: Path, seed: int) -> None:
    data = random.Random(seed).randbytes(100 + seed * 123_457)
    found = sums(program, data)
    assert len(found) == 101
    assert found == [*(zlib.crc32(data[:size]) for size in range(100)), zlib.crc32(data)]
