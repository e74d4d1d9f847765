"""OpenVINO: the bundled QDQ encoder as it is, and the head built from the same weights.

OpenVINO also reads head.onnx, whose dynamic quantization it then imitates in float, step by step, in twice the time;
so the head is built here with int8 weights for its matrices and a float LSTM (there is no int8 one).
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.model_file import ModelFile

from .contender import PeerError
from .network import HeadNetwork, Matrix, read_head

SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
"""Pinning is ours; what is not int8 runs in the precision that OpenVINO chooses (bfloat16 where there is such)."""


class OpenVinoPeer:
    """Sizes fixed, tensors shared with NumPy, one request each."""

    name = "OpenVINO"

    def __init__(self, model: ModelFile, folder: Path, threads: int) -> None:
        """Raises PeerError when the encoder does not run in int8."""
        self._openvino = importlib.import_module("openvino")
        self.version = str(self._openvino.__version__).split("-")[0]
        self._core, self._folder, self._threads = self._openvino.Core(), folder, threads
        self._model = model
        source = folder / "encoder.onnx"
        source.write_bytes(model.graph("encoder.onnx"))
        encoder = self._core.read_model(source)
        encoder.reshape([1, model.side, model.side, 3])
        compiled = self._compile(encoder, threads, "encoder")
        self._encoder = compiled.create_infer_request()
        total, int8 = _convolutions(compiled)
        if int8 < total - 2:
            raise PeerError(f"OpenVINO runs only {int8} of {total} convolutions in int8")
        self._heads: dict[int, Any] = {}
        precision = str(compiled.get_property("INFERENCE_PRECISION_HINT")).split("'")[1]
        self.detail = (
            f"{int8} of {total} convolutions int8, the rest {precision}; head: int8 matrices, LSTM {precision}"
        )

    def _compile(self, network: Any, threads: int, saved: str) -> Any:
        compiled = self._core.compile_model(network, "CPU", {**SETTINGS, "INFERENCE_NUM_THREADS": threads})
        # The compiled network is what first_answer starts from.
        (self._folder / f"{saved}.blob").write_bytes(compiled.export_model().getvalue())
        return compiled

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        if len(ids) not in self._heads:
            network = build_head(self._openvino, read_head(self._model), len(ids), self._model.cells**2)
            self._heads[len(ids)] = self._compile(network, 1, f"head-{len(ids)}").create_infer_request()
        self._head = self._heads[len(ids)]
        side = self._model.side
        self._pixels = np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3).copy()
        self._ids, self._words = tuple(ids), np.array(ids, np.int32)
        tensor = self._openvino.Tensor
        self._encoder.set_input_tensor(tensor(self._pixels, shared_memory=True))
        features = self._encoder.get_output_tensor().data
        self._features = features.reshape(1, features.shape[1], -1)
        self._head.set_input_tensor(0, tensor(self._features, shared_memory=True))
        self._head.set_input_tensor(1, tensor(self._words, shared_memory=True))
        self._logits = self._head.get_output_tensor(0).data

    def encode(self) -> None:
        self._encoder.infer()

    def further(self) -> int:
        self._words[:] = self._ids
        self._head.infer()
        return int(self._logits[0, :-1].argmax())

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        logits: list[float] = self._logits[0, :-1].tolist()
        return logits


def _convolutions(compiled: Any) -> tuple[int, int]:
    """How many there are, and how many of them run on int8 kernels."""
    kinds: Counter[bool] = Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        about = node.get_rt_info()
        if about["layerType"].astype(str) == "Convolution":
            kinds[about["primitiveType"].astype(str).endswith("_I8")] += 1
    return sum(kinds.values()), kinds[True]


def build_head(openvino: Any, network: HeadNetwork, words: int, cells: int) -> Any:
    """Features float32 [1,channels,cells], ids int32 [words] -> logits [1,answers+1], attention [1,cells]."""
    op = importlib.import_module("openvino.opset13")
    hidden, channels = network.lstm_state.weight.shape[1], len(network.scale.bias)
    glimpses = len(network.score.bias)

    def constant(values: Any) -> Any:
        return op.constant(np.ascontiguousarray(values))

    def dense(matrix: Matrix, source: Any) -> Any:
        if matrix.scale is None:
            weight = constant(matrix.weight)
        else:
            # The form in which OpenVINO keeps weights int8.
            weight = op.multiply(op.convert(constant(matrix.weight), "f32"), constant(matrix.scale[:, None]))
        return op.add(op.matmul(source, weight, False, True), constant(matrix.bias[None]))

    def gates(values: Any) -> Any:
        """ONNX's order of gates (input, output, forget, candidate) -> OpenVINO's (forget, input, candidate, output)."""
        parts = values.reshape(4, hidden, *values.shape[1:])
        return constant(parts[[2, 0, 3, 1]].reshape(1, *values.shape))

    def column(source: Any) -> Any:
        return op.reshape(source, constant(np.array([1, channels, 1])), False)

    features = op.parameter([1, channels, cells], np.float32, "features")
    ids = op.parameter([words], np.int32, "ids")
    form = network.embedding_as
    table = constant((network.embedding.astype(np.float32) - form.zero) * np.float32(form.scale))
    embedded = op.unsqueeze(op.gather(table, ids, constant(np.array(0))), constant(np.array(0)))
    start = constant(np.zeros((1, 1, hidden), np.float32))
    lstm = op.lstm_sequence(
        embedded, start, start, constant(np.array([words], np.int32)), gates(network.lstm_input.as_float()),
        gates(network.lstm_state.as_float()), gates(network.lstm_input.bias), hidden, "forward",
    )  # fmt: skip
    state = op.reshape(lstm.output(1), constant(np.array([1, hidden])), False)
    scaled = op.multiply(features, column(dense(network.scale, state)))
    met = op.relu(op.add(scaled, column(dense(network.shift, state))))
    score = op.matmul(constant(network.score.as_float()[None]), met, False, False)
    looks = op.softmax(op.add(score, constant(network.score.bias.reshape(1, glimpses, 1))), 2)
    # A further row of 1 / cells makes the plain mean over the cells part of the same product.
    rows = op.concat([looks, constant(np.full((1, 1, cells), 1 / cells, np.float32))], 1)
    flat = constant(np.array([1, (glimpses + 1) * channels]))
    pooled = op.reshape(op.matmul(rows, met, False, True), flat, False)
    joined = op.multiply(op.relu(dense(network.picture, pooled)), op.relu(dense(network.question, state)))
    logits = dense(network.answer, joined)
    return openvino.Model([logits, op.reduce_mean(looks, constant(np.array([1])), False)], [features, ids], "head")
