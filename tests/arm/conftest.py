"""The emulated ARM machine with the wheels installed in it, and the engine cross-compiled to look into it.

Tests are skipped, with a reason, where these cannot be had: they need x86-64 Linux, qemu-user and mmdebstrap (root may
install them by apt), a network the first time, and the package's extra "test", which brings the wheels' compiler.
EDGE_VQA_WHEELS names a folder with wheels that are built already.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")
import same_bits
from arm import builds, verdict

from bench.arm.machine import CORES, Machine, MachineError, install, prepare
from runtime.wheels import WheelError, build

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).parent / "inside.py"
LIMIT = 280
"""Seconds that one emulated process may take, many times what it does, so that one that hangs is found."""

WHEEL_ONLY = {"PYTHONSAFEPATH": "1"}
"""Keeps the current folder, the checkout, from standing before the installed wheel on Python's path."""

Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def machines() -> dict[int, Machine]:
    """The emulated machine in 64 and in 32 bits."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the ARM machine is emulated on x86-64 Linux only")
    try:
        return {bits: prepare(bits=bits) for bits in (64, 32)}
    except MachineError as error:
        pytest.skip(f"no emulated ARM machine: {error}")


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    """What may run beside each other: two processes."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The wheel for 64 and the one for 32 bits: EDGE_VQA_WHEELS' own, or built as python -m runtime.wheels does."""
    given = os.environ.get("EDGE_VQA_WHEELS")
    if given:
        return {bits: _one(Path(given), f"edge_vqa-*manylinux*_{m}.whl") for bits, m in builds.MACHINES.items()}
    folders = {machine: tmp_path_factory.mktemp(machine) for machine in builds.MACHINES.values()}
    try:  # each by itself, and both at once
        with ThreadPoolExecutor(2) as executor:
            built = list(executor.map(lambda machine: build([machine], folders[machine])[0], folders))
    except WheelError as error:
        if "is not installed" in str(error):
            pytest.skip(f"no wheels to test: {error}")
        raise
    return dict(zip(builds.MACHINES, built))


@pytest.fixture(scope="session")
def sites(
    machines: dict[int, Machine], wheels: dict[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Where the wheels are installed in the machine."""
    return {bits: install(wheel, tmp_path_factory.mktemp(f"site{bits}"), bits) for bits, wheel in wheels.items()}


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The models of tests/tiny_model.py by the names of their golden files."""
    folder = tmp_path_factory.mktemp("tiny")
    return {name: same_bits.model_path(name, folder) for name in same_bits.MODELS if name != same_bits.SHIPPED}


@pytest.fixture(scope="session")
def ask(machines: dict[int, Machine], sites: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Has steps of inside.py done as a core, by the installed wheel or by another `library` in its place."""

    def ask_(core: str, steps: list[verdict.Asked], library: Path | None = None) -> subprocess.CompletedProcess[str]:
        file = tmp_path_factory.mktemp("steps") / "steps.json"
        file.write_text(json.dumps([step.step for step in steps]), encoding="utf-8")
        bits = CORES[core].bits
        environment = {**WHEEL_ONLY, **({"EDGE_VQA_LIBRARY": str(library)} if library else {})}
        path = [sites[bits], ROOT / "tests"]
        return machines[bits].run(core, [INSIDE, file], path=path, environment=environment, timeout=LIMIT)

    return ask_


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], builds.Build]:
    """The engine and kernel_test by a compiler, "zig" or "g++", for 64 or 32 bits; each is compiled once."""

    @functools.cache
    def built_(compiler: str, bits: int) -> builds.Build:
        if compiler == "g++" and not builds.tool(f"{builds.GNU[bits]}-g++"):
            pytest.skip(f"{builds.GNU[bits]}-g++ is not installed (apt install g++-{builds.GNU[bits]})")
        try:
            build = builds.Build.configured(tmp_path_factory.mktemp("build") / "build", compiler, bits)
        except WheelError as error:
            pytest.skip(f"nothing to compile with: {error}")
        build.kernel_test()
        return build

    return built_


def outside(steps: list[verdict.Asked], folder: Path) -> dict[int, Any]:
    """What steps without an expectation of their own give on this machine, by their number."""
    numbers = [number for number, step in enumerate(steps) if step.expected is None]
    file = folder / "outside.json"
    file.write_text(json.dumps([verdict.outside(steps[number].step) for number in numbers]), encoding="utf-8")
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, INSIDE, file], capture_output=True, text=True, check=False, env=variables, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(numbers, map(json.loads, done.stdout.splitlines())))


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    assert len(found) == 1, f"EDGE_VQA_WHEELS={folder}: {len(found)} files are named {pattern}, not one"
    return found[0]
