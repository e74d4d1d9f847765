"""onnxruntime as the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from ..errors import EngineError, ModelError
from ..evqa_tensors import load_tensors
from ..model_file import ENCODER, EVQA, HEAD, WHOLE, ModelFile
from ..onnx_file import cut, read_file
from .onnx_graph import onnx_model


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
        _check(model, ENCODER, self._encoder.get_inputs(), {"pixels": ("uint8", [1, model.side, model.side, 3])})
        features = {"features": ("float", [1, _channels(self._encoder), cells, cells])}
        _check(model, ENCODER, self._encoder.get_outputs(), features)
        words = {"ids": ("int64", [1, 1]), "lengths": ("int64", [1])}
        _check(model, HEAD, self._head.get_inputs(), {**features, **words})
        answers = {"logits": ("float", [1, len(model.answers) + 1]), "attention": ("float", [1, cells, cells])}
        _check(model, HEAD, self._head.get_outputs(), answers)

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
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{model.path}: onnxruntime cannot load its {part}: {error}") from error


def _channels(encoder: onnxruntime.InferenceSession) -> Any:
    """Channels of the features, however the encoder names them; None where it gives no such map."""
    shape: Sequence[Any] = next((o.shape for o in encoder.get_outputs() if o.name == "features"), ())
    return shape[1] if len(shape) == 4 else None


def _check(model: ModelFile, part: str, found: Sequence[Any], wanted: Mapping[str, tuple[str, list[Any]]]) -> None:
    """Names, types and sizes of what goes in or out; a size that is known only when running passes."""
    if {value.name for value in found} != set(wanted):
        names = ", ".join(sorted(value.name for value in found))
        raise ModelError(f"{model.path}: its {part} takes or gives {names}, not {', '.join(sorted(wanted))}")
    for value in found:
        type_, sizes = wanted[value.name]
        fits = len(value.shape) == len(sizes) and all(
            not isinstance(got, int) or got == size for got, size in zip(value.shape, sizes)
        )
        if value.type != f"tensor({type_})" or not fits:
            raise ModelError(
                f"{model.path}: {value.name} of its {part} is a {value.type} of {value.shape}, "
                f"not a tensor({type_}) of {sizes}"
            )
