"""Two results side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .report import Table, columns, digits, markdown_list, markdown_table

_SETUP = (
    ("edge_vqa", "setup", "edge_vqa"), ("Python", "setup", "python"), ("Pillow", "setup", "pillow"),
    ("threads", "setup", "threads"), ("question", "setup", "question"), ("environment", "setup", "environment"),
    ("options", "setup", "options"), ("board", "machine", "board"), ("processor", "machine", "processor"),
    ("usable processors", "machine", "usable"), ("system", "machine", "system"), ("bits", "machine", "bits"),
    ("distribution", "machine", "distribution"), ("quota", "machine", "quota"),
)  # fmt: skip
"""What it is called, and where it stands in a result."""


def compare_text(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    return "\n\n".join([columns(table(first, second)), "\n".join(notes(first, second))])


def compare_markdown(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    return "\n\n".join([markdown_table(table(first, second)), markdown_list(notes(first, second))])


def table(first: Mapping[str, Any], second: Mapping[str, Any]) -> Table:
    """A row for what both measured: both medians, B's over A's, and what that says."""
    found = [["", "A", "B", "B / A", ""]]
    others = {row["key"]: row for row in second["measurements"]}
    for a in first["measurements"]:
        b = others.get(a["key"])
        if b is not None and b["unit"] == a["unit"]:
            ratio = f"{b['median'] / a['median']:.2f}" if a["median"] else ""
            medians = [f"{digits(row['median'])} {row['unit']}" for row in (a, b)]
            found.append([a["label"], *medians, ratio, judgement(a, b)])
    return found


def judgement(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    """Within the spread when each median lies between the other's p5 and p95; unsure when only one does."""
    a_reaches = a["p5"] <= b["median"] <= a["p95"]
    b_reaches = b["p5"] <= a["median"] <= b["p95"]
    if a_reaches and b_reaches:
        return "within the spread"
    better = (b["median"] > a["median"]) == (a["unit"] == "pictures/s")
    words = ("B needs less", "B needs more") if a["unit"] == "MB" else ("B is quicker", "B is slower")
    unsure = ", but A varies as much" if a_reaches else ", but B varies as much" if b_reaches else ""
    return words[not better] + unsure


def notes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """How the setups differ, what only one has, and what each warns of."""
    different = _differences(first, second)
    found = [f"Different: {name}: A {_shown(a)}, B {_shown(b)}." for name, a, b in different]
    found = found or ["Both have the same setup."]
    keys_a, keys_b = ({row["key"]: row["label"] for row in result["measurements"]} for result in (first, second))
    for name, own, other in (("A", keys_a, keys_b), ("B", keys_b, keys_a)):
        alone = [label for key, label in own.items() if key not in other]
        if alone:
            found.append(f"Only {name} has: {'; '.join(alone)}.")
    for name, result in (("A", first), ("B", second)):
        found += [f"{name} warns: {warning['text']}." for warning in result["warnings"]]
        if result.get("interrupted"):
            found.append(f"{name} was interrupted.")
    return found


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    pairs: list[tuple[str, Any, Any]] = [
        (name, first[part].get(key), second[part].get(key)) for name, part, key in _SETUP
    ]
    pairs[3:3] = [("engine", _engine(first), _engine(second)), ("model", _model(first), _model(second))]
    pairs.append(("governor", _governors(first), _governors(second)))
    pairs += _pictures(first, second)
    return [pair for pair in pairs if pair[1] != pair[2]]


def _engine(result: Mapping[str, Any]) -> str:
    engine = result["setup"]["engine"]
    build = f"build {engine['library_sha256'][:8]}" if engine["library_sha256"] else None
    return ", ".join(str(part) for part in (engine["name"], engine["version"], engine["level"], build) if part)


def _model(result: Mapping[str, Any]) -> str:
    model = result["setup"]["model"]
    return f"{model['name']} {model['precision']}, SHA-256 " + ", ".join(f["sha256"][:12] for f in model["files"])


def _governors(result: Mapping[str, Any]) -> list[str | None]:
    return [group["governor"] for group in result["sensors"].get("before", {}).get("governors", [])]


def _pictures(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    a, b = ({p["name"]: p for p in result["setup"]["pictures"]} for result in (first, second))

    def shown(picture: Mapping[str, Any]) -> str:
        return f"{picture['bytes']} bytes, SHA-256 {picture['sha256'][:12]}"

    return [(f"picture {name}", shown(a[name]), shown(b[name])) for name in a if name in b]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
