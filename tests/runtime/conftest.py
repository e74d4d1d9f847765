"""Compiles the small programs that test the engine's parts, and finds the library.

CXX and CC name other compilers. With EDGE_VQA_EMULATOR the programs run under it:

    CXX=aarch64-linux-gnu-g++ EDGE_VQA_EMULATOR="qemu-aarch64 -cpu cortex-a72" pytest tests/runtime
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]

Compile = Callable[..., Path]

_FLAGS = "-std=c++17 -O3 -g -Wall -Wextra -Wshadow -ffp-contract=off -fno-exceptions -fno-rtti -fno-threadsafe-statics"
_SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all"


def _build(compiler: str, flags: str, sources: list[Path], built: Path) -> None:
    command = [compiler, *flags.split(), *map(str, sources), "-o", str(built), "-pthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _sanitizers_work(compiler: str, folder: Path) -> bool:
    source, built = folder / "probe.cc", folder / "probe"
    source.write_text("int main() { return 0; }\n")
    command = [compiler, *_SANITIZE.split(), str(source), "-o", str(built)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0 and (
        subprocess.run([built], capture_output=True, check=False).returncode == 0
    )


@pytest.fixture(scope="session")
def compile_program(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Makes a program of a file of this folder and files of the engine, such as "a_program.cc" and "error.cc".

    Sanitizers watch it where the compiler has them, but not under an emulator.
    """
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    emulator = os.environ.get("EDGE_VQA_EMULATOR")
    folder = tmp_path_factory.mktemp("programs")
    watch = _SANITIZE if not emulator and _sanitizers_work(compiler, folder) else ""

    def compile_(program: str, *engine: str) -> Path:
        built = folder / Path(program).stem
        if built.exists():
            return built
        sources = [ROOT / "tests" / "runtime" / program, *(ROOT / "runtime" / "engine" / name for name in engine)]
        if not emulator:
            _build(compiler, f"{_FLAGS} {watch}", sources, built)
            return built
        foreign = built.with_suffix(".foreign")
        _build(compiler, f"{_FLAGS} -static", sources, foreign)
        built.write_text(f'#!/bin/sh\nexec {emulator} {shlex.quote(str(foreign))} "$@"\n')
        built.chmod(0o755)
        return built

    return compile_


def find_library() -> Path | None:
    """The built library: EDGE_VQA_LIBRARY if set, else the one inside the installed package."""
    named = os.environ.get("EDGE_VQA_LIBRARY")
    if named:
        return Path(named).resolve()
    spec = importlib.util.find_spec("edge_vqa")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("libedge_vqa.so", "libedge_vqa.dylib", "libedge_vqa.dll"):
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
