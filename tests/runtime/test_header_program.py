"""The C header compiles alone, as C and as C++, and the program in its first comment answers a question."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "runtime" / "include" / "edge_vqa.h"
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]


def compiler(variable: str, *names: str) -> str:
    for name in (os.environ.get(variable), *names):
        if name and (found := shutil.which(name)):
            return found
    pytest.skip(f"no compiler ({', '.join(names)})")


def run(*command: object, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]


def program_of_header() -> str:
    """The program in the first comment: from the first #include on, as long as lines are indented."""
    comment = HEADER.read_text(encoding="utf-8").split("*/")[0]
    program = re.search(r"^( +)#include.*(?:\n(?:\1.*)?)*?\n\1}\n", comment, re.MULTILINE)
    assert program, "the header's first comment holds no program"
    return textwrap.dedent(program[0])


@pytest.mark.parametrize("standard", ["c99", "c11", "c17"])
def test_the_header_compiles_alone_as_c(standard: str) -> None:
    cc = compiler("CC", "cc", "gcc", "clang")
    done = run(cc, f"-std={standard}", *STRICT, "-fsyntax-only", "-x", "c", "-include", HEADER, os.devnull)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("standard", ["c++11", "c++17", "c++20"])
def test_the_header_compiles_alone_as_cpp(standard: str) -> None:
    cxx = compiler("CXX", "c++", "g++", "clang++")
    done = run(cxx, f"-std={standard}", *STRICT, "-fsyntax-only", "-x", "c++", "-include", HEADER, os.devnull)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("variable", "names", "flags"), [
    ("CC", ("cc", "gcc", "clang"), ["-std=c99", "-x", "c"]),
    ("CXX", ("c++", "g++", "clang++"), ["-std=c++17", "-x", "c++"]),
])  # fmt: skip
def test_the_program_of_the_header_compiles(
    variable: str, names: tuple[str, ...], flags: list[str], tmp_path: Path
) -> None:
    source = tmp_path / "kiosk.c"
    source.write_text(program_of_header(), encoding="utf-8")
    done = run(
        compiler(variable, *names), *flags, *STRICT, "-I", HEADER.parent, "-c", source, "-o", tmp_path / "kiosk.o"
    )
    assert done.returncode == 0, done.stderr


def bundled_model() -> Path:
    from edge_vqa import model_file

    models = sorted(Path(model_file.BUNDLED).glob("*.evqa"))
    if not models:
        pytest.skip("no .evqa model is bundled")
    return models[0]


@pytest.fixture
def program(library_path: Path, tmp_path: Path) -> Path:
    source, built = tmp_path / "kiosk.c", tmp_path / "kiosk"
    source.write_text(program_of_header(), encoding="utf-8")
    command = [compiler("CC", "cc", "gcc", "clang"), "-std=c99", "-O2", *STRICT, "-I", HEADER.parent, source]
    done = run(*command, library_path, f"-Wl,-rpath,{library_path.parent}", "-o", built)
    assert done.returncode == 0, done.stderr
    return built


def test_the_program_of_the_header_answers(program: Path) -> None:
    """Its picture is black; whatever the answer, it has a probability."""
    done = run(program, bundled_model(), "món này có tôm không?")
    assert done.returncode == 0, done.stderr
    answer = re.fullmatch(r"(\S.*) ([01]\.\d\d)\n", done.stdout)
    assert answer, done.stdout
    assert 0 < float(answer[2]) <= 1


def test_the_program_of_the_header_says_what_is_wrong(program: Path, tmp_path: Path) -> None:
    done = run(program, tmp_path / "không có.evqa", "món gì?")
    assert done.returncode == 1
    assert "không có.evqa" in done.stderr
    done = run(program, bundled_model(), "?!")
    assert done.returncode == 1
    assert "the question is empty" in done.stderr
    assert run(program).returncode == 2
