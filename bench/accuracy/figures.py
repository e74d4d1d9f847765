"""Figures of merit from logits: accuracy, loss, agreement, and where answers differ.

Logits are [questions, answers + 1]; the last, for "no answer", does not compete with the answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from export.data import Example
from export.metrics import summary
from export.scoring import Predictions

Array = np.ndarray[Any, Any]


def as_predictions(examples: list[Example], answers: Sequence[str], logits: Array) -> Predictions:
    """What export.metrics takes; without attention maps."""
    index = {answer: i for i, answer in enumerate(answers)}
    truth = torch.tensor([index.get(e.answer, -1) for e in examples])
    values = torch.from_numpy(logits)
    return Predictions(examples, values[:, :-1], values.softmax(-1)[:, -1], torch.empty(len(examples), 0, 0), truth)


def judge(examples: list[Example], answers: Sequence[str], logits: Array, temperature: float) -> dict[str, Any]:
    """Accuracy and loss (mean negative log-likelihood at this temperature), and accuracy by kind of question."""
    found = summary(as_predictions(examples, answers, logits), temperature)
    return {key: found[key] for key in ("accuracy", "loss", "accuracy_by_kind")}


def top(logits: Array) -> Array:
    """[questions] int64: the most probable answer of each."""
    best: Array = logits[:, :-1].argmax(-1)
    return best


def compare(examples: list[Example], logits: Array, full: Array) -> dict[str, Any]:
    """A file against full precision: shares of equal top answers, all and by kind; the largest difference of logits."""
    same = top(logits) == top(full)
    kinds: dict[str, list[bool]] = defaultdict(list)
    for example, equal in zip(examples, same.tolist(), strict=True):
        kinds[example.kind].append(equal)
    return {
        "agreement": float(same.mean()),
        "agreement_by_kind": {kind: sum(v) / len(v) for kind, v in sorted(kinds.items())},
        "largest_difference": float(np.abs(logits - full).max()),
    }


def all_agree(several: Sequence[Array]) -> Array:
    """[questions] bool: every one of several arrays of logits has the same top answer."""
    best = np.stack([top(logits) for logits in several])
    same: Array = (best == best[0]).all(0)
    return same


def verdict(row: Array, answers: Sequence[str], temperature: float) -> dict[str, Any]:
    """From one question's logits: the answer, its probability, and by how much it is ahead of the second."""
    scaled = row[:-1].astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    probabilities = powers / powers.sum()
    best = int(row[:-1].argmax())
    others = np.delete(probabilities, best)
    margin = float(probabilities[best] - others.max()) if len(others) else 1.0
    return {"answer": answers[best], "probability": float(probabilities[best]), "margin": margin}


def differences(
    examples: list[Example], answers: Sequence[str], full: Array, files: Mapping[str, Array], temperature: float
) -> list[dict[str, Any]]:
    """Questions to which at least one of `files` gives another answer than full precision, surest first."""
    found = []
    for row in np.flatnonzero(~all_agree([full, *files.values()])):
        example = examples[row]
        found.append({
            "picture": example.image, "question": example.question, "kind": example.kind, "expected": example.answer,
            "pytorch": verdict(full[row], answers, temperature),
            "files": {name: verdict(logits[row], answers, temperature) for name, logits in files.items()},
        })  # fmt: skip
    return sorted(found, key=lambda d: -d["pytorch"]["margin"])


def effect(difference: Mapping[str, Any], file: str) -> str:
    """What another answer does: "lost", "won" or "neither" of a right answer; "same" where it is not another."""
    before, after, right = difference["pytorch"]["answer"], difference["files"][file]["answer"], difference["expected"]
    if before == after:
        return "same"
    return "lost" if before == right else "won" if after == right else "neither"
