"""OpenVINO: the QDQ encoder of export.to_onnx as it is, and the head built from the same weights.

OpenVINO also reads the head's graph, but computes its integer matrices step by step in four times the time; so the head
is built here with int8 weights for its matrices and a float LSTM (there is no int8 one).
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.engines.onnx_graph import onnx_model
from edge_vqa.evqa_file import INT8
from edge_vqa.evqa_tensors import EvqaModel, head_tensors
from edge_vqa.model_file import ENCODER

from .contender import PeerError

SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
"""Pinning is ours; what is not int8 runs in the precision that OpenVINO chooses (bfloat16 where there is such)."""


class OpenVinoPeer:
    """Sizes fixed, tensors shared with NumPy, one request each."""

    name = "OpenVINO"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        """Raises PeerError when the encoder of an int8 model does not run in int8."""
        self._openvino = importlib.import_module("openvino")
        self.version = str(self._openvino.__version__).split("-")[0]
        self._core, self._folder, self._threads = self._openvino.Core(), folder, threads
        self._model = model
        source = folder / "encoder.onnx"
        source.write_bytes(onnx_model(model, ENCODER))
        encoder = self._core.read_model(source)
        side = model.file.sizes.side
        encoder.reshape([1, side, side, 3])
        compiled = self._compile(encoder, threads, "encoder")
        self._encoder = compiled.create_infer_request()
        total, int8 = _convolutions(compiled)
        if model.file.sizes.precision == INT8 and int8 < total - 2:
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
            network = build_head(self._openvino, self._model, len(ids))
            self._heads[len(ids)] = self._compile(network, 1, f"head-{len(ids)}").create_infer_request()
        self._head = self._heads[len(ids)]
        side = self._model.file.sizes.side
        self._pixels = np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3).copy()
        self._ids, self._words = tuple(ids), np.array(ids, np.int32)
        tensor = self._openvino.Tensor
        self._encoder.set_input_tensor(tensor(self._pixels, shared_memory=True))
        features = self._encoder.get_output_tensor().data
        self._features = features.reshape(1, features.shape[1], -1)
        self._head.set_input_tensor(0, tensor(self._features, shared_memory=True))
        self._head.set_input_tensor(1, tensor(self._words, shared_memory=True))
        self._logits = self._head.get_output_tensor(0).data

    def put(self, pixels: Any) -> None:
        self._pixels[0] = pixels

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


def build_head(openvino: Any, model: EvqaModel, words: int) -> Any:
    """Features float32 [1,channels,cells^2], ids int32 [words] -> logits [1,answers+1], attention [1,cells^2]."""
    op = importlib.import_module("openvino.opset13")
    head, sizes = head_tensors(model), model.file.sizes
    hidden, channels, cells = sizes.hidden, sizes.channels, sizes.cells**2

    def constant(values: Any) -> Any:
        return op.constant(np.ascontiguousarray(values))

    def scale(name: str) -> Any:
        """A row's scale; for an input of 1 where the format has 127 (the LSTM's state)."""
        of_state = name in ("lstm_h", "scale", "shift", "question")
        return head[f"{name}_scale"][:, None] * np.float32(127 if of_state else 1)

    def dense(name: str, source: Any) -> Any:
        weight = constant(head[name])
        if f"{name}_scale" in head:
            # The form in which OpenVINO keeps weights int8.
            weight = op.multiply(op.convert(weight, "f32"), constant(scale(name)))
        return op.add(op.matmul(source, weight, False, True), constant(head[f"{name}_bias"][None]))

    def gates(name: str) -> Any:
        """[1, 4 hidden, columns]; the order of gates is OpenVINO's."""
        weight = head[name].astype(np.float32)
        return constant((weight * scale(name) if f"{name}_scale" in head else weight)[None])

    def column(source: Any) -> Any:
        return op.reshape(source, constant(np.array([1, channels, 1])), False)

    features = op.parameter([1, channels, cells], np.float32, "features")
    ids = op.parameter([words], np.int32, "ids")
    table = constant(head["embedding"].astype(np.float32) - np.float32(model.file.embedding_zero))
    embedded = op.unsqueeze(op.gather(table, ids, constant(np.array(0))), constant(np.array(0)))
    start = constant(np.zeros((1, 1, hidden), np.float32))
    lstm = op.lstm_sequence(
        embedded, start, start, constant(np.array([words], np.int32)), gates("lstm_x"), gates("lstm_h"),
        constant(head["lstm_bias"][None]), hidden, "forward",
    )  # fmt: skip
    state = op.reshape(lstm.output(1), constant(np.array([1, hidden])), False)
    by_scale, by_shift = column(dense("scale", state)), column(dense("shift", state))
    share = constant(np.full((1, 1, cells), 1 / cells, np.float32))
    if sizes.attention:
        met = op.relu(op.add(op.multiply(features, by_scale), by_shift))
        score = op.matmul(constant(head["score"][None]), met, False, False)
        looks = op.softmax(op.add(score, constant(head["score_bias"].reshape(1, -1, 1))), 2)
        # A further row of 1 / cells makes the plain mean over the cells part of the same product.
        pooled = op.matmul(op.concat([looks, share], 1), met, False, True)
    else:
        looks, mean = share, op.reduce_mean(features, constant(np.array([2])), True)
        pooled = op.relu(op.add(op.multiply(mean, by_scale), by_shift))
    pooled = op.reshape(pooled, constant(np.array([1, head["picture"].shape[1]])), False)
    joined = op.multiply(op.relu(dense("picture", pooled)), op.relu(dense("question", state)))
    logits = op.add(op.matmul(joined, constant(head["answer"]), False, False), constant(head["answer_bias"][None]))
    return openvino.Model([logits, op.reduce_mean(looks, constant(np.array([1])), False)], [features, ids], "head")
