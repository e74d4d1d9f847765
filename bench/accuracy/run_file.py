"""One exported file answers every question through edge_vqa's engine for it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa import VQA
from edge_vqa.errors import EngineError, ModelError

from .asked import Asked

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answered:
    """What a file said."""

    engine: str
    logits: Array
    """[questions, answers + 1] float32; the last stands for "no answer"."""
    temperature: float
    picture_ms: float
    """Median time of a look, from pixels in memory."""
    question_ms: float
    """Median time of an answer, from word ids."""


def run_file(path: Path, engine: str, asked: Asked, answers: list[str], words: tuple[str, ...]) -> Answered:
    """Ask `path` everything on one thread. `answers` and `words` are the trained run's.

    Raises ModelError when the file has other answers or words, EngineError when a logit is not a number, and what VQA
    and its engines raise.
    """
    vqa = VQA(path, engine, threads=1)
    if list(vqa.model.answers) != answers or vqa.model.vocabulary.words != words:
        raise ModelError(f"{path}: its answers or words are not those of the trained network")
    pictures = asked.pictures(vqa.model.side)
    logits = np.empty((len(asked.examples), len(answers) + 1), np.float32)
    looks, answered = [], []
    for pixels, rows in zip(pictures.pixels, asked.by_picture().values(), strict=True):
        given = pixels.permute(1, 2, 0).contiguous().numpy().tobytes()
        began = time.perf_counter()
        features = vqa.engine.encode(given)
        looks.append(time.perf_counter() - began)
        for row in rows:
            ids = vqa.model.vocabulary.encode(asked.examples[row].question).ids
            began = time.perf_counter()
            logits[row] = vqa.engine.answer(features, ids)[0]
            answered.append(time.perf_counter() - began)
    if not np.isfinite(logits).all():
        raise EngineError(f"{path}: gives logits that are not numbers")
    return Answered(
        engine=vqa.engine.name,
        logits=logits,
        temperature=vqa.model.temperature,
        picture_ms=statistics.median(looks) * 1e3,
        question_ms=statistics.median(answered) * 1e3,
    )
