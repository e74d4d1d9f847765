"""The bundled network as plain arrays, read from its ONNX graphs, for peers that cannot run those graphs themselves.

Needs the package `onnx`. Every number is taken over as it stands: nothing is quantized anew.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_vqa.errors import ModelError
from edge_vqa.model_file import ModelFile

Array = Any
"""A numpy array; its type and shape stand beside each use."""


@dataclass(frozen=True)
class Quantized:
    """How a uint8 tensor stands for real numbers: scale * (q - zero)."""

    scale: float
    zero: int


@dataclass(frozen=True)
class Convolution:
    """int8 weights [outputs, inputs / groups, k, k], a scale an output, int32 bias; padding k // 2 on every side."""

    source: str
    target: str
    weight: Array
    weight_scale: Array
    bias: Array
    stride: int
    depthwise: bool


@dataclass(frozen=True)
class Addition:
    """target = source + other, both uint8; `other` may be a constant."""

    source: str
    other: str
    target: str


@dataclass(frozen=True)
class EncoderNetwork:
    """From the tensor `first` (pixels) to `last` (features); uint8 between all steps."""

    first: str
    last: str
    steps: tuple[Convolution | Addition, ...]
    tensors: dict[str, Quantized]
    constants: dict[str, Array]
    """uint8 [1, channels, height, width]"""


@dataclass(frozen=True)
class Matrix:
    """int8 or float weights [outputs, inputs]; scale [outputs] (None: float weights) and bias [outputs] are float."""

    weight: Array
    scale: Array | None
    bias: Array

    def as_float(self) -> Array:
        """float32 [outputs, inputs]"""
        weight = self.weight.astype(np.float32)
        return weight if self.scale is None else weight * self.scale[:, None]


@dataclass(frozen=True)
class HeadNetwork:
    """What the head multiplies by. The LSTM's gates come in ONNX's order: input, output, forget, candidate."""

    embedding: Array
    """uint8 [words, width]"""
    embedding_as: Quantized
    lstm_input: Matrix
    lstm_state: Matrix
    scale: Matrix
    shift: Matrix
    score: Matrix
    question: Matrix
    picture: Matrix
    """Inputs: the channels of glimpse 0, of glimpse 1, ..., of the mean."""
    answer: Matrix


def read_encoder(model: ModelFile) -> EncoderNetwork:
    """Raises ModelError when encoder.onnx is not a chain of quantized convolutions and additions."""
    graph, values = _graph(model, "encoder.onnx")
    tensors: dict[str, Quantized] = {}
    constants: dict[str, Array] = {}
    source_of: dict[str, str] = {}
    quantized_as = {n.input[0]: n.output[0] for n in graph.node if n.op_type == "QuantizeLinear"}
    steps: list[Convolution | Addition] = []
    first = last = ""
    for node in graph.node:
        if node.op_type == "Transpose" and not first:
            first = node.output[0]
        elif node.op_type == "DequantizeLinear":
            source_of[node.output[0]] = node.input[0]
            if values.get(node.input[1], np.zeros(2)).ndim == 0:
                tensors[node.input[0]] = Quantized(float(values[node.input[1]]), int(values[node.input[2]]))
                if node.input[0] in values:
                    constants[node.input[0]] = values[node.input[0]]
            if node.output[0] == "features":
                last = node.input[0]
        elif node.op_type == "Conv":
            steps.append(_convolution(model, node, values, source_of, quantized_as))
        elif node.op_type == "Add":
            left, right = (source_of[name] for name in node.input)
            steps.append(Addition(left, right, quantized_as[node.output[0]]))
        elif node.op_type != "QuantizeLinear":
            raise ModelError(f"{model.path}: encoder.onnx has a {node.op_type}, which the peers' files cannot express")
    if not first or not last:
        raise ModelError(f"{model.path}: encoder.onnx is not quantized from pixels to features")
    return EncoderNetwork(first, last, tuple(steps), tensors, constants)


def read_head(model: ModelFile) -> HeadNetwork:
    """Raises ModelError when head.onnx is not the int8 head with attention."""
    graph, values = _graph(model, "head.onnx")
    try:
        lstm = next(n for n in graph.node if n.op_type == "DynamicQuantizeLSTM")
        hidden = next(a.i for a in lstm.attribute if a.name == "hidden_size")
        # ONNX adds two biases, one for the input half and one for the state half.
        biases = values[lstm.input[3]].reshape(2, 4 * hidden)
        return HeadNetwork(
            embedding=values["embedding.weight_quantized"],
            embedding_as=Quantized(float(values["embedding.weight_scale"]), int(values["embedding.weight_zero_point"])),
            lstm_input=Matrix(values[lstm.input[1]][0].T, values[lstm.input[8]][0], biases[0] + biases[1]),
            lstm_state=Matrix(values[lstm.input[2]][0].T, values[lstm.input[10]][0], np.zeros_like(biases[0])),
            scale=_matrix(values, "scale"),
            shift=_matrix(values, "shift"),
            score=Matrix(
                values["score.weight_quantized"][:, :, 0],
                np.full(len(values["score.bias"]), values["score.weight_scale"], np.float32),
                values["score.bias"],
            ),
            question=_matrix(values, "join_question"),
            picture=_by_glimpse(_matrix(values, "join_picture"), len(values["score.bias"])),
            answer=Matrix(values["answer.weight_Transposed"].T, None, values["answer.bias"]),
        )
    except (KeyError, StopIteration, ValueError) as error:
        raise ModelError(f"{model.path}: head.onnx is not the int8 head with attention ({error!r})") from error


def _graph(model: ModelFile, name: str) -> tuple[Any, dict[str, Array]]:
    onnx = importlib.import_module("onnx")
    graph = onnx.load_from_string(model.graph(name)).graph
    return graph, {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}


def _convolution(
    model: ModelFile, node: Any, values: dict[str, Array], source_of: dict[str, str], quantized_as: dict[str, str]
) -> Convolution:
    attributes: dict[str, Any] = {a.name: list(a.ints) or a.i for a in node.attribute}
    name, bias = source_of[node.input[1]], source_of[node.input[2]]
    weight, kernel = values[name], attributes["kernel_shape"][0]
    if attributes["pads"] != [kernel // 2] * 4:
        raise ModelError(f"{model.path}: encoder.onnx pads a convolution by {attributes['pads']}")
    return Convolution(
        source=source_of[node.input[0]],
        target=quantized_as[node.output[0]],
        weight=weight,
        weight_scale=values[name.replace("_quantized", "_scale")],
        bias=values[bias],
        stride=attributes["strides"][0],
        depthwise=attributes["group"] > 1,
    )


def _matrix(values: dict[str, Array], name: str) -> Matrix:
    return Matrix(
        values[f"{name}.weight_Transposed_quantized"].T,
        values[f"{name}.weight_Transposed_scale"],
        values[f"{name}.bias"],
    )


def _by_glimpse(matrix: Matrix, glimpses: int) -> Matrix:
    """head.onnx joins a channel's glimpses first; put the columns in order of glimpse, then channel."""
    outputs, channels = len(matrix.weight), matrix.weight.shape[1] // (glimpses + 1)
    glimpsed = matrix.weight[:, : glimpses * channels].reshape(outputs, channels, glimpses).transpose(0, 2, 1)
    plain = matrix.weight[:, glimpses * channels :]
    return Matrix(np.concatenate([glimpsed.reshape(outputs, -1), plain], 1), matrix.scale, matrix.bias)
