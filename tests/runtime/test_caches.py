"""How caches are found on machines made of files, and what their sizes decide."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's files")

A53, A72, A76 = 0x410FD034, 0x410FD083, 0x414FD0B1  # MIDR_EL1 of Raspberry Pi 3, 4, 5
KB = 1024


@pytest.fixture(scope="module")
def program(compile_program) -> Path:  # type: ignore[no-untyped-def]
    return compile_program("caches_program.cc", "caches.cc", "strips.cc", "small_file.cc")


def ask(program: Path, *arguments: object) -> list[int]:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


def write(root: Path, caches: list[tuple[str, str, str]]) -> Path:
    for index, parts in enumerate(caches):
        folder = root / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        folder.mkdir(parents=True)
        for name, text in zip(("level", "type", "size"), parts, strict=True):
            (folder / name).write_text(text + "\n")
    return root


def test_the_system_is_believed(program: Path, tmp_path: Path) -> None:
    own = [("1", "Instruction", "64K"), ("1", "Data", "48K"), ("2", "Unified", "2048K"), ("3", "Unified", "33M")]
    write(tmp_path, own)
    assert ask(program, "caches", tmp_path, 0) == [48 * KB, 2048 * KB]
    assert ask(program, "caches", tmp_path, A53) == [48 * KB, 2048 * KB]


def test_else_the_name_of_the_core_tells(program: Path, tmp_path: Path) -> None:
    assert ask(program, "caches", tmp_path, A53) == [32 * KB, 512 * KB]
    assert ask(program, "caches", tmp_path, A72) == [32 * KB, 1024 * KB]
    assert ask(program, "caches", tmp_path, A76) == [64 * KB, 512 * KB]
    assert ask(program, "caches", tmp_path, 0x610FD034) == [32 * KB, 256 * KB]  # another maker's


def test_what_makes_no_sense_is_left_out(program: Path, tmp_path: Path) -> None:
    sizes = ["K", "0K", "99999999999999999999K", "12Q"]
    write(tmp_path, [("1", "Data", size) for size in sizes] + [("2", "Unified", size) for size in sizes])
    assert ask(program, "caches", tmp_path, 0) == [32 * KB, 256 * KB]


def test_this_processor_has_caches(program: Path) -> None:
    nearest, second = ask(program)
    assert 4 * KB <= nearest <= second


def test_strips_have_the_rows_that_a_cache_holds(program: Path) -> None:
    # 192 channels, 28 x 28, stride 1: a strip of r rows takes 192 * ((r + 2) * 30 + r * 28) bytes: r = 2 is 33,792.
    block = (192, 28, 28, 1, 1)
    assert ask(program, "rows", *block, 64 * KB, 512 * KB) == [2]  # r = 4 is 56,064, more than 49,152
    assert ask(program, "rows", *block, 80 * KB, 512 * KB) == [4]
    assert ask(program, "rows", *block, 1024 * KB, 1024 * KB) == [8]
    # The nearest does not hold two rows (33,792 > 24,576): the second counts; r = 6 is 78,336, r = 8 is 100,608.
    assert ask(program, "rows", *block, 32 * KB, 128 * KB) == [6]
    assert ask(program, "rows", *block, 32 * KB, 32 * KB) == [2]
    # float32 needs four times as much; two rows come of a small map in any case.
    assert ask(program, "rows", 192, 28, 28, 1, 4, 64 * KB, 512 * KB) == [6]
    assert ask(program, "rows", 16, 2, 1, 2, 1, 64 * KB, 512 * KB) == [2]


def test_chunks_are_parts_of_the_channels_that_the_cache_holds(program: Path) -> None:
    # 14 x 14 with its border is 256 pixels: 24 KB are 96 channels.
    assert ask(program, "chunk", 384, 14, 14, 1, 1, 8, 32 * KB) == [96]
    assert ask(program, "chunk", 384, 14, 14, 1, 1, 8, 16 * KB) == [48]
    assert ask(program, "chunk", 384, 14, 14, 1, 1, 48, 16 * KB) == [48]
    assert ask(program, "chunk", 384, 14, 14, 1, 1, 48, 4 * KB) == [48]  # too much, but there is no smaller part
    assert ask(program, "chunk", 960, 7, 7, 1, 1, 8, 64 * KB) == [96]
    assert ask(program, "chunk", 100, 14, 14, 1, 1, 48, 32 * KB) == [100]  # no multiple of 48 divides it
