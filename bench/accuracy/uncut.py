"""Whole graphs run as they are by the runtimes themselves, as a program without edge_vqa does.

edge_vqa's engines cut a whole graph in two, so that a further question does not look again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .asked import Asked
from .figures import Array
from .signature import ask_signature, fit

_BATCH = 10

Uncut = Callable[[Array, Sequence[Sequence[int]]], Array]
"""Pixels uint8 [n, side, side, 3] and the word ids of n questions -> logits [n, answers + 1]."""


def onnx_uncut(path: Path) -> Uncut:
    """Several pictures and questions at a time, the ids of the shorter ones padded with 0."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(pixels: Array, questions: Sequence[Sequence[int]]) -> Array:
        ids = np.zeros((len(questions), max(map(len, questions))), np.int64)
        for row, question in zip(ids, questions):
            row[: len(question)] = question
        lengths = np.array([len(question) for question in questions], np.int64)
        logits: Array = session.run(["logits"], {"pixels": pixels, "ids": ids, "lengths": lengths})[0]
        return logits

    return run


def tflite_uncut(path: Path) -> Uncut:
    """One picture and one question after the other."""
    litert = importlib.import_module("ai_edge_litert.interpreter")
    runner = ask_signature(litert.Interpreter(model_path=str(path), num_threads=1))

    def run(pixels: Array, questions: Sequence[Sequence[int]]) -> Array:
        details = runner.get_input_details()
        rows = []
        for picture, ids in zip(pixels, questions, strict=True):
            given = {"pixels": picture[None], "ids": np.array([list(ids)]), "lengths": np.array([len(ids)])}
            rows.append(runner(**{name: fit(given[name], details[name]) for name in details})["logits"].reshape(-1))
        return np.stack(rows)

    return run


UNCUT: dict[str, Callable[[Path], Uncut]] = {"onnx": onnx_uncut, "tflite": tflite_uncut}


def ask_uncut(run: Uncut, asked: Asked, side: int, encode: Callable[[str], Sequence[int]]) -> Array:
    """Logits [questions, answers + 1] float32; `encode` makes a question's word ids."""
    pictures, number = asked.pictures(side), {name: n for n, name in enumerate(asked.images)}
    parts: list[Any] = []
    for begin in range(0, len(asked.examples), _BATCH):
        some = asked.examples[begin : begin + _BATCH]
        pixels = pictures.pixels[[number[e.image] for e in some]].permute(0, 2, 3, 1).contiguous().numpy()
        parts.append(run(pixels, [encode(e.question) for e in some]))
    return np.concatenate(parts)
