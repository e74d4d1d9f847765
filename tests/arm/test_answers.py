"""The wheels in an emulated ARM machine, core by core: the level chosen, and the same bits as everywhere else."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from arm import verdict
from arm.conftest import LIMIT, WHEEL_ONLY, Ask, outside

from bench.arm.machine import CORES, Machine

ROOT = Path(__file__).resolve().parents[2]
Told = Future[subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def steps(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[verdict.Asked]]:
    files = verdict.bad_files(tmp_path_factory.mktemp("given"))
    photos = verdict.photos(tmp_path_factory.mktemp("photos"))
    return {core: verdict.asked(core, CORES[core].bits, tiny_models, files, photos) for core in verdict.LEVELS}


@pytest.fixture(scope="module")
def told(ask: Ask, pool: ThreadPoolExecutor, steps: dict[str, list[verdict.Asked]]) -> dict[str, Told]:
    """What each core says, two of them at a time."""
    return {core: pool.submit(ask, core, asked) for core, asked in steps.items()}


@pytest.fixture(scope="module")
def expected(steps: dict[str, list[verdict.Asked]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the machine outside says to steps that have no golden answer, by step."""
    every = {json.dumps(s.step): s for asked in steps.values() for s in asked if s.expected is None}
    found = outside(list(every.values()), tmp_path_factory.mktemp("outside"))
    return {key: found[number] for number, key in enumerate(every)}


@pytest.mark.parametrize("core", verdict.LEVELS)
def test_a_core_answers_as_every_other_processor_does(
    core: str, told: dict[str, Told], steps: dict[str, list[verdict.Asked]], expected: dict[str, Any]
) -> None:
    own = {number: expected.get(json.dumps(step.step)) for number, step in enumerate(steps[core])}
    verdict.judge(core, told[core].result(), steps[core], own)


@pytest.mark.parametrize("core", verdict.LEVELS)
def test_the_command_in_a_process_of_its_own(core: str, machines: dict[int, Machine], sites: dict[int, Path]) -> None:
    """`python -m edge_vqa.run` to the end of its process, which the others, asked inside one, do not reach."""
    bits = CORES[core].bits
    arguments = ["-m", "edge_vqa.run", "--image", ROOT / "examples" / "ca_rot.jpg", "--q", "món này là món gì"]
    done = machines[bits].run(core, arguments, path=[sites[bits]], environment=WHEEL_ONLY, timeout=LIMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "cà rốt\n", "")
