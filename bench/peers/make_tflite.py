"""python -m bench.peers.make_tflite --out FOLDER [--model FILE] [--words N ...]

Writes encoder.tflite and head-N.tflite (for questions of N words): the int8 network of a model file, number for number,
as operations that XNNPACK takes. Needs the packages onnx and ai-edge-litert; takes a few seconds.

Encoder: the uint8 tensors of encoder.onnx become int8 tensors with the same scales and zero points less 128.
Head: dynamic int8 like head.onnx (weights int8 an output channel, inputs quantized as they come, the scores and the
last matrix float); the LSTM is unrolled, its input half computed for all words at once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.errors import EdgeVQAError
from edge_vqa.model_file import ModelFile, load_model

from .network import Array, Convolution, EncoderNetwork, HeadNetwork, Matrix, Quantized, read_encoder, read_head
from .tflite_writer import TfliteWriter

RELU = 1
"""The schema's number of this activation."""


def make_encoder(network: EncoderNetwork, side: int) -> bytes:
    """Pixels less 128, int8 [1,side,side,3] -> features float32 [1,cells,cells,channels].

    Taking uint8 pixels would be one operation more, and slower than subtracting beforehand.
    """
    writer = TfliteWriter()
    shapes = {network.first: (1, side, side, 3)}
    pixels = writer.tensor("pixels", shapes[network.first], "int8", network.tensors[network.first])
    numbers = {network.first: pixels}
    for name, values in network.constants.items():
        form = network.tensors[name]
        numbers[name] = writer.constant(
            name, _less_128(values).transpose(0, 2, 3, 1), np.float32(form.scale), form.zero - 128
        )
    for step in network.steps:
        shape = shapes[step.source]
        if isinstance(step, Convolution):
            shape = (1, shape[1] // step.stride, shape[2] // step.stride, len(step.bias))
        shapes[step.target] = shape
        numbers[step.target] = writer.tensor(step.target, shape, "int8", network.tensors[step.target])
        if isinstance(step, Convolution):
            source = _padded(writer, step, numbers[step.source], shapes[step.source], network.tensors[step.source])
            _convolve(writer, step, source, numbers[step.target], network.tensors[step.source])
        else:
            writer.operation("ADD", [numbers[step.source], numbers[step.other]], [numbers[step.target]])
    features = writer.tensor("features", shapes[network.last])
    writer.operation("DEQUANTIZE", [numbers[network.last]], [features])
    return writer.finish([pixels], [features])


def _less_128(values: Array) -> Array:
    """uint8 -> int8"""
    return (values.astype(np.int16) - 128).astype(np.int8)


def _padded(writer: TfliteWriter, step: Convolution, source: int, shape: tuple[int, ...], form: Quantized) -> int:
    """TFLite's own padding differs from one on every side where the stride is 2, so it is said apart there."""
    if step.weight.shape[-1] == 1 or step.stride == 1:
        return source
    padded = writer.tensor(f"{step.target}_padded", (1, shape[1] + 2, shape[2] + 2, shape[3]), "int8", form)
    margins = writer.constant(f"{step.target}_margins", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    writer.operation("PAD", [source, margins], [padded])
    return padded


def _convolve(writer: TfliteWriter, step: Convolution, source: int, target: int, form: Quantized) -> None:
    name = step.target
    bias = writer.constant(f"{name}_bias", step.bias, np.float32(form.scale) * step.weight_scale)
    stride: dict[str, Any] = {
        "strideW": step.stride,
        "strideH": step.stride,
        "dilationWFactor": 1,
        "dilationHFactor": 1,
    }
    same = step.weight.shape[-1] > 1 and step.stride == 1
    if step.depthwise:
        weight = writer.constant(f"{name}_weight", step.weight.transpose(1, 2, 3, 0), step.weight_scale, axis=3)
        writer.operation("DEPTHWISE_CONV_2D", [source, weight, bias], [target], same=same, depthMultiplier=1, **stride)
    else:
        weight = writer.constant(f"{name}_weight", step.weight.transpose(0, 2, 3, 1), step.weight_scale)
        writer.operation("CONV_2D", [source, weight, bias], [target], same=same, **stride)


class _Head:
    """The head's operations on one writer."""

    def __init__(self, network: HeadNetwork, words: int, cells: int) -> None:
        self.network, self.words, self.cells = network, words, cells
        self.writer = TfliteWriter()
        self.weights: dict[int, int] = {}
        self.hidden = network.lstm_state.weight.shape[1]

    def dense(self, name: str, matrix: Matrix, source: int, rows: int, activation: int = 0) -> int:
        """[rows, inputs] -> [rows, outputs]; int8 weights quantize their input row by row as it comes."""
        if id(matrix) not in self.weights:
            self.weights[id(matrix)] = self.writer.constant(f"{name}_weight", matrix.weight, matrix.scale)
        inputs = [source, self.weights[id(matrix)]]
        if matrix.bias.any():
            inputs.append(self.writer.constant(f"{name}_bias", matrix.bias))
        target = self.writer.tensor(name, (rows, len(matrix.bias)))
        self.writer.operation(
            "FULLY_CONNECTED", inputs, [target],
            asymmetricQuantizeInputs=matrix.scale is not None, fusedActivationFunction=activation,
        )  # fmt: skip
        return target

    def apply(self, kind: str, sources: list[int], shape: tuple[int, ...], name: str, activation: int = 0) -> int:
        target = self.writer.tensor(name, shape)
        options: dict[str, Any] = {"fusedActivationFunction": activation} if kind in ("ADD", "MUL") else {}
        self.writer.operation(kind, sources, [target], **options)
        return target

    def split(self, source: int, axis: int, parts: int, shape: tuple[int, ...], name: str) -> list[int]:
        at = self.writer.constant(f"{name}_axis", np.array(axis, np.int32))
        targets = [self.writer.tensor(f"{name}_{i}", shape) for i in range(parts)]
        self.writer.operation("SPLIT", [at, source], targets, numSplits=parts)
        return targets

    def slice(self, source: int, begin: tuple[int, ...], size: tuple[int, ...], name: str) -> int:
        at = [self.writer.constant(f"{name}_{n}", np.array(v, np.int32)) for n, v in (("at", begin), ("size", size))]
        return self.apply("SLICE", [source, *at], size, name)

    def read(self, ids: int) -> int:
        """Word ids -> the LSTM's state after the last word, [1, hidden]."""
        network, words, hidden, writer = self.network, self.words, self.hidden, self.writer
        form, width = network.embedding_as, network.embedding.shape[1]
        table = writer.constant("embedding", _less_128(network.embedding), np.float32(form.scale), form.zero - 128)
        rows = writer.tensor("words_int8", (words, width), "int8", form)
        writer.operation("GATHER", [table, ids], [rows])
        embedded = self.apply("DEQUANTIZE", [rows], (words, width), "words")
        # Candidate last, so that one LOGISTIC serves the three gates that need it.
        seen = self.dense("input_half", network.lstm_input, embedded, words)
        state = cell = -1
        for t in range(words):
            gates = self.slice(seen, (t, 0), (1, 4 * hidden), f"input_{t}")
            if t:
                half = self.dense(f"state_half_{t}", network.lstm_state, state, 1)
                gates = self.apply("ADD", [gates, half], (1, 4 * hidden), f"gates_{t}")
            open_ = self.apply(
                "LOGISTIC", [self.slice(gates, (0, 0), (1, 3 * hidden), f"sums_{t}")], (1, 3 * hidden), f"open_{t}"
            )
            put, out, keep = self.split(open_, 1, 3, (1, hidden), f"gate_{t}")
            summed = self.slice(gates, (0, 3 * hidden), (1, hidden), f"candidate_sum_{t}")
            candidate = self.apply("TANH", [summed], (1, hidden), f"candidate_{t}")
            new = self.apply("MUL", [put, candidate], (1, hidden), f"new_{t}")
            if t:
                new = self.apply(
                    "ADD", [self.apply("MUL", [keep, cell], (1, hidden), f"kept_{t}"), new], (1, hidden), f"cell_{t}"
                )
            cell = new
            state = self.apply(
                "MUL", [out, self.apply("TANH", [cell], (1, hidden), f"shown_{t}")], (1, hidden), f"h_{t}"
            )
        return state

    def build(self) -> bytes:
        network, writer, cells = self.network, self.writer, self.cells
        channels, glimpses = len(network.scale.bias), len(network.score.bias)
        joint = len(network.question.bias)
        features = writer.tensor("features", (cells, channels))
        ids = writer.tensor("ids", (self.words,), "int32")
        state = self.read(ids)
        scale = self.dense("scale", network.scale, state, 1)
        shift = self.dense("shift", network.shift, state, 1)
        question = self.dense("question", network.question, state, 1, RELU)
        scaled = self.apply("MUL", [features, scale], (cells, channels), "scaled")
        met = self.apply("ADD", [scaled, shift], (cells, channels), "met", RELU)
        score = Matrix(network.score.as_float(), None, network.score.bias)
        scores = self.dense("score", score, met, cells)
        order = writer.constant("order", np.array([1, 0], np.int32))
        turned = self.apply("TRANSPOSE", [scores, order], (glimpses, cells), "turned")
        looks = writer.tensor("looks", (glimpses, cells))
        writer.operation("SOFTMAX", [turned], [looks], beta=1.0)
        # A further row of 1 / cells makes the plain mean over the cells part of the same product.
        plain = writer.constant("plain", np.full((1, cells), 1 / cells, np.float32))
        rows = writer.tensor("rows", (glimpses + 1, cells))
        writer.operation("CONCATENATION", [looks, plain], [rows], axis=0)
        pooled = self.apply("BATCH_MATMUL", [rows, met], (glimpses + 1, channels), "pooled")
        shape = (1, (glimpses + 1) * channels)
        flat = self.apply("RESHAPE", [pooled, writer.constant("flat", np.array(shape, np.int32))], shape, "flattened")
        seen = self.dense("picture", network.picture, flat, 1, RELU)
        joined = self.apply("MUL", [seen, question], (1, joint), "joined")
        logits = self.dense("logits", network.answer, joined, 1)
        attention = writer.tensor("attention", (cells,))
        axis = writer.constant("glimpse_axis", np.array([0], np.int32))
        writer.operation("MEAN", [looks, axis], [attention], keepDims=False)
        return writer.finish([features, ids], [logits, attention])


def make_head(network: HeadNetwork, words: int, cells: int) -> bytes:
    """Features float32 [cells,channels], ids int32 [words] -> logits [1,answers+1], attention [cells]."""
    return _Head(network, words, cells).build()


def write(model: ModelFile, folder: Path, words: list[int]) -> None:
    """encoder.tflite and a head for each number of words. Raises ModelError, OSError."""
    (folder / "encoder.tflite").write_bytes(make_encoder(read_encoder(model), model.side))
    head = read_head(model)
    for n in words:
        (folder / f"head-{n}.tflite").write_bytes(make_head(head, n, model.cells**2))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.make_tflite", description="The network as .tflite.")
    parser.add_argument("--model", help="a model file or the name of a bundled model")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--words", type=int, nargs="+", default=[5], help="lengths of the questions to make heads for")
    options = parser.parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        write(load_model(options.model), options.out, options.words)
    except (EdgeVQAError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
