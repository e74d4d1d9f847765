"""The default count of threads, on machines made of files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's files")


@pytest.fixture(scope="module")
def program(compile_program) -> Path:  # type: ignore[no-untyped-def]
    return compile_program("cpu_count_program.cc", "cpu_count.cc", "small_file.cc")


class Machine:
    """A folder with the files that are read."""

    def __init__(self, program: Path, root: Path) -> None:
        self.program, self.root = program, root

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def siblings(self, lists: list[str]) -> None:
        for processor, siblings in enumerate(lists):
            self.write(f"sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list", siblings + "\n")

    def threads(self, usable: str) -> int:
        done = subprocess.run([self.program, self.root, usable], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)


@pytest.fixture
def machine(program: Path, tmp_path: Path) -> Machine:
    return Machine(program, tmp_path)


def test_without_any_file_every_processor_is_a_core(machine: Machine) -> None:
    assert machine.threads("0") == 1
    assert machine.threads("5,9") == 2
    assert machine.threads("0,1,2,3,4,5,6,7") == 4
    assert machine.threads("200,255") == 2


def test_two_threads_of_one_core_count_once(machine: Machine) -> None:
    machine.siblings(["0,4", "1,5", "2,6", "3,7"] * 2)
    assert machine.threads("0,1,2,3,4,5,6,7") == 4
    assert machine.threads("0,4") == 1
    assert machine.threads("1,2,5") == 2
    machine.siblings(["0-1", "0-1", "2-3", "2-3"])
    assert machine.threads("0,1,2,3") == 2


@pytest.mark.parametrize(
    ("quota", "threads"),
    [("max 100000", 4), ("50000 100000", 1), ("100000 100000", 1), ("150000 100000", 2), ("300000 100000", 3),
     ("9000000 100000", 4), ("1000 100000", 1), ("", 4), ("rubbish", 4), ("99999999999999999999 1", 4)],
)  # fmt: skip
def test_the_quota_of_cgroup_2(machine: Machine, quota: str, threads: int) -> None:
    machine.write("proc/self/cgroup", "0::/\n")
    machine.write("sys/fs/cgroup/cpu.max", quota + "\n")
    assert machine.threads("0,1,2,3,4,5") == threads


def test_a_group_is_held_by_those_above_it(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/kiosk.slice/vqa.service\n")
    machine.write("sys/fs/cgroup/kiosk.slice/vqa.service/cpu.max", "max 100000\n")
    machine.write("sys/fs/cgroup/kiosk.slice/cpu.max", "200000 100000\n")
    assert machine.threads("0,1,2,3") == 2
    machine.write("sys/fs/cgroup/kiosk.slice/vqa.service/cpu.max", "100000 100000\n")
    assert machine.threads("0,1,2,3") == 1


@pytest.mark.parametrize("group", ["/docker/0123", "/"])
def test_the_quota_of_cgroup_1(machine: Machine, group: str) -> None:
    machine.write("proc/self/cgroup", f"5:cpuset:/x\n4:cpuacct,cpu:{group}\n1:name=systemd:/\n0::/\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n")
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert machine.threads("0,1,2,3") == 3
    machine.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    assert machine.threads("0,1,2,3") == 4


def test_this_machine(program: Path) -> None:
    def count() -> int:
        return int(subprocess.run([program], capture_output=True, check=True).stdout)

    usable = os.sched_getaffinity(0)
    assert 1 <= count() <= min(4, len(usable))
    try:
        os.sched_setaffinity(0, {min(usable)})
        assert count() == 1
    finally:
        os.sched_setaffinity(0, usable)
