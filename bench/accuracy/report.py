"""The result as Markdown: tables for the document, and the list of all questions whose answers differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .figures import effect

MOST_LISTED = 20
_OWN_INT8 = ("int8.evqa", "int8.onnx", "int8.tflite")


def as_markdown(result: Mapping[str, Any], plot: str | None = None) -> str:
    """All tables; `plot` is the address of the picture of SQNR by layer."""
    models = result["models"]
    parts = [
        _about(result),
        _problems(result["problems"]),
        "### Files\n\n" + files_table(models),
        "### Do the runtimes agree?\n\n" + agreement_text(models),
        "### By kind of question\n\n" + kinds_tables(models),
        "### Layer by layer\n\n" + layers_table(models) + (f"\n\n![SQNR by layer]({plot})" if plot else ""),
        "### Where answers differ\n\n" + effects_table(models) + "\n\n" + surest(models),
        "### Whole files and halves\n\n" + halves_text(models),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(result: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    text = (
        f"{result['questions']} questions about {result['pictures']} pictures, {result['data']}, {result['split']}; "
        f"{result['date']}, {result['processor']}, one thread; {versions}."
    )
    before, after = result["load"]
    busy = f" The machine was busy with other things (load {before:.1f} before, {after:.1f} after): times mean little."
    return text + (busy if max(before, after) > 2 else "")


def _problems(problems: Sequence[str]) -> str:
    return "Not measured, or not right:\n\n" + "\n".join(f"- {p}" for p in problems) if problems else ""


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in (heading, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heading), *lines[1:]])


def files_table(models: Mapping[str, Any]) -> str:
    """A row for PyTorch and one for every file."""
    rows = []
    for name, model in models.items():
        own = model["pytorch"]
        rows.append([f"`{name}`", "PyTorch", f"{own['accuracy']:.4f}", f"{own['loss']:.4f}", *[""] * 6])
        for key, f in model["files"].items():
            rows.append([
                "", key, f"{f['accuracy']:.4f}", f"{f['loss']:.4f}", f"{round(f['points_lost'], 2) + 0.0:.2f}",
                f"{100 * f['agreement']:.2f}", _small(f["largest_difference"]), f"{f['bytes'] / 1e6:.2f}",
                f"{f['picture_ms']:.2f}", f"{f['question_ms']:.3f}",
            ])  # fmt: skip
    heading = (
        "model", "file", "accuracy", "loss", "points lost", "same answer as PyTorch, %",
        "largest difference of a logit", "MB", "picture, ms", "question, ms",
    )  # fmt: skip
    return table(heading, rows)


def _small(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.1e}" if value else "0"


def agreement_text(models: Mapping[str, Any]) -> str:
    """How often the int8 files of a model give one answer in their own runtimes, and where they do not."""
    rows, apart = [], []
    for name, model in models.items():
        if model["engines_agree"] is None:
            continue
        differing = [d for d in model["differences"] if not runtimes_agree(d)]
        rows.append([f"`{name}`", f"{100 * model['engines_agree']:.2f}", str(len(differing))])
        apart += [(name, d) for d in differing]
    if not rows:
        return "One runtime only was measured."
    text = table(("model", "int8 files agree on the answer, % of questions", "questions apart"), rows)
    if not apart:
        return text
    heading = ("model", "picture", "question", "expected", "PyTorch", *_OWN_INT8)
    lines = [
        [f"`{name}`", d["picture"], d["question"], d["expected"], _said(d["pytorch"]), *_by_file(d, _OWN_INT8)]
        for name, d in apart[:MOST_LISTED]
    ]
    more = f"\n\nand {len(apart) - MOST_LISTED} more." if len(apart) > MOST_LISTED else ""
    return f"{text}\n\n{table(heading, lines)}{more}"


def runtimes_agree(difference: Mapping[str, Any]) -> bool:
    """Whether the int8 files in their own runtimes gave one answer."""
    said = {difference["files"][key]["answer"] for key in _OWN_INT8 if key in difference["files"]}
    return len(said) < 2


def _said(verdict: Mapping[str, Any]) -> str:
    return f"{verdict['answer']} ({verdict['probability']:.2f}, +{verdict['margin']:.2f})"


def _by_file(difference: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    return [_said(difference["files"][key]) if key in difference["files"] else "" for key in keys]


def kinds_tables(models: Mapping[str, Any]) -> str:
    """Accuracy by kind of question, a table a model."""
    parts = []
    for name, model in models.items():
        keys = list(model["files"])
        counts = model["questions_by_kind"]
        rows = [
            [
                kind, str(counts[kind]), f"{model['pytorch']['accuracy_by_kind'][kind]:.3f}",
                *(f"{model['files'][key]['accuracy_by_kind'][kind]:.3f}" for key in keys),
            ]
            for kind in sorted(counts, key=lambda k: -counts[k])
        ]  # fmt: skip
        parts.append(f"`{name}`\n\n" + table(("kind", "questions", "PyTorch", *keys), rows))
    return "\n\n".join(parts)


def layers_table(models: Mapping[str, Any]) -> str:
    """For every file: SQNR of its worst layer and of the parts that follow the convolutions."""
    rows = []
    for name, model in models.items():
        for key, found in model["layers"].items():
            ratios = found["sqnr"]
            ends = (f"{ratios[part]:.1f}" for part in ("features", "state", "logits"))
            rows.append([f"`{name}`", key, found["worst"], f"{ratios[found['worst']]:.1f}", *ends])
    return table(("model", "file", "worst layer", "its SQNR, dB", "features", "state", "logits"), rows)


def effects_table(models: Mapping[str, Any]) -> str:
    """What other answers did to the score."""
    rows = []
    for name, model in models.items():
        for key in model["files"]:
            effects = [effect(d, key) for d in model["differences"]]
            other = [d["pytorch"]["margin"] for d, e in zip(model["differences"], effects, strict=True) if e != "same"]
            middle = sorted(other)[len(other) // 2] if other else None
            counts = [str(effects.count(e)) for e in ("lost", "won", "neither")]
            rows.append([f"`{name}`", key, str(len(other)), *counts, "" if middle is None else f"{middle:.3f}"])
    heading = (
        "model", "file", "other answers", "right became wrong", "wrong became right", "wrong before and after",
        "PyTorch's lead there, median",
    )  # fmt: skip
    return table(heading, rows)


def surest(models: Mapping[str, Any], most: int = 5) -> str:
    """Per model the int8 differences in which PyTorch was surest."""
    rows = []
    for name, model in models.items():
        key = next((key for key in _OWN_INT8 if key in model["files"]), None)
        if key is None:
            continue
        differing = [d for d in model["differences"] if effect(d, key) != "same"][:most]
        rows += [
            [f"`{name}`", d["picture"], d["question"], d["expected"], _said(d["pytorch"]), _said(d["files"][key])]
            for d in differing
        ]
    if not rows:
        return ""
    heading = ("model", "picture", "question", "expected", "PyTorch", "int8")
    return (
        f"Those of int8 where PyTorch was surest (probability, lead over the second answer):\n\n{table(heading, rows)}"
    )


def halves_text(models: Mapping[str, Any]) -> str:
    """The halves, and the uncut graph, against the whole file as edge_vqa runs it."""
    rows = []
    for name, model in models.items():
        for key in {**model["halves"], **model["uncut"]}:
            cells = [f"`{name}`", key]
            for way in ("halves", "uncut"):
                found = model[way].get(key)
                same = f"{found['same']} of {found['questions']}" if found else ""
                cells += [same, _small(found["largest_difference"]) if found else ""]
            rows.append(cells)
    checked = sum(len(model["checks"]) for model in models.values())
    text = f"{checked} ONNX and TFLite files, whole and halves, went through their checkers."
    if not rows:
        return text
    heading = (
        "model", "file", "two halves: same answer", "largest difference of a logit",
        "one graph without edge_vqa: same answer", "largest difference of a logit",
    )  # fmt: skip
    return f"{text}\n\n{table(heading, rows)}"


def differences_list(result: Mapping[str, Any]) -> str:
    """Every question whose answer differs, for reading through."""
    parts = ["# Where answers differ from full precision", "In brackets: probability, lead over the second answer."]
    for name, model in result["models"].items():
        keys = list(model["files"])
        heading = ("picture", "question", "kind", "expected", "PyTorch", *keys)
        rows = [
            [d["picture"], d["question"], d["kind"], d["expected"], _said(d["pytorch"]), *_by_file(d, keys)]
            for d in model["differences"]
        ]
        parts.append(f"## {name}: {len(rows)} questions\n\n{table(heading, rows)}")
    return "\n\n".join(parts) + "\n"
