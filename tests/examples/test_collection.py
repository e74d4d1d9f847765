"""examples/collection.py with two worker processes on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dask.distributed", reason='Dask is not installed (pip install "dask[distributed]")')

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))
QUESTIONS = ["món này là món gì", "màu gì"]


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, ROOT / "examples" / "collection.py", "--images", folder, "--q", *QUESTIONS]
    command += ["--out", folder.parent / "answers", "--size", "3", "--jobs", "1", *arguments]
    return subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def run(folder: Path, *arguments: str | Path) -> tuple[int, str]:
    process = start(folder, *arguments)
    printed, err = process.communicate(timeout=180)
    assert printed == "" and "Traceback" not in err, err
    return process.returncode, err


def lines(*files: Path) -> list[dict[str, Any]]:
    """What the records say, without how long the answers took."""
    found = (json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in record.items() if k != "timings_ms"} for record in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures, of which one is damaged, in two folders."""
    folder = tmp_path_factory.mktemp("collection") / "pictures"
    (folder / "more").mkdir(parents=True)
    for number in range(24):
        shutil.copy(EXAMPLES[number % len(EXAMPLES)], folder / ("more" if number > 15 else "") / f"{number:02}.jpg")
    (folder / "07.jpg").write_bytes(EXAMPLES[0].read_bytes()[:4000])
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> Path:
    """The folder of a job that has been done."""
    code, err = run(folder)
    assert code == 1
    said = err.splitlines()
    assert [line for line in said if line.startswith("error: ")] == said[8:] and "07.jpg" in said[8] and len(said) == 9
    workers = [re.fullmatch(r"\d of 8 parts, the last by (.*-\d+)", line) for line in said[:8]]
    assert all(workers) and len({worker[1] for worker in workers if worker}) == 2
    return folder.parent / "answers"


def test_answers_are_those_of_the_plain_command(folder: Path, answers: Path) -> None:
    parts = sorted(answers.glob("part-*"))
    assert [part.name for part in parts] == [f"part-{n:05}.jsonl" for n in range(8)]
    plain = answers.parent / "plain.jsonl"
    command = [
        sys.executable,
        "-m",
        "edge_vqa.run",
        "--image",
        folder,
        "--recursive",
        "--out",
        plain,
        "--q",
        *QUESTIONS,
    ]
    assert subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.DEVNULL).returncode == 1
    assert lines(*parts) == lines(plain)
    joined = answers.parent / "joined.jsonl"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    before = joined.read_bytes()
    command[command.index(plain)] = joined
    assert subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.DEVNULL).returncode == 1
    assert joined.read_bytes() == before


def test_only_missing_parts_are_made(folder: Path, answers: Path) -> None:
    parts = sorted(answers.glob("part-*"))
    expected, before = lines(*parts), {part: part.stat().st_mtime_ns for part in parts}
    parts[5].unlink()
    shutil.copy(EXAMPLES[0], folder / "new.jpg")  # the parts stay as they were planned
    code, err = run(folder)
    (folder / "new.jpg").unlink()
    assert (code, err.count("\n")) == (1, 2) and err.startswith("1 of 1 parts")
    assert lines(*parts) == expected
    assert [part for part in parts if part.stat().st_mtime_ns != before[part]] == [parts[5]]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_part_whose_worker_was_killed_is_made_by_another(folder: Path, answers: Path) -> None:
    parts = sorted(answers.glob("part-*"))
    expected = lines(*parts)
    parts[1].unlink()
    (folder / "05.jpg").rename(folder / "05.kept")
    os.mkfifo(folder / "05.jpg")
    process = start(folder)
    deadline = time.monotonic() + 90
    while not (found := [f for f in answers.glob("part-00001.jsonl.*") if f.read_bytes().count(b"\n") == 4]):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    killed = found[0].name.split("-")[-1].split(".")[0]
    (folder / "05.kept").replace(folder / "05.jpg")
    os.kill(int(killed), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    [by] = re.findall(r"1 of 1 parts, the last by .*-(\d+)", err)
    assert by != killed and not list(answers.glob("*.unfinished"))
    assert lines(*parts) == expected


def test_a_job_of_something_else_is_refused(folder: Path, answers: Path) -> None:
    before = {path: path.read_bytes() for path in answers.iterdir()}
    for arguments in (["--q", "gì"], ["--model", "tiny"], ["--size", "4"]):
        code, err = run(folder, *arguments)
        assert (code, err.count("\n")) == (3, 1) and err.startswith("error: ") and "give another --out" in err
    assert {path: path.read_bytes() for path in answers.iterdir()} == before
