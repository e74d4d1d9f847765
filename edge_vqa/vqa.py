"""Load a model, look at a picture, answer questions.

Results are NamedTuples rather than dataclasses: importing those takes a tenth of the time from start to first answer.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from .engines import Engine, open_engine
from .model_file import ModelFile, load_model
from .question import EncodedQuestion

if TYPE_CHECKING:
    from .image import ImageLike


class Answer(NamedTuple):
    """What the model says to one question."""

    text: str
    confidence: float
    """Probability of `text`, 0 to 1, calibrated on validation pictures."""
    alternatives: tuple[tuple[str, float], ...]
    """The next most probable answers with their probabilities."""
    attention: tuple[tuple[float, ...], ...] | None
    """Where the model looked: rows from the top of cells from the left, summing to 1. None: it has no attention."""
    understood: bool = True
    """False when the question is about something else or too few of its words are known; `text` is then a guess."""
    unknown_words: tuple[str, ...] = ()
    question: str = ""
    timings: Mapping[str, float] = MappingProxyType({})
    """Milliseconds: decode (picture to pixels), look (encoder), answer (question and head)."""

    def __str__(self) -> str:
        return self.text


class Scene:
    """A picture that has been looked at; each further question costs only the head. Made by VQA.look."""

    def __init__(self, vqa: VQA, features: Any, timings: dict[str, float]) -> None:
        self._vqa, self._features, self.timings = vqa, features, timings

    def ask(self, question: str, top: int = 3) -> Answer:
        """Answer one question, with up to `top` answers in all (the first and `top` - 1 alternatives).

        Raises QuestionError when the question is empty or not text.
        """
        began = time.perf_counter()
        encoded = self._vqa.model.vocabulary.encode(question)
        logits, attention = self._vqa.engine.answer(self._features, encoded.ids)
        answer_ms = (time.perf_counter() - began) * 1e3
        return self._vqa._answer(question, encoded, logits, attention, top, {**self.timings, "answer": answer_ms})


class VQA:
    """A loaded model. Safe to use from several threads."""

    def __init__(
        self, model: str | os.PathLike[str] | None = None, engine: str | None = None, threads: int | None = None
    ) -> None:
        """`model`: a file or the name of a bundled model; `engine`: its name; `threads`: how many. None chooses.

        Raises ModelError or EngineError.
        """
        self.model: ModelFile = load_model(model)
        self.engine: Engine = open_engine(engine, self.model, threads)

    def clone(self, threads: int = 1) -> VQA:
        """The same model on the same engine for one more thread of yours: callers of one VQA wait for each other.

        The native engine shares its weights with its clones; others load the file again. Raises EngineError.
        """
        other = VQA.__new__(VQA)
        other.model = self.model
        clone = getattr(self.engine, "clone", None)
        other.engine = clone(threads) if clone else open_engine(self.engine.name, self.model, threads)
        return other

    def look(self, image: ImageLike) -> Scene:
        """Look at a picture once: a path, a file's bytes, a PIL picture, or an array [H,W], [H,W,3], [H,W,4] (RGB).

        Raises ImageError when it is not a complete picture.
        """
        from .image import picture_pixels

        began = time.perf_counter()
        pixels = picture_pixels(image, self.model.side)
        decoded = time.perf_counter()
        features = self.engine.encode(pixels)
        looked = time.perf_counter()
        return Scene(self, features, {"decode": (decoded - began) * 1e3, "look": (looked - decoded) * 1e3})

    def ask(self, image: ImageLike, question: str, top: int = 3) -> Answer:
        """Look at a picture and answer one question about it. Raises ImageError or QuestionError."""
        return self.look(image).ask(question, top)

    def _answer(
        self, question: str, encoded: EncodedQuestion, logits: Sequence[float], attention: Sequence[float],
        top: int, timings: dict[str, float],
    ) -> Answer:  # fmt: skip
        *values, no_answer = logits
        ranked = sorted(range(len(values)), key=values.__getitem__, reverse=True)[: max(1, top)]
        peak, temperature = values[ranked[0]], self.model.temperature
        total = sum(map(math.exp, [(value - peak) / temperature for value in values]))
        named = [(self.model.answers[i], math.exp((values[i] - peak) / temperature) / total) for i in ranked]
        # The last logit stands for a question that has no answer. It does not compete with the answers themselves, but
        # must outweigh all of them together.
        refused = no_answer > peak and sum(math.exp(value - no_answer) for value in values) < 1
        rows = None
        if self.model.attention:
            weights, cells = tuple(attention), self.model.cells
            rows = tuple(weights[i : i + cells] for i in range(0, cells * cells, cells))
        return Answer(
            text=named[0][0],
            confidence=named[0][1],
            alternatives=tuple(named[1:]),
            attention=rows,
            understood=encoded.understood and not refused,
            unknown_words=encoded.unknown,
            question=question,
            timings=timings,
        )
