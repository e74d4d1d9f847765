"""The engine's SHA-256, with and without the processor's instructions, gives the sums of the standard."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def program(compile_program) -> Path:  # type: ignore[no-untyped-def]
    return compile_program("sha256_program.cc", "sha256.cc")


def sums(program: Path, data: bytes) -> list[str]:
    """[sum of the first 0 bytes, of the first byte, ..., of all], after checking that both ways agree."""
    done = subprocess.run([program], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    pairs = [line.split() for line in done.stdout.decode().splitlines()]
    assert all(plain == fast for plain, fast in pairs)
    return [plain for plain, _ in pairs]


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
        ),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
    ids=["none", "abc", "448 bits", "896 bits", "a million a"],
)
def test_vectors_of_fips_180(program: Path, message: bytes, digest: str) -> None:
    assert sums(program, message)[-1] == digest


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_of_every_length(program: Path, seed: int) -> None:
    data = random.Random(seed).randbytes(300 + seed * 123_457)
    found = sums(program, data)
    assert len(found) == 301
    for size, digest in enumerate(found[:300]):
        assert digest == hashlib.sha256(data[:size]).hexdigest(), f"seed {seed}, {size} bytes"
    assert found[-1] == hashlib.sha256(data).hexdigest(), f"seed {seed}"
