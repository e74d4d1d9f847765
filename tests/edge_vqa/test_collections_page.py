"""The programs of docs/collections.md run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "collections.md").read_text(encoding="utf-8"), re.DOTALL)


def run(folder: Path, program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, check=True, encoding="utf-8"
    )
    return done.stdout


def test_the_one_that_answers_from_python(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    shutil.copy(ROOT / "examples" / "ca_rot.jpg", tmp_path / "photos" / "b.jpg")
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no picture")
    bad, good = run(tmp_path, PROGRAMS[1]).splitlines()
    assert re.fullmatch(r"photos.a\.jpg photos.a\.jpg: .+", bad)
    assert re.fullmatch(r"photos.b\.jpg cà rốt", good)


def test_the_one_that_names_pictures_without_an_answer(tmp_path: Path) -> None:
    records = [
        {"image": "a", "answer": "bún"}, {"image": "b", "error": "b: gone"}, {"image": "c", "error": "c: damaged"},
        {"image": "b", "answer": "phở"},
    ]  # fmt: skip
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    assert run(tmp_path, PROGRAMS[0]) == "{'c': 'c: damaged'}\n"
