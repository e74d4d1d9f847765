"""onnxruntime as the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from ..errors import EngineError, ModelError
from ..evqa_tensors import load_tensors
from ..model_file import ENCODER, EVQA, HEAD, WHOLE, ModelFile
from ..onnx_file import cut, read_file
from .onnx_graph import encoder_graph, head_graph


def open_engine(model: ModelFile, threads: int) -> OnnxEngine:
    """Raises ModelError when onnxruntime refuses the model's graphs."""
    return OnnxEngine(model, threads)


class OnnxEngine:
    """Two sessions: encoder.onnx (pixels uint8 [1,side,side,3] -> features) and head.onnx (features, ids -> logits).

    An .evqa file holds neither: they are made from its tensors.
    """

    name = "onnx"

    def __init__(self, model: ModelFile, threads: int) -> None:
        self._side = model.side
        graphs = _graphs(model)
        self._encoder = _session(model, ENCODER, graphs[ENCODER], threads)
        # The head's matrices are too small to share out: a second thread costs more than it brings.
        self._head = _session(model, HEAD, graphs[HEAD], 1)
        _check_outputs(model, self._head)

    def encode(self, pixels: bytes) -> Any:
        """See Engine.encode."""
        array = np.frombuffer(pixels, np.uint8).reshape(1, self._side, self._side, 3)
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


def _check_outputs(model: ModelFile, head: onnxruntime.InferenceSession) -> None:
    """One logit an answer and one for none, cells x cells of attention; sizes known only when running pass."""
    shapes = {output.name: output.shape for output in head.get_outputs()}
    for name, wanted in (("logits", [len(model.answers) + 1]), ("attention", [model.cells, model.cells])):
        got = shapes.get(name, [])[1:]
        if len(got) != len(wanted) or any(isinstance(g, int) and g != w for g, w in zip(got, wanted)):
            raise ModelError(f"{model.path}: its head gives {name} of {got}, its metadata says {wanted}")


def _graphs(model: ModelFile) -> dict[str, bytes]:
    """The encoder's and the head's graph; a whole one is cut, so that a further question costs only the head."""
    if model.kind == EVQA:
        tensors = load_tensors(model.path)
        return {ENCODER: encoder_graph(tensors), HEAD: head_graph(tensors)}
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
