"""Environments: made once, made anew for something else, and left out with pip's reason; sizes are those of files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.peers import environments
from bench.peers.contender import PeerError


@pytest.fixture
def ran(monkeypatch):
    """What would be run, with an interpreter that lists two packages; a "bad" requirement is refused."""
    commands: list[list[str]] = []

    def run(command, **_):
        commands.append([str(part) for part in command])
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir(parents=True)
            (Path(command[3]) / "bin" / "python").touch()
        said = ""
        if "get_path('purelib')" in command[-1]:
            site = Path(command[0]).parents[1] / "site"
            site.mkdir(exist_ok=True)
            (site / "runtime.so").write_bytes(bytes(1000))
            said = str(site)
        elif command[1] == "-c":
            said = json.dumps(["3.11.7", {"numpy": "2.4.6", "a": "1"}])
        refused = "ERROR: No matching distribution found for bad\nhint" if "bad" in command else ""
        return subprocess.CompletedProcess(command, int(bool(refused)), said, refused)

    monkeypatch.setattr(environments.subprocess, "run", run)
    return commands


def pips(commands: list[list[str]]) -> list[list[str]]:
    return [[p for p in command[4:] if not p.startswith("--")] for command in commands if command[1:3] == ["-m", "pip"]]


def test_it_is_made_once_and_anew_for_other_requirements(ran, tmp_path: Path) -> None:
    said: list[str] = []
    made = environments.prepare(tmp_path / "e", ["numpy", "a==1"], extras=["x"], say=said.append)
    assert pips(ran) == [["numpy", "a==1"], ["numpy", "a==1", "x"]]
    assert (made.size, made.packages["a"], made.extras_missing) == (1000, "1", "")
    assert environments.prepare(tmp_path / "e", ["numpy", "a==1"], extras=["x"], say=said.append) == made
    assert len(pips(ran)) == 2 and len(said) == 1
    environments.prepare(tmp_path / "e", ["numpy", "a==2"], extras=["x"], say=said.append)
    assert pips(ran)[2] == ["numpy", "a==2"] and len(said) == 2
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_a_failure_is_told_in_pips_words_and_tried_again(ran, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(PeerError, match="failed: ERROR: No matching distribution found for bad$"):
            environments.prepare(tmp_path / "e", ["bad"], say=lambda _: None)
    assert len(pips(ran)) == 2


def test_extras_may_fail(ran, tmp_path: Path) -> None:
    made = environments.prepare(tmp_path / "e", ["numpy"], extras=["bad"], say=lambda _: None)
    assert made.size == 1000 and "No matching distribution" in made.extras_missing


def test_ours_is_made_anew_when_its_sources_change(ran, monkeypatch, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "edge_vqa").mkdir(parents=True)
    for name in ("pyproject.toml", "CMakeLists.txt", "edge_vqa/a.py"):
        (root / name).write_text("1")
    monkeypatch.setattr(environments, "ROOT", root)
    monkeypatch.setattr(environments, "SOURCES", ("pyproject.toml", "CMakeLists.txt", "edge_vqa"))
    for text, count in (("1", 1), ("1", 1), ("2", 2)):
        (root / "edge_vqa/a.py").write_text(text)
        environments.prepare(tmp_path / "e", ["."], say=lambda _: None)
        assert pips(ran) == [[str(root)]] * count


def test_another_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"needs Python 3\.99"):
        environments.prepare(tmp_path / "e", ["numpy"], "3.99", say=lambda _: None)


def test_an_interpreter_that_is_given_says_what_it_has() -> None:
    found = environments.given(sys.executable)
    assert found.python_version == sys.version.split()[0] and found.size is None and "numpy" in found.packages
    with pytest.raises(PeerError, match="no-python"):
        environments.given("/no-python")


def test_size_is_that_of_the_files_without_caches_and_installers(tmp_path: Path) -> None:
    for name, size in {
        "numpy/core.so": 100, "numpy/__pycache__/core.cpython-311.pyc": 7, "numpy-2.0.dist-info/RECORD": 20,
        "pip/main.py": 3, "pip-23.0.dist-info/RECORD": 3, "setuptools/a.py": 3, "six.py": 5,
        "distutils-precedence.pth": 9, "pipelines/a.py": 40,
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    assert environments.installed_size(tmp_path) == 165
