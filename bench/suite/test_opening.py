"""Opening a model, and the CRC-32 that this verifies, by itself."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import zlib
from ctypes import c_char_p, c_size_t, c_uint32
from pathlib import Path
from typing import Any

import pytest

from bench.suite.conftest import Tell
from bench.suite.engines import ProfiledEngine
from edge_vqa.engines.reference import ReferenceEngine
from edge_vqa.evqa_tensors import load_tensors
from edge_vqa.model_file import find_model

SOURCE = Path(__file__).parents[2] / "runtime" / "engine" / "crc32.cc"
CALLABLE = '#include "crc32.h"\nextern "C" uint32_t sum(const uint8_t* d, size_t n) { return evqa::crc32(d, n); }\n'


@pytest.mark.parametrize("model", ["mobilenetv2-lstm-attention", "tiny"])
def test_open(benchmark: Any, tell: Tell, model: str, level: str, threads: int) -> None:
    path = find_model(model)
    engine, plain = ProfiledEngine(path, level, threads), ReferenceEngine(load_tensors(path))
    pixels, ids = os.urandom(engine.side**2 * 3), [2, 3, 4]
    assert list(engine.answer(engine.encode(pixels), ids)[0]) == plain.answer(plain.encode(pixels), ids)[0]
    tell(f"open, {level}", level=level, threads=threads, megabytes=Path(path).stat().st_size / 1e6)
    benchmark(ProfiledEngine, path, level, threads)


def test_crc32(benchmark: Any, tell: Tell, tmp_path: Path) -> None:
    """The library does not hand it out, so it is compiled for this."""
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    program, built = tmp_path / "sum.cc", tmp_path / "libsum.so"
    program.write_text(CALLABLE)
    flags = ["-std=c++17", "-O3", "-fPIC", "-shared", f"-I{SOURCE.parent}"]
    subprocess.run([compiler, *flags, str(program), str(SOURCE), "-o", str(built)], check=True)
    crc = ctypes.CDLL(str(built)).sum
    crc.restype, crc.argtypes = c_uint32, (c_char_p, c_size_t)
    data = Path(find_model(None)).read_bytes()
    assert crc(data, len(data)) == zlib.crc32(data)
    tell("CRC-32 of a model", megabytes=len(data) / 1e6)
    benchmark(crc, data, len(data))
