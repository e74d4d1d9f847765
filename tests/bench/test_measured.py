"""docs/measure.md is filled from result files, and its commands exist."""

import json
import shlex
from pathlib import Path

import pytest

from bench import measured
from edge_vqa.bench import __main__ as command

FIELDS = {name: {} for name in ("setup", "machine", "sensors", "failed", "left_out")}
HEAD = {"schema": "edge_vqa.bench", "schema_version": 1, "date": "", "warnings": [], "measurements": []}


def test_every_command_of_the_page_is_one() -> None:
    lines = [line.partition("#")[0] for line in measured.PAGE.read_text(encoding="utf-8").splitlines()]
    commands = [line.split("edge_vqa.bench", 1)[1] for line in lines if line.startswith("    python -m edge_vqa.bench")]
    assert len(commands) >= 7
    for text in commands:
        command._parser().parse_args(shlex.split(text))


def test_the_blocks_are_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, page = tmp_path / "r.json", tmp_path / "page.md"
    result.write_text(json.dumps({**HEAD, **FIELDS}))
    page.write_text("a\n<!-- measured -->\nold\n<!-- /measured -->\nb\n<!-- compared -->\n<!-- /compared -->\nc\n")
    monkeypatch.setattr(measured, "as_markdown", lambda result: "report")
    monkeypatch.setattr(measured, "compare_markdown", lambda first, second: "both")
    assert measured.main([str(result), "--page", str(page)]) == 0
    assert page.read_text() == (
        "a\n<!-- measured -->\nreport\n<!-- /measured -->\nb\n<!-- compared -->\n<!-- /compared -->\nc\n"
    )
    assert measured.main([str(result), str(result), "--page", str(page)]) == 0
    assert "<!-- compared -->\nboth\n<!-- /compared -->" in page.read_text()


def test_what_is_no_result_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.json").write_text("{}")
    assert measured.main([str(tmp_path / "r.json")]) == 1
    assert "r.json" in capsys.readouterr().err
