"""onnxruntime as the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from ..errors import EngineError, ModelError
from ..evqa_tensors import load_tensors
from ..model_file import ENCODER, EVQA, HEAD, WHOLE, ModelFile
from ..onnx_file import cut, read_file
from .onnx_graph import onnx_model

_Value = tuple[str, Sequence[Any]]
"""Type and sizes; a size may be a name."""


def open_engine(model: ModelFile, threads: int) -> OnnxEngine:
    """Raises ModelError when onnxruntime refuses the model's graphs, or they do not take and give what they should."""
    return OnnxEngine(model, threads)


class OnnxEngine:
    """Two sessions: the encoder (pixels -> features) and the head (features, ids, lengths -> logits, attention)."""

    name = "onnx"

    def __init__(self, model: ModelFile, threads: int) -> None:
        self._side, cells = model.side, model.cells
        graphs = _graphs(model)
        self._encoder = _session(model, ENCODER, graphs[ENCODER], threads)
        # The head's matrices are too small to share out: a second thread costs more than it brings.
        self._head = _session(model, HEAD, graphs[HEAD], 1)
        _check(model, ENCODER, self._encoder.get_inputs, {"pixels": ("tensor(uint8)", [1, self._side, self._side, 3])})
        seen = _check(
            model, ENCODER, self._encoder.get_outputs, {"features": ("tensor(float)", [1, "channels", cells, cells])}
        )
        asked: dict[str, _Value] = {"ids": ("tensor(int64)", [1, "words"]), "lengths": ("tensor(int64)", [1])}
        _check(model, HEAD, self._head.get_inputs, {**seen, **asked})
        answers = {
            "logits": ("tensor(float)", [1, len(model.answers) + 1]), "attention": ("tensor(float)", [1, cells, cells]),
        }  # fmt: skip
        _check(model, HEAD, self._head.get_outputs, answers)

    def encode(self, pixels: bytes) -> Any:
        """See Engine.encode."""
        side = self._side
        if len(pixels) != side * side * 3:
            raise EngineError(f"{len(pixels)} bytes of pixels; {side} x {side} x 3 are needed")
        array = np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3)
        return self._run(self._encoder, ["features"], {"pixels": array})[0]

    def answer(self, features: Any, ids: Sequence[int]) -> tuple[list[float], list[float]]:
        """See Engine.answer."""
        words = np.array([ids], np.int64)
        lengths = np.array([len(ids)], np.int64)
        logits, attention = self._run(
            self._head, ["logits", "attention"], {"features": features, "ids": words, "lengths": lengths}
        )
        return logits[0].tolist(), attention[0].ravel().tolist()

    @staticmethod
    def _run(session: onnxruntime.InferenceSession, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        try:
            results: list[Any] = session.run(outputs, inputs)
            return results
        except Exception as error:  # onnxruntime's errors share no base class but Exception
            raise EngineError(f"onnxruntime failed: {error}") from error


def _graphs(model: ModelFile) -> dict[str, bytes]:
    """The encoder and the head; a whole model is cut, so that a further question costs only the head."""
    if model.kind == EVQA:
        tensors = load_tensors(model.path)
        return {part: onnx_model(tensors, part) for part in (ENCODER, HEAD)}
    if WHOLE not in model.files:
        return {part: read_file(path) for part, path in model.files.items()}
    path = model.files[WHOLE]
    encoder, head = cut(path, read_file(path), "features", ("logits", "attention"))
    return {ENCODER: encoder, HEAD: head}


def _session(model: ModelFile, part: str, graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads sleep instead of spinning: a kiosk waits for people most of the time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:
        raise ModelError(f"{model.path}: onnxruntime cannot load its {part}: {error}") from error


def _check(
    model: ModelFile, part: str, values: Callable[[], Sequence[Any]], wanted: Mapping[str, _Value]
) -> dict[str, _Value]:
    """What goes in or out, by name. Raises ModelError where a name, a type or a number of elements is not as wanted."""
    try:
        found = {value.name: (value.type, value.shape) for value in values()}
    except UnicodeDecodeError as error:
        raise ModelError(f"{model.path}: a name in its {part} is not UTF-8") from error
    if set(found) != set(wanted):
        names = (", ".join(sorted(side)) for side in (found, wanted))
        raise ModelError("{}: its {} takes or gives {}, not {}".format(model.path, part, *names))
    for name, (type_, sizes) in wanted.items():
        type_found, shape = found[name]
        pairs = [pair for pair in zip(shape, sizes) if all(isinstance(size, int) for size in pair)]
        fits = len(shape) == len(sizes) and all(got == size for got, size in pairs)
        if type_found != type_ or not fits:
            raise ModelError(
                f"{model.path}: {name} of its {part} is a {type_found} of {shape}, not a {type_} of {sizes}"
            )
    return found
