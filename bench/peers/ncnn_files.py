"""Writes the two files of an ncnn network: a text of layers (.param) and their weights, one after the other (.bin).

Both formats are described in ncnn's own documentation ("param and model file structure", "operators").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edge_vqa.evqa_file import Conv
from edge_vqa.evqa_tensors import Array, EvqaModel, head_tensors

from .contender import PeerError
from .float_network import as_float32

_MAGIC = 7767517
_FLOAT16 = b"\x47\x6b\x30\x01"
"""Stands before weights of 16 bits."""
_RELU, _CLIP = 1, 3
_UNBOUNDED = 1e38
_ORDER = (1, 0, 3, 2)
"""Of the format's gates (forget, input, candidate, output) in ncnn (input, forget, output, candidate)."""

Parameters = Mapping[int, int | float | Sequence[float]]


class NcnnWriter:
    """Layers in the order in which they run."""

    def __init__(self) -> None:
        self._layers: list[tuple[str, list[str], str, str]] = []
        self._weights: list[bytes] = []

    def layer(self, kind: str, sources: Sequence[str], target: str, parameters: Parameters | None = None) -> str:
        """Returns `target`, the name of its output."""
        self._layers.append((kind, list(sources), target, " ".join(_told(*p) for p in (parameters or {}).items())))
        return target

    def weights(self, array: Array) -> None:
        """Of the last layer, in float16: half the size, and more exact than the bfloat16 that they are used in."""
        data = array.astype("<f2").tobytes()
        self._weights += [_FLOAT16, data, bytes(-len(data) % 4)]

    def plain(self, array: Array) -> None:
        """The same for what ncnn wants in float32: biases and constants."""
        self._weights.append(array.astype("<f4").tobytes())

    def write(self, path: Path) -> None:
        """`path` with the endings .param and .bin; what several layers take is split, as ncnn wants it."""
        uses = Counter(source for _, sources, _, _ in self._layers for source in sources)
        given: Counter[str] = Counter()
        lines, blobs = [], 0
        for kind, sources, target, parameters in self._layers:
            taken = []
            for source in sources:
                taken.append(f"{source}_{given[source]}" if uses[source] > 1 else source)
                given[source] += 1
            lines.append(f"{kind} {target} {len(taken)} 1 {' '.join([*taken, target])} {parameters}")
            blobs += 1
            if uses[target] > 1:
                parts = " ".join(f"{target}_{i}" for i in range(uses[target]))
                lines.append(f"Split {target}_split 1 {uses[target]} {target} {parts}")
                blobs += uses[target]
        text = "\n".join([str(_MAGIC), f"{len(lines)} {blobs}", *lines, ""])
        path.with_suffix(".param").write_text(text, encoding="ascii")
        path.with_suffix(".bin").write_bytes(b"".join(self._weights))


def _told(key: int, value: int | float | Sequence[float]) -> str:
    """Arrays have the key -23300 less their own, and their length before their values."""
    if isinstance(value, (int, float)):
        return f"{key}={_number(value)}"
    return f"{-23300 - key}={','.join([str(len(value)), *map(_number, value)])}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.8e}"


def write_encoder(model: EvqaModel, path: Path) -> None:
    """Pixels float32 [3, side, side], 0 to 255 -> features [channels, cells, cells]."""
    plain, net = as_float32(model), NcnnWriter()
    sizes = plain.file.sizes
    net.layer("Input", [], "pixels")
    taken = net.layer("BinaryOp", ["pixels"], "centred", {0: 1, 1: 1, 2: float(sizes.pixel_zero)})
    for number, conv in enumerate(plain.file.convs):
        name = f"conv{number}"
        if conv.residual < 0:
            taken = _convolution(net, plain, number, taken, name)
            continue
        sums = _convolution(net, plain, number, taken, f"{name}_sums")
        taken = net.layer("BinaryOp", [sums, f"conv{conv.residual}"], name, {0: 0})
        if _activation(conv):
            raise PeerError("an addition with bounds is not written")
    place = net.layer("MemoryData", [], "place", {0: sizes.cells, 1: sizes.cells, 2: sizes.channels})
    net.plain(np.ascontiguousarray(plain.tensors["head.place"].T))
    net.layer("BinaryOp", [taken, place], "features", {0: 0})
    net.write(path)


def _convolution(net: NcnnWriter, plain: EvqaModel, number: int, taken: str, target: str) -> str:
    conv = plain.file.convs[number]
    weights = plain.tensors[f"conv{number}.weights"]
    ordered = np.ascontiguousarray(weights.transpose(2, 0, 1) if conv.depthwise else weights.transpose(0, 3, 1, 2))
    parameters: dict[int, int | float | Sequence[float]] = {
        0: conv.outputs, 1: conv.kernel, 3: conv.stride, 4: conv.kernel // 2, 5: 1, 6: ordered.size,
    }  # fmt: skip
    if conv.depthwise:
        parameters[7] = conv.inputs
    if conv.residual < 0:
        parameters |= _activation(conv)
    net.layer("ConvolutionDepthWise" if conv.depthwise else "Convolution", [taken], target, parameters)
    net.weights(ordered)
    net.plain(plain.tensors[f"conv{number}.bias"])
    return target


def _activation(conv: Conv) -> Parameters:
    """Of a float32 convolution."""
    if conv.high < _UNBOUNDED:
        return {9: _CLIP, 10: (conv.low, conv.high)}
    if conv.low > -_UNBOUNDED:
        return {9: _RELU} if conv.low == 0 else {9: _CLIP, 10: (conv.low, conv.high)}
    return {}


def write_head(model: EvqaModel, path: Path) -> None:
    """Features [channels, cells, cells], ids int32 [words] -> logits [answers + 1]; in float32."""
    plain, net = as_float32(model), NcnnWriter()
    sizes, head = plain.file.sizes, head_tensors(plain)
    channels, cells = sizes.channels, sizes.cells**2

    def dense(name: str, source: str, weights: Array, relu: bool = False) -> str:
        net.layer("InnerProduct", [source], name, {0: len(weights), 1: 1, 2: weights.size, **({9: 1} if relu else {})})
        net.weights(np.ascontiguousarray(weights))
        net.plain(head[f"{name}_bias"])
        return name

    net.layer("Input", [], "features")
    net.layer("Input", [], "ids")
    state = _read(net, plain, head)
    column = {0: 1, 1: channels}
    scale = net.layer("Reshape", [dense("scale", state, head["scale"])], "by_scale", column)
    shift = net.layer("Reshape", [dense("shift", state, head["shift"])], "by_shift", column)
    asked = dense("question", state, head["question"], relu=True)
    flat = net.layer("Reshape", ["features"], "cells", {0: cells, 1: channels})
    if sizes.attention:
        met = net.layer("BinaryOp", [flat, scale], "scaled", {0: 2})
        met = net.layer("BinaryOp", [met, shift], "shifted", {0: 0})
        met = net.layer("ReLU", [met], "met")
        pooled = _attend(net, met, head, cells)
    else:
        mean = net.layer("Reduction", [flat], "mean", {0: 3, 1: 0, 3: [1], 4: 1, 5: 1})
        pooled = net.layer("BinaryOp", [mean, scale], "scaled", {0: 2})
        pooled = net.layer("ReLU", [net.layer("BinaryOp", [pooled, shift], "shifted", {0: 0})], "met")
    row = net.layer("Reshape", [pooled], "pooled", {0: head["picture"].shape[1]})
    seen = dense("picture", row, head["picture"], relu=True)
    joined = net.layer("BinaryOp", [seen, asked], "joined", {0: 2})
    dense("answer", joined, head["answer"].T)
    net.write(path)


def _read(net: NcnnWriter, plain: EvqaModel, head: dict[str, Array]) -> str:
    """The LSTM's state after the last word, [hidden]."""
    sizes = plain.file.sizes
    words = net.layer("Embed", ["ids"], "words", {0: sizes.embedding, 1: sizes.words, 3: head["embedding"].size})
    net.weights(head["embedding"])
    states = net.layer("LSTM", [words], "states", {0: sizes.hidden, 1: head["lstm_x"].size})
    for name in ("lstm_x", "lstm_bias", "lstm_h"):
        gates = head[name].reshape(4, sizes.hidden, -1)[list(_ORDER)]
        net.weights(np.ascontiguousarray(gates))
    last = net.layer("Crop", [states], "last", {9: [-1], 10: [-233], 11: [0]})
    return net.layer("Reshape", [last], "state", {0: sizes.hidden})


def _attend(net: NcnnWriter, met: str, head: dict[str, Array], cells: int) -> str:
    """[channels, cells] -> [glimpses + 1, channels]"""
    glimpses, channels = head["score"].shape
    score = net.layer("MemoryData", [], "score", {0: channels, 1: glimpses})
    net.plain(head["score"])
    bias = net.layer("MemoryData", [], "score_bias", {0: 1, 1: glimpses})
    net.plain(head["score_bias"])
    scores = net.layer("BinaryOp", [net.layer("MatMul", [score, met], "products"), bias], "scores", {0: 0})
    looks = net.layer("Softmax", [scores], "looks", {0: 1, 1: 1})
    # A further row of 1 / cells makes the plain mean over the cells part of the same product.
    share = net.layer("MemoryData", [], "share", {0: cells, 1: 1})
    net.plain(np.full(cells, 1 / cells, np.float32))
    every = net.layer("Concat", [looks, share], "looks_and_share", {0: 0})
    return net.layer("MatMul", [every, met], "glimpsed", {0: 1})
