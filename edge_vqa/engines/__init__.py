"""Engines run a model's arithmetic. One small file an engine, one interface, imported only when asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from ..errors import EngineError
from ..model_file import EVQA, ONNX, TFLITE, ModelFile


class Engine(Protocol):
    """What VQA needs of an engine. An engine may be used from several threads at once."""

    name: str

    def encode(self, pixels: bytes) -> Any:
        """Side * side * 3 bytes, RGB, row by row -> what `answer` needs to know of the picture (opaque)."""

    def answer(self, features: Any, ids: Sequence[int]) -> tuple[Sequence[float], Sequence[float]]:
        """Word ids -> logits and attention (cells * cells, row by row, summing to 1).

        Logits are one an answer, in the model's order, and a last one for a question that has no answer.
        """


class EngineKind(NamedTuple):
    """What is known of an engine without importing it."""

    files: tuple[str, ...]
    """Kinds of model file that it runs."""
    remedy: str
    """What to do where it is not installed."""


ENGINES = {
    "native": EngineKind((EVQA,), "install a C++ compiler (Debian: apt install g++) and then edge_vqa again"),
    "onnx": EngineKind((EVQA, ONNX), "pip install onnxruntime"),
    "tflite": EngineKind((TFLITE,), "pip install ai-edge-litert"),
    "reference": EngineKind((EVQA,), "pip install numpy"),
}
"""In order of preference."""


def default_threads() -> int:
    """At most 4, never more than `usable_processors`."""
    return min(4, usable_processors())


def usable_processors() -> int:
    """How many processors this process may use: those it may run on, at most what its cgroup's quota pays for."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as stream:
            quota, period = stream.read().split()
        if quota != "max":
            usable = min(usable, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return usable


def open_engine(name: str | None, model: ModelFile, threads: int | None = None) -> Engine:
    """The engine called `name`, or the first that is installed and runs this kind of file. Raises EngineError."""
    if name is not None and name not in ENGINES:
        raise EngineError(f"{name}: no such engine (known: {', '.join(ENGINES)})")
    if threads is not None and not 1 <= threads <= 1024:
        raise EngineError(f"{threads} threads: give 1 to 1024")
    fitting = [candidate for candidate, kind in ENGINES.items() if model.kind in kind.files]
    if name is not None and name not in fitting:
        wanted = ENGINES[name].files[0]
        raise EngineError(
            f"the engine {name} cannot run {model.path}: {model.kind} files run on {' or '.join(fitting)}; "
            f"python -m export.to_{wanted[1:]} makes {wanted} files"
        )
    for candidate in fitting if name is None else [name]:
        try:
            module = import_module(f".{candidate}", __name__)
            # Left to itself, the native engine also looks at how many of the processors are real cores.
            chosen = threads or (0 if candidate == "native" else default_threads())
            engine: Engine = module.open_engine(model, chosen)
        except ImportError as error:
            if name is not None:
                raise EngineError(f"the engine {name} is not there: {ENGINES[name].remedy} ({error})") from error
            continue
        return engine
    remedies = ", or ".join(ENGINES[candidate].remedy for candidate in fitting)
    raise EngineError(f"no engine is installed that runs {model.kind} files: {remedies}")
