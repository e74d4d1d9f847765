"""A result for people: plain text for a terminal, Markdown for an issue or a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .sustained import sentence

Table = list[list[str]]
_MOST_INTERVALS = 24
"""Rows of the sustained run's table; longer runs are shown in steps."""


def as_text(result: Mapping[str, Any]) -> str:
    parts = [_lines(facts(result)), columns(measured(result))]
    if result.get("sustained"):
        parts.append(columns(course(result["sustained"])))
    return "\n\n".join([*parts, "\n".join(_remarks(result))])


def as_markdown(result: Mapping[str, Any]) -> str:
    parts = [markdown_list([f"{name}: {text}" for name, text in facts(result)]), markdown_table(measured(result))]
    if result.get("sustained"):
        parts.append(markdown_table(course(result["sustained"])))
    return "\n\n".join([*parts, markdown_list(_remarks(result))])


def facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was measured, where."""
    setup, machine = result["setup"], result["machine"]
    engine, model = setup["engine"], setup["model"]
    kernels = f", kernels {engine['level']}" if engine["level"] else ""
    files = ", ".join(f"{f['file']} ({f['bytes'] / 1e6:.2f} MB, SHA-256 {f['sha256'][:12]}...)" for f in model["files"])
    found = [
        ("board", machine["board"] or "not told"),
        ("processor", _processor(machine)),
        ("system", _system(machine)),
        ("edge_vqa", f"{setup['edge_vqa']}, {setup['python']}, Pillow {setup['pillow']}"),
        ("engine", f"{engine['name']} {engine['version'] or ''}".strip() + kernels + _threads(setup["threads"])),
        ("model", f"{model['name']}, {model['precision']}: {files}"),
        ("question", f"{setup['question']} ({setup['words']} words)"),
        ("measured", f"{result['date']}, in {result['seconds']:.0f} s"),
    ]
    for name in ("before", "after"):
        found.append((f"sensors {name}", _sensors(result["sensors"].get(name, {}))))
    if setup["environment"]:
        found.append(("environment", " ".join(f"{k}={v}" for k, v in setup["environment"].items())))
    if setup["options"]:
        found.append(("options", ", ".join(f"{k} {v}" for k, v in setup["options"].items())))
    return found


def _threads(count: int) -> str:
    return f", {count} thread{'s' * (count > 1)}"


def _processor(machine: Mapping[str, Any]) -> str:
    cores = f"{machine['usable']} of {machine['processors']} processors usable"
    caches = f", {', '.join(machine['caches'])}" if machine["caches"] else ""
    quota = f", time of {machine['quota']:.2g} allowed" if machine["quota"] is not None else ""
    return f"{machine['processor'] or 'not told'}, {cores}{quota}{caches}"


def _system(machine: Mapping[str, Any]) -> str:
    memory = f"{machine['memory_mb']:.0f} MB of memory" if machine["memory_mb"] else None
    container = f"in a container ({machine['container']})" if machine["container"] else None
    kind = f"{machine['machine']}, {machine['bits']} bits"
    virtual = "virtual machine" if machine["virtual"] else None
    parts = (machine["distribution"], machine["system"], kind, machine["libc"], memory, container, virtual)
    return ", ".join(str(part) for part in parts if part)


def _sensors(told: Mapping[str, Any]) -> str:
    parts = [f"{t['name']} {t['celsius']:.1f} °C" for t in told.get("temperatures", [])]
    clocks = list(told.get("clocks_mhz", {}).values())
    if clocks:
        span = f"{min(clocks):.0f}" if min(clocks) == max(clocks) else f"{min(clocks):.0f} to {max(clocks):.0f}"
        parts.append(f"clock {span} MHz")
    parts += [f"governor {g['governor']}" for g in told.get("governors", []) if g["governor"]]
    if flags := told.get("throttled"):
        now, since = (", ".join(flags[k]) or "nothing" for k in ("now", "since_start"))
        parts.append(f"throttling flags {flags['value']} (now: {now}; since the start: {since})")
    working = [c for c in told.get("cooling", []) if c["state"] and c["most"]]
    parts += [f"{c['type']} {c['state']:g} of {c['most']:g}" for c in working]
    if load := told.get("load"):
        parts.append(f"load {load[0]:.2f}")
    return ", ".join(parts) or "nothing told"


def measured(result: Mapping[str, Any]) -> Table:
    """Heading, then a row each; the rows of several threads say how much quicker than one they are."""
    singles = {row["key"]: row["median"] for row in result["measurements"]}
    table = [["", "median", "p5", "p95", "runs", ""]]
    for row in result["measurements"]:
        figures = [f"{digits(row[name])} {row['unit']}" if name == "median" else digits(row[name]) for name in _SHOWN]
        table.append([row["label"], *figures, str(row["runs"]), _gain(row, singles)])
    return table


_SHOWN = ("median", "p5", "p95")


def _gain(row: Mapping[str, Any], singles: Mapping[str, float]) -> str:
    group, *rest = row["key"].split(".")
    if group == "threads" and rest[0] != "1" and (one := singles.get(f"threads.1.{rest[-1]}")):
        return f"{one / row['median']:.2f} times one thread's speed"
    if group == "batch" and rest[0] != "1" and (one := singles.get("batch.1")):
        return f"{row['median'] / one:.2f} times one thread's speed"
    return ""


def digits(value: float) -> str:
    """Three significant digits, and no fewer than the whole number has."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def course(sustained: Mapping[str, Any]) -> Table:
    """The sustained run over time."""
    intervals: Sequence[Mapping[str, Any]] = sustained["intervals"]
    step = max(1, -(-len(intervals) // _MOST_INTERVALS))
    table = [["sustained run, from", "median", "p5", "p95", "runs", "temperature", "clock", "held back"]]
    for found in intervals[::step]:
        heat, clock, flags = found["celsius"], found["mhz"], found["throttled"]
        table.append([
            f"{found['from_s']:.{int(found['from_s'] < 10)}f} s",
            f"{digits(found['median'])} ms", digits(found["p5"]), digits(found["p95"]), str(found["runs"]),
            "not told" if heat is None else f"{heat:.1f} °C", "not told" if clock is None else f"{clock:.0f} MHz",
            "not told" if flags is None else ", ".join(flags) or "no",
        ])  # fmt: skip
    return table


def _remarks(result: Mapping[str, Any]) -> list[str]:
    """Everything that is no figure: memory, verdict, answers, what is missing, warnings."""
    found = []
    if memory := result["memory"]:
        found.append(
            f"Memory: {memory['growth_mb']:+.2f} MB over {memory['answers']} answers; "
            f"the measuring process then holds {memory['resident_mb']:.0f} MB."
        )
    if run := result["sustained"]:
        growth = f"; memory {run['growth_mb']:+.2f} MB" if run["growth_mb"] is not None else ""
        said = sentence(run["verdict"], run["ended_early"], run["planned_s"])
        found.append(f"Sustained run ({run['picture']}, to the answer): {said}{growth}.")
    if answers := result["answers"]:
        found.append("Answers: " + ", ".join(f"{name}: {text}" for name, text in answers.items()) + ".")
    if result["interrupted"]:
        found.append(f"Interrupted: {result['interrupted']} and what comes after it are missing or incomplete.")
    found += [f"Could not be measured: {name}: {why}." for name, why in result["failed"].items()]
    found += [f"Left out: {name}: {why}." for name, why in result["left_out"].items()]
    told = result["sensors"]
    found += [f"Not told by this system: {w} (looked for {', '.join(p)})." for w, p in told.get("not_told", {}).items()]
    found += [f"Cannot be used: {path}: {why}." for path, why in told.get("faults", {}).items()]
    found += [f"Warning: {w['text']}. To do: {w['advice']}." for w in result["warnings"]]
    return found


def markdown_list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(text)}" for text in texts)


def _plain(text: str) -> str:
    """Without what Markdown would take for its own: paths have stars, questions may have anything."""
    return "".join(f"\\{c}" if c in "*`<|\\" else c for c in text)


def markdown_table(table: Table) -> str:
    heading, *rows = ("| " + " | ".join(map(_plain, row)) + " |" for row in table)
    return "\n".join([heading, "|" + "---|" * len(table[0]), *rows])


def _lines(pairs: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{name:{width}}  {text}" for name, text in pairs)


def columns(table: Table) -> str:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    first, others = widths[0], widths[1:]
    return "\n".join(
        "  ".join([row[0].ljust(first), *(cell.rjust(w) for cell, w in zip(row[1:], others))]).rstrip() for row in table
    )
