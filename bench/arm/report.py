"""A result as text or Markdown, and the marked blocks of documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..peers.report import fill_block
from .boards import best_peer, estimates, proper, published_check

NAMES = {
    "ours": "edge_vqa", "litert": "LiteRT", "onnxruntime-u8": "onnxruntime (u8)",
    "onnxruntime-s8": "onnxruntime (s8)", "onnxruntime": "onnxruntime",
}  # fmt: skip
SHOWN = 0.03
"""Loops of functions with a smaller share of the cycles are in the JSON only."""

Table = list[list[str]]


def contenders(result: Mapping[str, Any]) -> Table:
    """A row a core and contender, and the ratios."""
    rows = [
        [
            "core", "", "encoder, Minstr", "encoder, Mcycles", "MACs / instr", "MACs / cycle", "head, Mcycles",
            "answer, Mcycles", "best peer / ours: encoder, answer",
        ]
    ]  # fmt: skip
    for core, found in result["cores"].items():
        for name, c in found.items():
            encoder, ratio = c["encoder"], ""
            if name == "ours" and len(found) > 1:
                ratio = ", ".join(f"{compared(found, part):.2f}" for part in ("encoder", "answer"))
            rows.append(
                [
                    proper(core), NAMES[name], f"{encoder['instructions'] / 1e6:.1f}", f"{encoder['cycles'] / 1e6:.1f}",
                    f"{result['macs'] / encoder['instructions']:.2f}", f"{result['macs'] / encoder['cycles']:.1f}",
                    f"{c['head']['cycles'] / 1e6:.2f}", f"{c['answer']['cycles'] / 1e6:.1f}", ratio,
                ]
            )  # fmt: skip
    return rows


def compared(found: Mapping[str, Any], part: str) -> float:
    """The best peer's cycles over ours."""
    return float(found[best_peer(found, part)][part]["cycles"] / found["ours"][part]["cycles"])


def starts(result: Mapping[str, Any]) -> Table:
    """Instructions of whole processes."""
    measured = {core: found for core, found in result["start"].items() if found}
    if not measured:
        return []
    names = list(next(iter(measured.values())))
    peers = names[1:]
    ratio_heading = ["best peer / ours"] if peers else []
    rows = [["process start to answer, Minstr", *(NAMES[name] for name in names), *ratio_heading]]
    for core, found in measured.items():
        counts = [found[name]["instructions"] for name in names]
        ratio = [f"{min(counts[1:]) / counts[0]:.2f}"] if peers else []
        rows.append([proper(core), *(f"{count / 1e6:.0f}" for count in counts), *ratio])
    return rows


def start_files(result: Mapping[str, Any]) -> str:
    """One sentence about the last core: where the instructions of whole processes were."""
    core, found = list(result["start"].items())[-1]
    said = []
    for name, start in found.items():
        most = [f"{file} {count / 1e6:.0f}" for file, count in start["files"].items() if count >= 5e6]
        said.append(f"{NAMES[name]}: {', '.join(most)}")
    return f"By file, as {proper(core)}, at least 5 Minstr: {'; '.join(said)}."


def kernels(result: Mapping[str, Any], contender: str | None = None) -> Table:
    """The inner loops of `contender`, or of all."""
    rows = [
        ["core", "", "function", "share of cycles", "instr", "MACs", "cycles", "MACs / cycle", "of the core's most"]
    ]
    for core, found in result["kernels"].items():
        most = max(found["limits"].values())
        for row in found["loops"]:
            if contender in (None, row["contender"]) and row["share"] >= SHOWN:
                rows.append(
                    [
                        proper(core), NAMES[row["contender"]], row["function"], f"{row['share']:.0%}",
                        str(row["instructions"]), str(row["macs"]), f"{row['cycles']:.1f}",
                        f"{row['macs_per_cycle']:.1f}", f"{row['macs_per_cycle'] / most:.0%}",
                    ]
                )  # fmt: skip
    return rows


def core_limits(result: Mapping[str, Any]) -> str:
    """One sentence."""
    said = (
        f"{proper(core)} {', '.join(f'{most:.1f} ({name})' for name, most in found['limits'].items())}"
        for core, found in result["kernels"].items()
    )
    return f"The most that the multipliers can do, by the same model, MACs a cycle: {'; '.join(said)}."


def steps(result: Mapping[str, Any]) -> Table:
    """Our encoder, a row a step: thousands of cycles, and MACs a cycle, on each core."""
    cores = result["steps"]
    heading = ["layers", "shape", "MMAC"]
    for core in cores:
        heading += [f"{proper(core)}, kcycles", "MACs / cycle"]
    rows = [heading]
    for numbers in zip(*cores.values(), strict=True):
        first = numbers[0]
        cells = [first["layers"], first["shape"] or first["step"], f"{first['macs'] / 1e6:.2f}"]
        for step in numbers:
            cells += [f"{step['cycles'] / 1e3:.1f}", f"{step['macs'] / step['cycles']:.1f}" if step["cycles"] else ""]
        rows.append(cells)
    return rows


def boards(result: Mapping[str, Any]) -> Table:
    """Estimated milliseconds of an answer on boards, ours and the best peer's."""
    return estimates(result, NAMES)


def notes(result: Mapping[str, Any]) -> list[str]:
    """What one has to know to judge the tables."""
    found = [
        f"Modelled, not measured: llvm-mca {result['llvm']}, qemu {result['qemu']}, {result['date']}. One thread.",
        f"{result['model']}, int8, {result['macs'] / 1e6:.1f} million multiply-accumulates (MACs) a picture; question: "
        f"{result['question']}",
        *(second_model(core, found) for core, found in result["cores"].items() if "second_model" in _encoder(found)),
    ]
    for name in next(iter(result["cores"].values())):
        cells = {proper(core): contenders[name] for core, contenders in result["cores"].items()}
        about = []
        for detail in dict.fromkeys(c["detail"] for c in cells.values()):
            where = [core for core, c in cells.items() if c["detail"] == detail]
            about.append(detail if len(where) == len(cells) else f"{detail} ({', '.join(where)})")
        if name != "ours":
            agreements = [c["agreement"] for c in cells.values()]
            same, of = min(a["same"] for a in agreements), agreements[0]["questions"]
            apart = max(a["largest_logit_difference"] for a in agreements)
            about.append(f"our answer to {same} of {of} questions, logits at most {apart:.2f} from ours")
        found.append(f"{NAMES[name]}: {'; '.join(about)}.")
    return found


def second_model(core: str, found: Mapping[str, Any]) -> str:
    """How far the comparison depends on which of LLVM's models stands for a core."""
    cycles = {name: c["encoder"]["second_model"]["cycles"] for name, c in found.items()}
    ours = cycles.pop("ours")
    said = f"{ours / 1e6:.1f} Mcycles"
    if cycles:
        best = min(cycles, key=lambda name: float(cycles[name]))
        said += f", {NAMES[best]} {cycles[best] / 1e6:.1f}, best peer / ours {cycles[best] / ours:.2f}"
    model = proper(_encoder(found)["second_model"]["name"])
    return f"{proper(core)}'s encoder by LLVM's model of {model}: edge_vqa {said}."


def _encoder(found: Mapping[str, Any]) -> Any:
    return found["ours"]["encoder"]


def as_plain(table: Table) -> str:
    """Columns for a terminal."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table)


def as_markdown(table: Table) -> str:
    """For a document."""
    heading, *body = ("| " + " | ".join(row) + " |" for row in table)
    return "\n".join([heading, "|" + "---|" * len(table[0]), *body])


def as_text(result: Mapping[str, Any], with_steps: bool) -> str:
    """All tables for a terminal."""
    return _all(result, as_plain, with_steps, lambda line: line)


def _all(result: Mapping[str, Any], table: Callable[[Table], str], with_steps: bool, note: Callable[[str], str]) -> str:
    parts = [table(contenders(result)), "\n".join(note(line) for line in notes(result))]
    tables: Sequence[Table] = (
        starts(result),
        kernels(result),
        *([steps(result)] if with_steps else []),
        boards(result),
    )
    parts += [table(rows) for rows in tables if len(rows) > 1]
    parts += [note(core_limits(result)), *([note(start_files(result))] if starts(result) else [])]
    return "\n\n".join(parts)


def blocks(result: Mapping[str, Any]) -> dict[str, str]:
    """The marked blocks that a result fills: name -> Markdown."""
    return {
        "arm": "\n".join([as_markdown(contenders(result)), "", *(f"- {note}" for note in notes(result))]),
        "arm-start": f"{as_markdown(starts(result))}\n\n{start_files(result)}" if starts(result) else "",
        "arm-kernels": f"{as_markdown(kernels(result))}\n\n{core_limits(result)}",
        "arm-steps": f"```\n{as_plain(steps(result))}\n```",
        "arm-check": as_markdown(published_check(result)),
        "pi": as_markdown(boards(result)),
    }


def fill(document: Path, result: Mapping[str, Any]) -> None:
    """Fill every block that the document has. Raises ValueError when it has none of them."""
    text = document.read_text(encoding="utf-8")
    found = {name: content for name, content in blocks(result).items() if f"<!-- {name} -->" in text}
    if not found:
        raise ValueError(f"{document}: has no block between <!-- {' -->, <!-- '.join(blocks(result))} --> and its end")
    for name, content in found.items():
        fill_block(document, name, content)
