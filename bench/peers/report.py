"""A result as text: tables in plain text or Markdown, and the marked blocks of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .measure import SCALED

BLOCKS = {"peers": "compact", "peers-all": "full"}
"""Names of the blocks that `fill` knows, and what they take."""


class Column(NamedTuple):
    """Of a table: its key in a result, its heading, decimals, and whether a 95th percentile is shown."""

    key: str
    heading: str
    digits: int
    spread: bool = True


ENCODER = Column("encoder", "encoder, ms", 2)
ANSWER = Column("answer", "answer, ms", 2)
FURTHER = Column("further_question", "further question, ms", 3)
COLD_START = Column("cold_start", "cold start, ms", 0)
MEMORY = Column("memory", "peak memory, MB", 1, False)
SIZE = Column("installed_size", "installed, MB", 0, False)


def groups(result: Mapping[str, Any]) -> list[tuple[str, list[Column]]]:
    """The tables of the full report: a title and columns each, those alone that somebody has."""
    threads = []
    for n in result["threads"][1:]:
        threads += [Column(f"threads{n}_encoder", f"encoder, {n} threads, ms", 2)]
        threads += [Column(f"threads{n}", f"answer, {n} threads, ms", 2)]
    photos = []
    for name in result["photos"]:
        size = name.replace("mp", " MP")
        photos += [Column(f"jpeg_{name}", f"{size}, ms", 2)]
        photos += [Column(f"jpeg_{name}{SCALED}", f"{size}, scaled decode, ms", 2)]
    each = [
        ("Picture and question to answer", [ENCODER, ANSWER, FURTHER, *threads]),
        ("JPEG to answer", photos),
        ("A process and its packages", [COLD_START, MEMORY, SIZE]),
    ]
    there = {column for found in result["contenders"].values() for column in found["columns"]}
    return [(title, kept) for title, columns in each if (kept := [c for c in columns if c.key in there])]


def compact_columns(result: Mapping[str, Any]) -> list[Column]:
    """Those of the one table of the compact report."""
    jpeg = [
        Column("jpeg_12mp", "12 MP JPEG to answer, ms", 1),
        Column(f"jpeg_12mp{SCALED}", "the same, peers' decode scaled, ms", 1),
    ]
    wanted = [ENCODER, ANSWER, FURTHER, *jpeg, COLD_START, MEMORY, SIZE]
    there = {column for found in result["contenders"].values() for column in found["columns"]}
    return [c for c in wanted if c.key in there]


def rows(result: Mapping[str, Any], columns: Sequence[Column]) -> list[list[str]]:
    """Heading, a row for each contender, and the ratios; where a peer is ahead of us it is in bold, with its name."""
    table = [["", *(column.heading for column in columns)]]
    for name, found in result["contenders"].items():
        cells = [f"{name} {found['version']}".strip()]
        for column in columns:
            value = value_of(result, name, column.key)
            text = cell(value, column) if value else ""
            ours = value_of(result, result["own"], column.key)
            ahead = value and ours and value["median"] < ours["median"]
            cells.append(_bold(f"{text} {name}") if ahead else text)
        table.append(cells)
    if result["ratios"]:
        table.append(["best peer / ours", *(_ratio_cell(result, column.key) for column in columns)])
    return table


def cell(value: Mapping[str, Any], column: Column) -> str:
    """A median, with the 95th percentile in brackets where it has one."""
    median = f"{value['median']:.{column.digits}f}"
    return f"{median} ({value['p95']:.{column.digits}f})" if column.spread else median


def value_of(result: Mapping[str, Any], name: str, column: str) -> Any:
    """A contender's value in a column, None where there is none; ours is its own path where peers' decode is scaled."""
    key = column.removesuffix(SCALED) if name == result["own"] else column
    return result["contenders"][name]["columns"].get(key)


def _ratio_cell(result: Mapping[str, Any], column: str) -> str:
    found = result["ratios"].get(column)
    if not found:
        return ""
    text = f"{found['ratio']:.2f} ({found['best_peer']})"
    return _bold(text) if found["ratio"] < 1 else text


def ratio_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """Heading, and a row for each column of the full report: ratio, its spread, whose it is; in bold below 1."""
    table = [["", "best peer / ours", "in ten stretches", "best peer"]]
    for _, columns in groups(result):
        for column in columns:
            if found := result["ratios"].get(column.key):
                heading = column.heading.removesuffix(", ms").removesuffix(", MB")
                name = f"JPEG of {heading}" if column.key.startswith("jpeg") else heading
                spread = f"{found['low']:.2f} to {found['high']:.2f}"
                row = [name, f"{found['ratio']:.2f}", spread if column.key != SIZE.key else "", found["best_peer"]]
                table.append([_bold(text) if text else "" for text in row] if found["ratio"] < 1 else row)
    return table


def notes(result: Mapping[str, Any], full: bool) -> list[str]:
    """What one has to know to judge the tables."""
    first, *more = result["threads"]
    threads = "one thread" if first == 1 else f"{first} threads"
    also = f" (and {', '.join(str(n) for n in more)} where it says so)" if more and full else ""
    own = result["contenders"][result["own"]]
    found = [f"{result['processor']}, {threads}{also}, Python {own['python']}, {result['system']}, {result['date']}."]
    if full:
        found.append(f"Question of {result['words']} words: {result['question']}")
        sizes = [f"{p['width']} x {p['height']} ({p['bytes'] / 1e6:.2f} MB)" for p in result["photos"].values()]
        found.append(f"JPEGs: {', '.join(sizes)}.")
        found += [note for name, about in result["contenders"].items() if (note := _about(name, about, own))]
    found += [f"{name}: left out: {why}" for name, why in result["left_out"].items()]
    before, after = result["load"]
    if max(before, after) > 1.5 * max(result["threads"]):
        found.append(f"The machine was busy with other things (load {before:.1f} before, {after:.1f} after).")
    return found


def _about(name: str, contender: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    about = [contender["detail"]] if contender["detail"] else []
    if contender["python"] != own["python"]:
        about.append(f"Python {contender['python']}")
    if "agreement" in contender:
        same, of = contender["agreement"]["same"], contender["agreement"]["questions"]
        about.append(f"our answer to {same} of {of} questions")
    about += contender["remarks"]
    return f"{name}: {'; '.join(about)}." if about else ""


def as_text(result: Mapping[str, Any]) -> str:
    """For a terminal: the full report."""
    tables = [(title, rows(result, columns)) for title, columns in groups(result)]
    if result["ratios"]:
        tables.append(("Best peer over ours", ratio_rows(result)))
    return "\n\n".join([*(f"{title}\n{_aligned(table)}" for title, table in tables), "\n".join(notes(result, True))])


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in table)


def as_markdown(result: Mapping[str, Any], full: bool = True) -> str:
    """For a document: the full report, or the compact one in one table."""
    if not full:
        return "\n".join([_markdown(rows(result, compact_columns(result))), "", _listed(notes(result, False))])
    parts = [f"{title}:\n\n{_markdown(rows(result, columns))}" for title, columns in groups(result)]
    if result["ratios"]:
        parts.append(f"Best peer over ours:\n\n{_markdown(ratio_rows(result))}")
    return "\n\n".join([*parts, _listed(notes(result, True))])


def _bold(text: str) -> str:
    return f"**{text}**"


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _markdown(table: Sequence[Sequence[str]]) -> str:
    heading, *body = ("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in table)
    return "\n".join([heading, "|" + "---|" * len(table[0]), *body])


def fill(document: Path, result: Mapping[str, Any]) -> None:
    """Put Markdown into each of BLOCKS that the document has. Raises ValueError when it has none."""
    text = document.read_text(encoding="utf-8")
    there = [name for name in BLOCKS if f"<!-- {name} -->" in text]
    if not there:
        raise ValueError(f"{document}: has none of the blocks {', '.join(f'<!-- {name} -->' for name in BLOCKS)}")
    for name in there:
        fill_block(document, name, as_markdown(result, BLOCKS[name] == "full"))


def fill_block(document: Path, name: str, content: str) -> None:
    """Put `content` between <!-- NAME --> and <!-- /NAME -->. Raises ValueError when the document has no such block."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = document.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{document}: has no block between {begin} and {end}")
    before, rest = text.split(begin)
    document.write_text(f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}", encoding="utf-8")
