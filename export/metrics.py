"""Figures of merit computed from predictions: accuracy by kind, baselines, calibration, pointing game, confusion."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import torchvision_import  # noqa: F401  (torchmetrics imports torchvision itself: ours has to come first)

# isort: split
from torchmetrics.functional.classification import multiclass_calibration_error

from edge_vqa.question import strip_accents

from .augment import coverage
from .data import Dataset, Example
from .scoring import Predictions
from .views import focus_label

REPORT_KINDS = ("name", "yesno", "colour", "sauce")
"""The four topics of the report that the four models come from."""


def summary(p: Predictions, temperature: float = 1.0) -> dict[str, Any]:
    """Accuracy, loss (mean negative log-likelihood, natural logarithm), calibration error, accuracy by kind."""
    known = p.truth >= 0
    logits, truth = p.logits[known] / temperature, p.truth[known]
    kinds: dict[str, list[bool]] = defaultdict(list)
    for example, right in zip(p.examples, p.correct.tolist(), strict=True):
        kinds[example.kind].append(right)
    report = [r for k in REPORT_KINDS for r in kinds.get(k, [])]
    return {
        "questions": len(p.examples),
        "accuracy": p.accuracy,
        "loss": float(F.cross_entropy(logits, truth)),
        "calibration_error": float(
            multiclass_calibration_error(logits.softmax(-1), truth, logits.shape[-1], n_bins=15, norm="l1")
        ),
        "accuracy_by_kind": {k: sum(v) / len(v) for k, v in sorted(kinds.items())},
        "questions_by_kind": {k: len(v) for k, v in sorted(kinds.items())},
        **({"accuracy_report_kinds": sum(report) / len(report)} if report else {}),
    }


def fit_temperature(p: Predictions) -> float:
    """The softmax temperature that minimises the loss (Guo et al. 2017), by golden-section search over 0.3 to 3."""
    known = p.truth >= 0
    logits, truth = p.logits[known], p.truth[known]

    def loss(t: float) -> float:
        return float(F.cross_entropy(logits / t, truth))

    low, high, ratio = 0.3, 3.0, (5**0.5 - 1) / 2
    for _ in range(40):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return (low + high) / 2


def baselines(train: list[Example], examples: list[Example]) -> dict[str, float]:
    """Accuracy without looking: always the commonest answer, and the commonest answer to the question's text.

    Both are counted on the training split; a text never seen in training gets the commonest answer of all.
    """
    overall = Counter(e.answer for e in train).most_common(1)[0][0]
    by_text: dict[str, Counter[str]] = defaultdict(Counter)
    for e in train:
        by_text[strip_accents(e.question)][e.answer] += 1
    guess = {text: c.most_common(1)[0][0] for text, c in by_text.items()}
    n = len(examples)
    return {
        "majority": sum(e.answer == overall for e in examples) / n,
        "question_only": sum(e.answer == guess.get(strip_accents(e.question), overall) for e in examples) / n,
    }


def pointing_game(p: Predictions, dataset: Dataset) -> dict[str, float | int] | None:
    """How often the attention's highest cell touches a box of the thing that the question names (Zhang et al. 2016).

    A hit is a peak cell of which at least a quarter is covered by such a box. `chance` is the mean share of cells that
    would be hits. None where no question names a labelled thing.
    """
    hits, chance, count = 0, 0.0, 0
    cells = p.looked.shape[-1]
    cache: dict[tuple[str, str], Tensor] = {}
    for e, looked in zip(p.examples, p.looked, strict=True):
        scene = dataset.scenes.get(e.image)
        label = focus_label(e.kind, e.question, e.answer, (b.label for b in scene.boxes)) if scene else None
        if scene is None or label is None:
            continue
        if (e.image, label) not in cache:
            cache[e.image, label] = (
                torch.from_numpy(coverage((b for b in scene.boxes if b.label == label), cells)) >= 0.25
            )
        inside = cache[e.image, label]
        if not inside.any():
            continue
        hits += int(inside.flatten()[looked.flatten().argmax()])
        chance += float(inside.float().mean())
        count += 1
    return {"accuracy": hits / count, "chance": chance / count, "questions": count} if count else None


def confusion(p: Predictions, answers: list[str], kind: str = "name") -> tuple[list[str], Tensor]:
    """Labels (true answers of this kind, commonest first, plus 'khác' for any other) and counts [true, predicted]."""
    chosen = [n for n, e in enumerate(p.examples) if e.kind == kind]
    labels = [a for a, _ in Counter(p.examples[n].answer for n in chosen).most_common()]
    index = {a: i for i, a in enumerate(labels)}
    counts = torch.zeros(len(labels), len(labels) + 1, dtype=torch.int64)
    predicted = p.logits.argmax(-1).tolist()
    for n in chosen:
        counts[index[p.examples[n].answer], index.get(answers[predicted[n]], len(labels))] += 1
    return [*labels, "khác"], counts


def reliability(p: Predictions, temperature: float, bins: int = 10) -> list[dict[str, float]]:
    """Mean confidence and accuracy of the answers in each confidence bin that holds any."""
    confidence = (p.logits / temperature).softmax(-1).amax(-1)
    number = (confidence * bins).long().clamp_max(bins - 1)
    rows = []
    for b in range(bins):
        chosen = number == b
        if chosen.any():
            rows.append({
                "confidence": float(confidence[chosen].mean()),
                "accuracy": float(p.correct[chosen].float().mean()),
                "questions": int(chosen.sum()),
            })  # fmt: skip
    return rows
