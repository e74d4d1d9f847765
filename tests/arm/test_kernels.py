"""kernel_test and the engine's other programs of tests/runtime, cross-compiled, as each core."""

from __future__ import annotations

import functools
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from arm import builds, verdict
from arm.builds import Build
from arm.conftest import LIMIT

from bench.arm.machine import CORES, Machine

ROOT = Path(__file__).resolve().parents[2]
Told = Future[subprocess.CompletedProcess[str]]
Runs = Callable[[str, int], dict[str, list[Told]]]
SEEDS = {"zig": 2, "g++": 1}
_PARTS = ("caches", "cpu_count", "crc32", "error", "image_engine", "question_engine", "sha256")
PROGRAMS = tuple(f"test_{part}.py" for part in _PARTS)


@pytest.fixture(scope="module")
def runs(built: Callable[[str, int], Build], machines: dict[int, Machine], pool: ThreadPoolExecutor) -> Runs:
    """kernel_test of a compiler as all cores of so many bits, started at once and run two at a time."""

    @functools.cache
    def runs_(compiler: str, bits: int) -> dict[str, list[Told]]:
        program = built(compiler, bits).kernel_test()

        def run(core: str) -> Told:
            seed = random.SystemRandom().randrange(1 << 32)
            return pool.submit(machines[bits].program, core, program, [str(seed)], timeout=LIMIT)

        cores = [core for core in verdict.LEVELS if CORES[core].bits == bits]
        return {core: [run(core) for _ in range(SEEDS[compiler])] for core in cores}

    return runs_


@pytest.mark.parametrize("core", verdict.LEVELS)
@pytest.mark.parametrize("compiler", SEEDS)
def test_every_level_computes_what_scalar_computes(core: str, compiler: str, runs: Runs) -> None:
    """Zig's is what wheels hold, Debian's g++ what a Raspberry Pi compiles by itself."""
    for run in runs(compiler, CORES[core].bits)[core]:
        judge(core, run.result())


def judge(core: str, done: subprocess.CompletedProcess[str]) -> None:
    """Raises AssertionError unless kernel_test found every level of the core right, and no level beyond those."""
    told = f"{core}: kernel_test {verdict.ended(done)}: {done.stdout}{done.stderr}"
    assert done.returncode == 0, told
    right = {line.removesuffix(": ok") for line in done.stdout.splitlines() if line.endswith(": ok")}
    assert right == set(verdict.LEVELS[core]) - {"scalar"}, told


@pytest.fixture(scope="module")
def programs(machines: dict[int, Machine]) -> Iterator[dict[str, Told]]:
    """tests/runtime as Cortex-A53, which has nothing beyond Arm v8.0: the files' runs, two at a time."""
    compiler = f"{builds.GNU[64]}-g++"
    if not builds.tool(compiler):
        pytest.skip(f"{compiler} is not installed (apt install g++-{builds.GNU[64]})")
    emulator = shlex.join(machines[64].emulator("cortex-a53"))
    variables = {**os.environ, "CXX": compiler, "EDGE_VQA_EMULATOR": emulator}

    def tested(file: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(ROOT / "tests" / "runtime" / file)]
        left_out = ["-k", "not test_the_table_is_what_its_script_makes"]  # a script of this machine's Python
        return subprocess.run(
            [*command, *left_out], capture_output=True, text=True, check=False, env=variables, cwd=ROOT, timeout=LIMIT
        )

    with ThreadPoolExecutor(2) as pool:
        yield {file: pool.submit(tested, file) for file in PROGRAMS}


@pytest.mark.parametrize("file", PROGRAMS)
def test_the_engines_parts_pass_their_tests(file: str, programs: dict[str, Told]) -> None:
    done = programs[file].result()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout, done.stdout[-2000:]
