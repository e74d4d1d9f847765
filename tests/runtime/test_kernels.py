"""Every level of kernels that this processor runs, against the scalar level, bit for bit (runtime/kernels/test)."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kernel_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built as a user of the C library builds it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    cmake = shutil.which("cmake", path=path)
    if cmake is None or shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no cmake, or no C++ compiler")
    build = tmp_path_factory.mktemp("build")
    for command in (
        [cmake, "-S", str(ROOT), "-B", str(build), "-DEVQA_BUILD_TESTS=ON"],
        [cmake, "--build", str(build), "--target", "kernel_test", "--parallel", str(os.cpu_count() or 1)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return next(p for p in build.rglob("kernel_test*") if p.is_file() and os.access(p, os.X_OK))


@pytest.mark.parametrize("round_", range(3))
def test_every_level_computes_what_scalar_computes(kernel_test: Path, round_: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    done = subprocess.run([kernel_test, str(seed)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kernel_test {seed}: {done.stdout}"


def test_a_level_that_is_not_there_is_no_success(kernel_test: Path) -> None:
    assert subprocess.run([kernel_test, "1", "mmx"], capture_output=True, check=False).returncode == 1
