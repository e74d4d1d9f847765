"""Compiles the small programs that test the engine's parts, and finds the library."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "runtime" / "engine"
HEADER = ROOT / "runtime" / "include" / "edge_vqa.h"

Compile = Callable[..., Path]

_FLAGS = "-std=c++17 -O2 -g -Wall -Wextra -Wshadow -ffp-contract=off -fno-exceptions -fno-rtti -fno-threadsafe-statics"
_SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all"


@pytest.fixture(scope="session")
def compile_program(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Makes a program of a file of this folder and files of the engine, such as "a_program.cc" and "error.cc".

    Sanitizers watch it where the compiler has them, unless `sanitize` is False.
    """
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("programs")
    probe = folder / "probe.cc"
    probe.write_text("int main() { return 0; }\n")
    probed = folder / "probe"
    sanitizers = subprocess.run(
        [compiler, *_SANITIZE.split(), str(probe), "-o", str(probed)], capture_output=True, check=False
    )
    watched = sanitizers.returncode == 0 and subprocess.run([probed], check=False).returncode == 0

    def compile_(program: str, *engine: str, sanitize: bool = True) -> Path:
        built = folder / f"{Path(program).stem}{'' if sanitize else '_plain'}"
        if not built.exists():
            sources = [str(ROOT / "tests" / "runtime" / program), *(str(ENGINE / name) for name in engine)]
            flags = [*_FLAGS.split(), *(_SANITIZE.split() if sanitize and watched else [])]
            done = subprocess.run(
                [compiler, *flags, *sources, "-o", str(built), "-pthread"], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        return built

    return compile_


def find_library() -> Path | None:
    """The built library: EDGE_VQA_LIBRARY if set, else the one inside the installed package."""
    named = os.environ.get("EDGE_VQA_LIBRARY")
    if named:
        return Path(named).resolve()
    spec = importlib.util.find_spec("edge_vqa")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("libedge_vqa.so", "libedge_vqa.dylib"):
            if (path := Path(folder) / "_native" / name).is_file():
                return path
    return None


@pytest.fixture(scope="session")
def library_path() -> Path:
    path = find_library()
    if path is None:
        pytest.skip("the engine is not built (EDGE_VQA_LIBRARY may name the library)")
    assert path.is_file(), f"EDGE_VQA_LIBRARY names {path}, which is not there"
    return path


@pytest.fixture(scope="session")
def library(library_path: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(library_path))
