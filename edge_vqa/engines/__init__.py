"""Engines run a model's arithmetic. One small file an engine, one interface, imported only when asked for."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import EngineError
from ..model_file import ModelFile


class Engine(Protocol):
    """What VQA needs of an engine. An engine may be used from several threads at once."""

    name: str

    def encode(self, pixels: bytes) -> Any:
        """Side * side * 3 bytes, RGB, row by row -> what `answer` needs to know of the picture (opaque)."""

    def answer(self, features: Any, ids: Sequence[int]) -> tuple[list[float], list[float]]:
        """Word ids -> logits and attention (cells * cells, row by row, summing to 1).

        Logits are one an answer, in the model's order, and a last one for a question that has no answer.
        """


ENGINES = {"onnx": "onnxruntime"}
"""Engine name -> the package it needs, in order of preference."""


def default_threads() -> int:
    """At most 4, never more than the processors (and the cgroup quota) this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            usable = min(usable, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return min(4, usable)


def open_engine(name: str | None, model: ModelFile, threads: int | None = None) -> Engine:
    """The engine called `name`, or the first that is installed. Raises EngineError."""
    if name is not None and name not in ENGINES:
        raise EngineError(f"{name}: no such engine (known: {', '.join(ENGINES)})")
    if threads is not None and not 1 <= threads <= 1024:
        raise EngineError(f"{threads} threads: give 1 to 1024")
    for candidate in ENGINES if name is None else (name,):
        try:
            module = importlib.import_module(f".{candidate}", __name__)
        except ImportError as error:
            if name is not None:
                raise EngineError(
                    f"the engine {name} needs {ENGINES[name]}: pip install {ENGINES[name]} ({error})"
                ) from error
            continue
        engine: Engine = module.open_engine(model, threads or default_threads())
        return engine
    raise EngineError(f"no engine is installed: pip install {' or '.join(ENGINES.values())}")
