"""LiteRT as the engine, or the older tflite-runtime where that alone is installed."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

from ..errors import EngineError, ModelError
from ..model_file import ENCODER, HEAD, WHOLE, ModelFile
from ..question import MAX_WORDS

_QUIET = threading.Lock()
_SIGNATURES = {WHOLE: ("ask", "answer"), ENCODER: ("encode",), HEAD: ("answer",)}


def open_engine(model: ModelFile, threads: int) -> TfliteEngine:
    """Raises ModelError when the runtime refuses the model's files, or they do not take and give what they should."""
    return TfliteEngine(model, threads)


class TfliteEngine:
    """Encoder and head as signatures of one file or of two. Callers in several threads wait for each other.

    A whole file has the signatures `ask` (which gives the features, too) and `answer`.
    """

    name = "tflite"

    def __init__(self, model: ModelFile, threads: int) -> None:
        self._side, self._known, self._lock = model.side, len(model.vocabulary), threading.Lock()
        runners: dict[str, Any] = {}
        for part, path in model.files.items():
            # The head's matrices are too small to share out.
            runners |= _open(path, _SIGNATURES[part], 1 if part == HEAD else threads)
        self._answer = runners["answer"]
        self._encode = runners["ask"] if "ask" in runners else runners["encode"]
        path = model.files.get(WHOLE, model.path)
        channels = _sizes(self._encode.get_output_details(), "features")[-1:]
        picture = {"pixels": (np.uint8, (1, model.side, model.side, 3))}
        features = {"features": (np.float32, (1, model.cells, model.cells, *channels))}
        question = {"ids": (np.int32, (1, MAX_WORDS)), "lengths": (np.int32, (1,))}
        answers = {
            "logits": (np.float32, (1, len(model.answers) + 1)),
            "attention": (np.float32, (1, model.cells, model.cells)),
        }
        whole = "ask" in runners
        _check(path, self._encode.get_input_details(), {**picture, **(question if whole else {})})
        _check(path, self._encode.get_output_details(), {**features, **(answers if whole else {})})
        _check(path, self._answer.get_input_details(), {**features, **question})
        _check(path, self._answer.get_output_details(), answers)
        # Something must be asked with the picture; what is answered is not looked at.
        self._any = _question((1,)) if whole else {}

    def encode(self, pixels: bytes) -> Any:
        """See Engine.encode."""
        side = self._side
        if len(pixels) != side * side * 3:
            raise EngineError(f"{len(pixels)} bytes of pixels; {side} x {side} x 3 are needed")
        array = np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3)
        return self._run(self._encode, {"pixels": array, **self._any})["features"]

    def answer(self, features: Any, ids: Sequence[int]) -> tuple[list[float], list[float]]:
        """See Engine.answer. Raises EngineError when an id is not the model's, or there are none or too many."""
        if not 1 <= len(ids) <= MAX_WORDS or not all(0 <= i < self._known for i in ids):
            raise EngineError(f"word ids {list(ids)}; 1 to {MAX_WORDS} of 0 to {self._known - 1} are needed")
        found = self._run(self._answer, {"features": features, **_question(ids)})
        return found["logits"][0].tolist(), found["attention"][0].ravel().tolist()

    def _run(self, runner: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            with self._lock:
                outputs: dict[str, Any] = runner(**inputs)
            return outputs
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"the TFLite runtime failed: {error}") from error


def _question(ids: Sequence[int]) -> dict[str, Any]:
    padded = np.zeros((1, MAX_WORDS), np.int32)
    padded[0, : len(ids)] = ids
    return {"ids": padded, "lengths": np.array([len(ids)], np.int32)}


def _open(path: str, signatures: Sequence[str], threads: int) -> dict[str, Any]:
    """What runs each signature of a file."""
    try:
        with _quiet():
            interpreter = Interpreter(path, num_threads=threads)
            interpreter.allocate_tensors()
        return {name: interpreter.get_signature_runner(name) for name in signatures}
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: the TFLite runtime cannot load it: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The runtime writes to standard error, past Python and every setting, that it made a delegate: no news to users.

    What goes wrong it also says in the error that it raises.
    """
    with _QUIET:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, AttributeError, ValueError):  # there is no standard error
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _sizes(details: Mapping[str, Any], name: str) -> tuple[int, ...]:
    return tuple(int(size) for size in details[name]["shape"]) if name in details else ()


def _check(path: str, found: Mapping[str, Any], wanted: Mapping[str, tuple[Any, tuple[int, ...]]]) -> None:
    """Names, types and sizes of what goes in or out."""
    if set(found) != set(wanted):
        raise ModelError(f"{path}: takes or gives {', '.join(sorted(found))}, not {', '.join(sorted(wanted))}")
    for name, (dtype, sizes) in wanted.items():
        got = _sizes(found, name)
        if found[name]["dtype"] != dtype or got != sizes:
            raise ModelError(
                f"{path}: {name} is {np.dtype(found[name]['dtype']).name} of {list(got)}, "
                f"not {np.dtype(dtype).name} of {list(sizes)}"
            )
