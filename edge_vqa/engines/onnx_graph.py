"""ONNX graphs of an `.evqa` model, written without the onnx package: what onnxruntime runs where no compiler was.

The encoder is int8 in QDQ form with every activation's scale 1: a convolution's scale is then that of its weights, and
the arithmetic is that of docs/evqa-format.md but for one rounding more before a residual is added. The head computes in
float32 with the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import numpy as np

from ..evqa_file import Conv
from ..evqa_tensors import Array, EvqaModel, head_tensors

_IR_VERSION, _OPSET = 7, 13
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_Dim = Union[int, str]


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: an integer as a varint, anything else as bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


class _Graph:
    """Collects nodes, constants, inputs and outputs; the field numbers are those of onnx.proto3."""

    def __init__(self) -> None:
        self._content = b""
        self._count = 0

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: int | str | Sequence[int]) -> str:
        """Add a node of one output; returns the output's name."""
        self._count += 1
        out = out or f"{kind}_{self._count}"
        node = b"".join(_field(1, name) for name in inputs) + _field(2, out) + _field(4, kind)
        for name, value in attributes.items():
            if isinstance(value, int):
                content, type_ = _field(3, value), 2
            elif isinstance(value, str):
                content, type_ = _field(4, value), 3
            else:
                content, type_ = b"".join(_field(8, v) for v in value), 7
            node += _field(5, _field(1, name) + content + _field(20, type_))
        self._content += _field(1, node)
        return out

    def constant(self, array: Array | np.generic) -> str:
        """Add a constant; returns its name."""
        self._count += 1
        name = f"constant_{self._count}"
        dims = b"".join(_field(1, dim) for dim in array.shape)
        tensor = dims + _field(2, _TYPES[array.dtype.name]) + _field(8, name) + _field(9, array.tobytes())
        self._content += _field(5, tensor)
        return name

    def input(self, name: str, type_: str, shape: Sequence[_Dim]) -> str:
        self._content += _field(11, self._value(name, type_, shape))
        return name

    def output(self, name: str, type_: str, shape: Sequence[_Dim]) -> None:
        self._content += _field(12, self._value(name, type_, shape))

    @staticmethod
    def _value(name: str, type_: str, shape: Sequence[_Dim]) -> bytes:
        dims = b"".join(_field(1, _field(1 if isinstance(dim, int) else 2, dim)) for dim in shape)
        return _field(1, name) + _field(2, _field(1, _field(1, _TYPES[type_]) + _field(2, dims)))

    def model(self) -> bytes:
        """The serialized onnx.ModelProto."""
        graph = _field(2, "edge_vqa") + self._content
        return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(2, _OPSET))

    def quantize(self, name: str, scale: float, zero: int) -> str:
        """To uint8."""
        return self.node("QuantizeLinear", name, *self._scale(scale, zero))

    def dequantize(self, name: str, scale: float, zero: int, out: str = "") -> str:
        """From uint8."""
        return self.node("DequantizeLinear", name, *self._scale(scale, zero), out=out)

    def _scale(self, scale: float, zero: int) -> tuple[str, str]:
        return self.constant(np.float32(scale)), self.constant(np.uint8(zero))

    def affine(self, name: str, matrix: Array, scale: Array, bias: Array) -> str:
        """[1, columns] -> [1, rows], by an int8 matrix [rows, columns] dequantized by `scale` [rows]."""
        weights = matrix.T.astype(np.float32) * scale
        return self.node("Add", self.node("MatMul", name, self.constant(weights)), self.constant(bias))


def encoder_graph(model: EvqaModel) -> bytes:
    """The model's encoder: pixels uint8 [1, side, side, 3] -> features float32 [1, channels, cells, cells]."""
    graph, sizes = _Graph(), model.file.sizes
    graph.input("pixels", "uint8", (1, sizes.side, sizes.side, 3))
    outputs: list[str] = []
    taken = graph.node("Transpose", "pixels", perm=(0, 3, 1, 2))
    for number, conv in enumerate(model.file.convs):
        y = _convolution(graph, model, number, graph.dequantize(taken, 1, conv.in_zero))
        if conv.residual >= 0:
            rounded = graph.dequantize(graph.quantize(y, 1, 128), 1, 128)
            added = graph.dequantize(outputs[conv.residual], conv.residual_scale, conv.residual_zero)
            y = graph.node("Add", rounded, added)
        taken = graph.quantize(_clip(graph, conv, y), 1, conv.out_zero)
        outputs.append(taken)
    places = model.tensors["head.place"].T.reshape(1, sizes.channels, sizes.cells, sizes.cells)
    seen = graph.dequantize(taken, sizes.place_scale, model.file.convs[-1].out_zero)
    placed = graph.quantize(graph.node("Add", seen, graph.constant(places)), 1, sizes.features_zero)
    graph.dequantize(placed, sizes.features_scale, sizes.features_zero, out="features")
    graph.output("features", "float32", (1, sizes.channels, sizes.cells, sizes.cells))
    return graph.model()


def _convolution(graph: _Graph, model: EvqaModel, number: int, taken: str) -> str:
    conv = model.file.convs[number]
    weights, bias, scale = (model.tensors[f"conv{number}.{part}"] for part in ("weights", "bias", "scale"))
    weights = weights.transpose(2, 0, 1)[:, None] if conv.depthwise else weights.transpose(0, 3, 1, 2)
    scales, zeros = graph.constant(scale), graph.constant(np.zeros(conv.outputs, np.int8))
    return graph.node(
        "Conv",
        taken,
        graph.node("DequantizeLinear", graph.constant(weights), scales, zeros, axis=0),
        graph.node("DequantizeLinear", graph.constant(bias), scales, axis=0),
        group=conv.inputs if conv.depthwise else 1,
        kernel_shape=(conv.kernel, conv.kernel),
        strides=(conv.stride, conv.stride),
        pads=(conv.kernel // 2,) * 4,
    )


def _clip(graph: _Graph, conv: Conv, y: str) -> str:
    """The bounds, where they are not those of uint8 itself."""
    if (conv.low, conv.high) == (0, 255):
        return y
    low, high = (graph.constant(np.float32(bound - conv.out_zero)) for bound in (conv.low, conv.high))
    return graph.node("Clip", y, low, high)


def head_graph(model: EvqaModel) -> bytes:
    """The model's head, for one question.

    features float32 [1, channels, cells, cells], ids int64 [1, words], lengths int64 [1] (not looked at) -> logits
    float32 [1, answers + 1], attention float32 [1, cells, cells].
    """
    graph, sizes, head = _Graph(), model.file.sizes, head_tensors(model)
    cells = sizes.cells
    graph.input("features", "float32", (1, sizes.channels, cells, cells))
    graph.input("ids", "int64", (1, "words"))
    graph.input("lengths", "int64", (1,))
    state = _read(graph, model, head)
    scale, shift, asked = (
        graph.affine(state, head[name], head[f"{name}_scale"], head[f"{name}_bias"])
        for name in ("scale", "shift", "question")
    )
    column = graph.constant(np.array([1, sizes.channels, 1], np.int64))
    scale, shift = graph.node("Reshape", scale, column), graph.node("Reshape", shift, column)
    flat = graph.node("Reshape", "features", graph.constant(np.array([1, sizes.channels, cells**2], np.int64)))
    if sizes.attention:
        pooled, look = _attend(graph, _modulate(graph, flat, scale, shift), head)
    else:
        mean = graph.node("ReduceMean", flat, axes=(2,), keepdims=1)
        pooled = _modulate(graph, mean, scale, shift)
        look = graph.constant(np.full((1, cells, cells), 1 / cells**2, np.float32))
    pooled = graph.node("Reshape", pooled, graph.constant(np.array([1, -1], np.int64)))
    seen = graph.affine(pooled, head["picture"], head["picture_scale"], head["picture_bias"])
    joined = graph.node("Mul", graph.node("Relu", seen), graph.node("Relu", asked))
    product = graph.node("MatMul", joined, graph.constant(head["answer"]))
    graph.node("Add", product, graph.constant(head["answer_bias"]), out="logits")
    graph.node("Reshape", look, graph.constant(np.array([1, cells, cells], np.int64)), out="attention")
    graph.output("logits", "float32", (1, sizes.answers + 1))
    graph.output("attention", "float32", (1, cells, cells))
    return graph.model()


def _read(graph: _Graph, model: EvqaModel, head: dict[str, Array]) -> str:
    """127 times the LSTM's state after the last word, [1, hidden]: what the head's matrices take, but for its rounding.

    ONNX has the gates in the order input, output, forget, cell.
    """
    hidden = model.file.sizes.hidden
    forget, take, candidate, give = np.arange(4 * hidden).reshape(4, hidden)
    order = np.concatenate([take, give, forget, candidate])
    table = (head["embedding"].astype(np.int32) - model.file.embedding_zero).astype(np.float32)
    x, h = (
        (head[name].astype(np.float32) * head[f"{name}_scale"][:, None] * np.float32(factor))[order][None]
        for name, factor in (("lstm_x", 1), ("lstm_h", 127))
    )
    bias = np.concatenate([head["lstm_bias"][order], np.zeros(4 * hidden, np.float32)])[None]
    words = graph.node("Transpose", graph.node("Gather", graph.constant(table), "ids"), perm=(1, 0, 2))
    states = graph.node("LSTM", words, graph.constant(x), graph.constant(h), graph.constant(bias), hidden_size=hidden)
    last = graph.node("Gather", states, graph.constant(np.array([-1], np.int64)), axis=0)
    state = graph.node("Reshape", last, graph.constant(np.array([1, hidden], np.int64)))
    return graph.node("Mul", state, graph.constant(np.float32(127)))


def _modulate(graph: _Graph, cells: str, scale: str, shift: str) -> str:
    return graph.node("Relu", graph.node("Add", graph.node("Mul", cells, scale), shift))


def _attend(graph: _Graph, modulated: str, head: dict[str, Array]) -> tuple[str, str]:
    """[1, channels, cells] -> the glimpses and the mean [1, (glimpses + 1), channels], where they looked [1, cells]."""
    scores = graph.node("MatMul", graph.constant(head["score"]), modulated)
    scores = graph.node("Add", scores, graph.constant(head["score_bias"][:, None]))
    weights = graph.node("Softmax", scores, axis=-1)
    rows = graph.node("Transpose", modulated, perm=(0, 2, 1))
    glimpsed = graph.node("MatMul", weights, rows)
    mean = graph.node("ReduceMean", rows, axes=(1,), keepdims=1)
    look = graph.node("ReduceMean", weights, axes=(1,), keepdims=0)
    return graph.node("Concat", glimpsed, mean, axis=1), look
