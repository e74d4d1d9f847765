"""The text of an error stays valid UTF-8 of at most 511 bytes, each thread's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def program(compile_program) -> Path:  # type: ignore[no-untyped-def]
    return compile_program("error_program.cc", "error.cc")


@pytest.mark.parametrize("letter", ["a", "é", "ộ", "😀"])
@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("count", [0, 100, 127, 128, 300, 600])
def test_long_texts_are_cut_between_characters(program: Path, letter: str, before: int, count: int) -> None:
    text = "x" * before + letter * count
    done = subprocess.run([program, text], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    first, second = done.stdout.decode("utf-8").splitlines()
    assert first == second
    assert text.startswith(first)
    room = 511 - len(first.encode())
    assert first == text or 0 <= room < len(letter.encode())
