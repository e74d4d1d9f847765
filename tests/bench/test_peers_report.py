"""Tables say what was measured, and in bold where a peer is ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.peers import report
from bench.peers.measure import ratios, summary


def contender(**columns: float) -> dict[str, Any]:
    return {
        "version": "1", "detail": "", "python": "3.11.7", "packages": {}, "remarks": [],
        "columns": {name.replace("_dot_", "."): summary([[value], [value]]) for name, value in columns.items()},
    }  # fmt: skip


@pytest.fixture
def result() -> dict[str, Any]:
    contenders = {
        "ours": contender(encoder=2, jpeg_12mp=30, memory=20, threads2=3),
        "slow": contender(encoder=5, jpeg_12mp=150, jpeg_12mp_scaled=24, memory=50),
        "slower": contender(encoder=8, threads2=2.4),
    }
    contenders["slower"] |= {"python": "3.9.1", "remarks": ["it warns"], "agreement": {"same": 19, "questions": 20}}
    peers = {name: contenders[name]["columns"] for name in ("slow", "slower")}
    return {
        "own": "ours", "contenders": contenders, "ratios": ratios(contenders["ours"]["columns"], peers),
        "left_out": {"gone": "not there"}, "processor": "P", "threads": [1, 2], "system": "s", "date": "d", "words": 5,
        "question": "q", "load": [0, 9], "photos": {"12mp": {"width": 4000, "height": 3000, "bytes": 3_400_000}},
    }  # fmt: skip


def test_a_row_where_a_peer_is_ahead_is_bold_and_names_it(result) -> None:
    lines = report.as_markdown(result).splitlines()
    assert "| 12 MP, scaled decode: JPEG to answer |" not in lines
    assert "| **JPEG of 12 MP, scaled decode** | **0.80** | **0.80 to 0.80** | **slow** |" in lines
    assert "| encoder | 2.50 | 2.50 to 2.50 | slow |" in lines
    assert "| slow 1 | 150.00 (150.00) | **24.00 (24.00) slow** |" in lines
    assert "| ours 1 | 30.00 (30.00) | 30.00 (30.00) |" in lines  # ours has one path
    assert "| slower 1 | 8.00 (8.00) | **2.40 (2.40) slower** |" in lines
    assert "| best peer / ours | 2.50 (slow) | **0.80 (slower)** |" in lines
    assert sum("**" in line for line in lines) == 6


def test_the_compact_report_is_one_table_with_the_same_rule(result) -> None:
    text = report.as_markdown(result, full=False)
    assert text.count("\n|---|") == 1 and "threads" not in text.splitlines()[0]
    assert "| best peer / ours | 2.50 (slow) | 5.00 (slow) | **0.80 (slow)** | 2.50 (slow) |" in text


def test_notes_say_what_one_has_to_know(result) -> None:
    found = report.notes(result, full=True)
    assert found[0] == "P, one thread (and 2 where it says so), Python 3.11.7, s, d."
    assert "JPEGs: 4000 x 3000 (3.40 MB)." in found
    assert "slower: Python 3.9.1; our answer to 19 of 20 questions; it warns." in found
    assert "gone: left out: not there" in found and "busy" in found[-1]


def test_without_peers_there_are_no_ratios(result) -> None:
    result["contenders"] = {"ours": result["contenders"]["ours"]}
    result["ratios"] = {}
    assert "best peer" not in report.as_text(result)


def test_only_the_marked_blocks_of_a_document_change(result, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- peers -->\nstale\n<!-- /peers -->\nbelow\n", encoding="utf-8")
    report.fill(page, result)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("above\n") and text.endswith("\nbelow\n") and "stale" not in text
    assert report.as_markdown(result, full=False) in text
    page.write_text("<!-- peers-all -->\n<!-- /peers-all -->", encoding="utf-8")
    report.fill(page, result)
    assert report.as_markdown(result) in page.read_text(encoding="utf-8")
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md"):
        report.fill(page, result)


def test_the_plot_is_a_picture(result, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    from bench.peers.plot import draw

    draw(result, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.width > 300 and len(drawn.convert("RGB").getcolors(1 << 24) or []) > 10
