"""python -m bench.bulk on a few pictures."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from bench.bulk import main
from edge_vqa.engines import usable_processors

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))


def test_a_folder_is_measured_and_a_document_is_filled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        shutil.copy(EXAMPLES[number % len(EXAMPLES)], folder / f"{number}.jpg")
    document, result = tmp_path / "page.md", tmp_path / "result.json"
    document.write_text("before\n<!-- bulk -->\nold\n<!-- /bulk -->\nafter\n", encoding="utf-8")
    arguments = ["--images", folder, "--pictures", "10", "--repeats", "1", "--json", result, "--fill", document]
    assert main([str(part) for part in arguments]) == 0
    found = json.loads(result.read_text(encoding="utf-8"))
    own = [row for row in found["rows"] if "collection" not in row["what"]]
    assert [row["pictures"] for row in own] == [1, 10] * len({1, usable_processors()}) + [10]
    for row in own:
        [seconds] = row["seconds"]
        assert 0 < seconds < 100
        assert row["peak_megabytes"] is None or 5 < row["peak_megabytes"] < 1000
    text = document.read_text(encoding="utf-8")
    assert re.match(r"before\n<!-- bulk -->\n\|  \| pictures ", text) and "old" not in text
    printed = capsys.readouterr().out
    assert printed.strip() in text
    assert main(["--from", str(result)]) == 0
    assert capsys.readouterr().out == printed


def test_too_few_pictures_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(EXAMPLES[0], tmp_path)
    assert main(["--images", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: 1 pictures; at least 10 are needed\n"
