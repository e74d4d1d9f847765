"""A result as text: a table in plain text or Markdown, and the marked block of a document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .measure import COLUMNS

HEADINGS = {
    "encoder": "encoder, ms", "answer": "answer, ms", "further_question": "further question, ms",
    "cold_start": "cold start, ms", "memory": "peak memory, MB",
}  # fmt: skip
DIGITS = {"encoder": 2, "answer": 2, "further_question": 3, "cold_start": 0, "memory": 1}


def rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The heading, a row for each contender (median, 95th percentile in brackets), the ratios."""
    table = [["", *(HEADINGS[c] for c in COLUMNS)]]
    for name, found in result["contenders"].items():
        cells = [f"{name} {found['version']}"]
        for column in COLUMNS:
            if column in found:
                median, p95 = (f"{found[column][k]:.{DIGITS[column]}f}" for k in ("median", "p95"))
                cells.append(median if column == "memory" else f"{median} ({p95})")
            else:
                cells.append("")
        table.append(cells)
    if result["ratios"]:
        found = result["ratios"]
        table.append(
            [
                "best peer / ours",
                *(f"{found[c]['ratio']:.2f} ({found[c]['best_peer']})" if c in found else "" for c in COLUMNS),
            ]
        )
    return table


def notes(result: Mapping[str, Any]) -> list[str]:
    """What one has to know to judge the table."""
    threads = "one thread" if result["threads"] == 1 else f"{result['threads']} threads"
    found = [
        f"{result['processor']}, {threads}, Python {result['python']}, {result['system']}, {result['date']}.",
        f"Question of {result['words']} words: {result['question']}",
    ]
    for name, contender in result["contenders"].items():
        about = [contender["detail"]] if contender["detail"] else []
        if "agreement" in contender:
            same, of = contender["agreement"]["same"], contender["agreement"]["questions"]
            about.append(f"our answer to {same} of {of} questions")
        if about:
            found.append(f"{name}: {'; '.join(about)}.")
    found += [f"{name}: left out: {why}" for name, why in result["left_out"].items()]
    before, after = result["load"]
    if max(before, after) > 1.5 * result["threads"]:
        found.append(f"The machine was busy with other things (load {before:.1f} before, {after:.1f} after).")
    return found


def as_text(result: Mapping[str, Any]) -> str:
    """For a terminal."""
    table = rows(result)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]
    return "\n".join([*lines, "", *notes(result)])


def as_markdown(result: Mapping[str, Any]) -> str:
    """For a document."""
    heading, *body = ("| " + " | ".join(row) + " |" for row in rows(result))
    return "\n".join([heading, "|" + "---|" * (len(COLUMNS) + 1), *body, "", *(f"- {note}" for note in notes(result))])


def fill(document: Path, result: Mapping[str, Any]) -> None:
    """Put the Markdown between the document's marks. Raises ValueError when it has none."""
    fill_block(document, "peers", as_markdown(result))


def fill_block(document: Path, name: str, content: str) -> None:
    """Put `content` between <!-- NAME --> and <!-- /NAME -->. Raises ValueError when the document has no such block."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = document.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{document}: has no block between {begin} and {end}")
    before, rest = text.split(begin)
    document.write_text(f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}", encoding="utf-8")
