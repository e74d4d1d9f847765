"""All files of one model: asked everything, compared with full precision and with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import figures
from .asked import Asked
from .checks import check
from .evqa_layers import evqa_layers
from .figures import Array
from .full_precision import load_trained, predict_once, temperature
from .layers import Layers, Run, TorchLayers, compare_layers, onnx_layers, tflite_layers, worst
from .matrix import ENGINES, Exported
from .run_file import Answered, run_file
from .uncut import UNCUT, ask_uncut

SOME_QUESTIONS = 100
"""For what is looked at in a sample."""
LAYER_QUESTIONS = 4
_LAYERS: dict[str, Callable[[Path], Run]] = {"evqa": evqa_layers, "onnx": onnx_layers, "tflite": tflite_layers}
_FURTHER_ENGINES = {"int8.evqa": ("onnx",)}
"""Kind of file -> engines that run it beside its own."""


class ModelSession:
    """Measures one model; `problems` gathers what could not be, one text each, and the rest goes on."""

    def __init__(self, run: Path, asked: Asked, val: Asked | None, cache: Path, tell: Callable[[str], None]) -> None:
        """`run`: the trained run; `cache`: folder for what PyTorch answers; `tell`: is told what is being done.

        Raises DataError when the run cannot be loaded, ImageError when a picture cannot.
        """
        self.problems: list[str] = []
        self._asked, self._tell = asked, tell
        self._trained = load_trained(run)
        tell(f"{run.name}: PyTorch")
        self._full = predict_once(self._trained, asked, cache)
        self._temperature = temperature(self._trained, val, cache)
        self._answered: dict[str, Answered] = {}
        few = val or asked
        self._few = few.at(few.spaced(LAYER_QUESTIONS))
        self._expected = self._overhear(TorchLayers(self._trained.network))

    def measure(self, files: list[Exported]) -> dict[str, Any]:
        """The model's part of the result."""
        found: dict[str, Any] = {"checks": [], "files": {}, "halves": {}, "uncut": {}, "layers": {}}
        for file in files:
            if not file.path.is_file():
                self.problems.append(f"{file.path.name}: there is no such file")
                continue
            for name, what in check(file):
                found["checks"].append(name)
                self.problems.extend([f"{name}: {what}"] if what else [])
            for engine in (ENGINES[file.format], *_FURTHER_ENGINES.get(file.kind, ())):
                self._attempt(found["files"], _key(file, engine), self._ask, file, engine)
            self._attempt(found["layers"], file.kind, self._compare_layers, file)
            if file.kind in self._answered and file.format != "evqa":
                self._attempt(found["halves"], file.kind, self._ask_halves, file)
                self._attempt(found["uncut"], file.kind, self._ask_uncut, file)
        own = figures.judge(self._asked.examples, self._trained.answers, self._full, self._temperature)
        kinds = Counter(e.kind for e in self._asked.examples)
        return {
            "pytorch": own, "temperature": self._temperature, "questions_by_kind": dict(kinds),
            **found, **self._compare_files(),
        }  # fmt: skip

    def _attempt(self, into: dict[str, Any], key: str, step: Callable[..., Any], file: Exported, *more: str) -> None:
        what = step.__name__.strip("_").replace("_", " ")
        self._tell(f"{file.path.name}: {' '.join((what, *more))}")
        try:
            into[key] = step(file, *more)
        except Exception as error:  # of four runtimes, which share no base class; the other files are still measured
            reason = " ".join(str(error).split()) or type(error).__name__
            self.problems.append(f"{file.path.name}: {' '.join((what, *more))}: {reason}")

    def _ask(self, file: Exported, engine: str) -> dict[str, Any]:
        examples, trained = self._asked.examples, self._trained
        answered = run_file(file.path, engine, self._asked, trained.answers, trained.vocabulary.words)
        self._answered[_key(file, engine)] = answered
        own = figures.judge(examples, trained.answers, answered.logits, answered.temperature)
        full = figures.judge(examples, trained.answers, self._full, self._temperature)
        return {
            "file": file.path.name,
            "engine": engine,
            "bytes": file.path.stat().st_size,
            **own,
            "points_lost": 100 * (full["accuracy"] - own["accuracy"]),
            **figures.compare(examples, answered.logits, self._full),
            "picture_ms": answered.picture_ms,
            "question_ms": answered.question_ms,
        }

    def _ask_halves(self, file: Exported) -> dict[str, Any]:
        """Encoder and head as two files, against the whole, on some of the questions."""
        rows, trained = self._asked.spaced(SOME_QUESTIONS), self._trained
        half, engine, words = file.half("encoder"), ENGINES[file.format], trained.vocabulary.words
        logits = run_file(half, engine, self._asked.at(rows), trained.answers, words).logits
        return self._against_whole(file, rows, logits)

    def _ask_uncut(self, file: Exported) -> dict[str, Any]:
        """The whole graph in its runtime without edge_vqa, against the same in edge_vqa, on some of the questions."""
        rows, trained = self._asked.spaced(SOME_QUESTIONS), self._trained
        run = UNCUT[file.format](file.path)
        logits = ask_uncut(run, self._asked.at(rows), trained.side, lambda q: trained.vocabulary.encode(q).ids)
        return self._against_whole(file, rows, logits)

    def _against_whole(self, file: Exported, rows: list[int], logits: Array) -> dict[str, Any]:
        whole = self._answered[file.kind].logits[rows]
        return {
            "questions": len(rows),
            "same": int(figures.all_agree([logits, whole]).sum()),
            "largest_difference": float(np.abs(logits - whole).max()),
        }

    def _compare_layers(self, file: Exported) -> dict[str, Any]:
        """SQNR by layer, in dB, and the layer where it is lowest."""
        ratios = compare_layers(self._expected, self._overhear(_LAYERS[file.format](file.path)))
        return {"sqnr": ratios, "worst": worst(ratios)[0]}

    def _overhear(self, run: Run) -> list[Layers]:
        """The layers for a few questions about as many pictures, on val where there is one."""
        pictures, number = self._few.pictures(self._trained.side), {n: i for i, n in enumerate(self._few.images)}
        return [
            run(
                pictures.pixels[number[e.image]].permute(1, 2, 0).contiguous().numpy(),
                self._trained.vocabulary.encode(e.question).ids,
            )
            for e in self._few.examples
        ]

    def _compare_files(self) -> dict[str, Any]:
        """Where answers differ, and the share of questions to which the int8 files in their own runtimes agree."""
        own = [self._answered[f"int8.{format_}"].logits for format_ in ENGINES if f"int8.{format_}" in self._answered]
        agree = figures.all_agree(own) if len(own) > 1 else None
        return {
            "engines_agree": None if agree is None else float(agree.mean()),
            "differences": figures.differences(
                self._asked.examples, self._trained.answers, self._full,
                {key: answered.logits for key, answered in self._answered.items()}, self._temperature,
            ),
        }  # fmt: skip


def _key(file: Exported, engine: str) -> str:
    """What tells a model's rows apart: int8.evqa, or "int8.evqa on onnx" where the engine is not the format's own."""
    return file.kind if engine == ENGINES[file.format] else f"{file.kind} on {engine}"
