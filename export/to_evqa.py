"""python -m export.to_evqa --model FILE-int8.vqa.zip --out FILE.evqa [--about JSON]

Converts an int8 model file to the format of the package's own engine (docs/evqa-format.md): the same weights, scales
and zero points, so one quantization serves both. Needs the package onnx, not PyTorch.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.errors import EdgeVQAError, ModelError
from edge_vqa.evqa_file import Conv, EvqaFile, Sizes
from edge_vqa.evqa_tensors import accumulator_bound, save_tensors
from edge_vqa.model_file import load_model

from .graph_walk import Array, Graph

_STATE_STEPS = 127.0
"""The LSTM's state h is held as rint(h * 127)."""
_ONNX_GATES = {"input": 0, "output": 1, "forget": 2, "candidate": 3}
_GATES = ("forget", "input", "candidate", "output")
_RESHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Transpose")


def convert(model: Path, out: Path, about: dict[str, Any]) -> None:
    """Write the .evqa file of an int8 .vqa.zip file; `about` is added to what the manifest says.

    Raises ModelError when the model is not int8 or not one that export.to_onnx makes.
    """
    source = load_model(model)
    if source.precision != "int8":
        raise ModelError(f"{source.path}: its precision is {source.precision}; only int8 models can be converted")
    encoder = _Encoder(Graph(source.graph("encoder.onnx"), f"{source.path}: encoder.onnx"), source.side)
    head, glimpses = _read_head(Graph(source.graph("head.onnx"), f"{source.path}: head.onnx"))
    embedding_zero = int(head.pop("embedding_zero"))
    sizes = Sizes(
        side=source.side,
        cells=source.cells,
        channels=encoder.convs[-1].outputs,
        words=len(source.vocabulary),
        answers=len(source.answers),
        attention=int(source.attention),
        glimpses=glimpses,
        embedding=head["embedding"].shape[1],
        hidden=head["lstm_h"].shape[1],
        joint=head["answer"].shape[0],
        temperature=source.temperature,
        features_scale=encoder.features_scale,
        features_zero=encoder.features_zero,
        place_scale=encoder.place_scale,
        pixel_zero=encoder.convs[0].in_zero,
    )
    tensors = encoder.tensors | {f"head.{name}": array for name, array in head.items()}
    known = {"name": source.name, "precision": source.precision, **source.about, **about}
    file = EvqaFile(out, known, source.vocabulary.words, source.answers, sizes, tuple(encoder.convs), embedding_zero)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(out, file, tensors)


class _Encoder:
    """Follows the pixels through the graph; `convs` and `tensors` are what the file will hold."""

    def __init__(self, graph: Graph, side: int) -> None:
        self.graph = graph
        self.convs: list[Conv] = []
        self.tensors: dict[str, Array] = {}
        self._made_by: dict[str, int] = {}
        """Quantized tensor -> number of the convolution that makes it."""
        self._side = side
        for node in graph.nodes:
            if node.op_type == "Conv":
                self._add(node)
        if not self.convs:
            raise graph.fail("it holds no convolution")
        self._read_place()

    def _add(self, node: Any) -> None:
        graph = self.graph
        taken = graph.maker(node.input[0], "DequantizeLinear")
        (in_scale, in_zero), (w_scale, w_zero) = (
            graph.scale_and_zero(graph.maker(name, "DequantizeLinear")) for name in node.input[:2]
        )
        weights = graph.constant(graph.maker(node.input[1], "DequantizeLinear").input[0])
        if weights.dtype != np.int8 or w_zero.any() or weights.ndim != 4:
            raise graph.fail(f"the weights of {node.output[0]} are not int8 around 0")
        if self.convs and self._made_by.get(taken.input[0]) != len(self.convs) - 1:
            raise graph.fail(f"{node.output[0]} does not take what the convolution before it gives")
        clipped, quantizer = self._quantizer(node.output[0])
        number, side = len(self.convs), self.convs[-1].out_side if self.convs else self._side
        residual, quantizer = self._residual(quantizer)
        if clipped and residual:
            raise graph.fail(f"{node.output[0]} is clipped before something is added")
        out_scale, out_zero = graph.scale_and_zero(quantizer)
        low, high = _bounds(clipped, float(out_scale), int(out_zero))
        kernel, stride, depthwise = self._geometry(node, weights)
        conv = Conv(
            depthwise=int(depthwise),
            kernel=kernel,
            stride=stride,
            inputs=weights.shape[0] if depthwise else weights.shape[1],
            outputs=weights.shape[0],
            in_side=side,
            out_side=-(-side // stride),
            in_zero=int(in_zero),
            out_zero=int(out_zero),
            low=low,
            high=high,
        )
        if residual:
            r_scale, r_zero = graph.scale_and_zero(residual)
            conv = replace(
                conv,
                residual=self._made_by[residual.input[0]],
                residual_scale=float(np.float32(r_scale / out_scale)),
                residual_zero=int(r_zero),
            )
        sums_scale = np.broadcast_to(in_scale * w_scale, conv.outputs)
        bias = self._bias(node, sums_scale)
        layout = (2, 3, 0, 1) if depthwise else (0, 2, 3, 1)
        weights = weights.transpose(layout).reshape(conv.tensors(number)[f"conv{number}.weights"].shape)
        values = fit_sums(conv, weights, bias, sums_scale / out_scale)
        self.tensors |= {f"conv{number}.{part}": v for part, v in zip(("weights", "bias", "scale"), values)}
        self._made_by[quantizer.output[0]] = number
        self.convs.append(conv)

    def _geometry(self, node: Any, weights: Array) -> tuple[int, int, bool]:
        """Kernel, stride, depthwise."""
        groups, kernel = self.graph.attribute(node, "group", 1), weights.shape[2]
        strides = self.graph.attribute(node, "strides", [1, 1])
        pads = self.graph.attribute(node, "pads", [0, 0, 0, 0])
        dilations = self.graph.attribute(node, "dilations", [1, 1])
        depthwise = groups > 1
        fine = (
            weights.shape[3] == kernel
            and pads == [kernel // 2] * 4
            and strides[0] == strides[1]
            and max(dilations) == 1
        )
        if not fine or (depthwise and (weights.shape[1] != 1 or groups != weights.shape[0])):
            raise self.graph.fail(f"{node.output[0]} is a kind of convolution that the engine lacks")
        return kernel, strides[0], depthwise

    def _bias(self, node: Any, scale: Array) -> Array:
        """[outputs] int32 in units of input scale times weight scale."""
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(scale.shape, np.int32)
        dequantizer = self.graph.maker(node.input[2], "DequantizeLinear")
        own, zero = self.graph.scale_and_zero(dequantizer)
        if zero.any() or not np.allclose(own, scale, rtol=1e-4):
            raise self.graph.fail(f"the bias of {node.output[0]} has another scale than its sums")
        return self.graph.constant(dequantizer.input[0])

    def _quantizer(self, name: str) -> tuple[bool, Any]:
        """Whether a Clip to 0..6 follows, and the QuantizeLinear after it."""
        node = self.graph.only_taker(name, "Clip", "QuantizeLinear")
        if node.op_type == "QuantizeLinear":
            return False, node
        if [float(self.graph.constant(n)) for n in node.input[1:]] != [0.0, 6.0]:
            raise self.graph.fail(f"{name} is clipped to another range than 0 to 6")
        return True, self.graph.only_taker(node.output[0], "QuantizeLinear")

    def _residual(self, quantizer: Any) -> tuple[Any, Any]:
        """The DequantizeLinear of what is added to a convolution (or None), and the QuantizeLinear after the sum."""
        takers = [t for d in self.graph.takers(quantizer.output[0]) for t in self.graph.takers(d.output[0])]
        if len(takers) != 1 or takers[0].op_type != "Add":
            return None, quantizer
        own, other = quantizer.output[0], None
        for name in takers[0].input:
            dequantizer = self.graph.maker(name, "DequantizeLinear")
            if dequantizer.input[0] != own:
                other = dequantizer
        if other is None or other.input[0] not in self._made_by:
            return None, quantizer
        return other, self.graph.only_taker(takers[0].output[0], "QuantizeLinear")

    def _read_place(self) -> None:
        """The last step: what each cell's position means is added, and the sum quantized."""
        graph = self.graph
        last = graph.maker("features", "DequantizeLinear")
        scale, zero = graph.scale_and_zero(graph.maker(last.input[0], "QuantizeLinear"))
        add = graph.maker(graph.maker(last.input[0], "QuantizeLinear").input[0], "Add")
        makers = [graph.maker(name, "DequantizeLinear") for name in add.input]
        constants = [graph.is_constant(node.input[0]) for node in makers]
        if sum(constants) != 1:
            raise graph.fail("the positions are not added last")
        place, seen = makers if constants[0] else reversed(makers)
        if self._made_by.get(seen.input[0]) != len(self.convs) - 1:
            raise graph.fail("the positions are not added to the last convolution")
        place_scale, place_zero = graph.scale_and_zero(place)
        values = (graph.constant(place.input[0]).astype(np.int64) - place_zero) * (place_scale / scale)
        channels = self.convs[-1].outputs
        if values.shape[:2] != (1, channels):
            raise graph.fail("the positions have another shape than the features")
        self.tensors["head.place"] = values.reshape(channels, -1).T.astype(np.float32)
        self.place_scale = float(np.float32(graph.scale_and_zero(seen)[0] / scale))
        self.features_scale, self.features_zero = float(scale), int(zero)


def fit_sums(conv: Conv, weights: Array, bias: Array, scale: Array) -> tuple[Array, Array, Array]:
    """Weights (as in the file), bias and scale with coarser steps in the channels whose sums could pass 2^30.

    Only a channel that hardly varies has such a bias, more than a thousand times what its weights can add.
    """
    axes = (0, 1) if conv.depthwise else (1, 2, 3)
    while (large := accumulator_bound(conv, weights, bias) >= 1 << 30).any():
        steps = np.where(large, 2.0, 1.0)
        weights = np.rint(weights / np.expand_dims(steps, axes)).astype(np.int8)
        bias = np.rint(bias / steps).astype(np.int32)
        scale = scale * steps
    return weights, bias, scale.astype(np.float32)


def _bounds(clipped: bool, scale: float, zero: int) -> tuple[int, int]:
    """Where no Clip is left, the ends of uint8 do its work: the exporter has chosen the scale so."""
    return (zero, min(255, zero + round(6 / scale))) if clipped else (0, 255)


def _read_head(graph: Graph) -> tuple[dict[str, Array], int]:
    """The head's tensors by their names in docs/evqa-format.md, with `embedding_zero`; and the glimpses."""
    logits = graph.maker("logits", "Add")
    matrix, bias = graph.other(logits, "MatMul")
    tensors = {"answer": graph.constant(matrix.input[1]), "answer_bias": graph.constant(bias)}
    tensors |= _read_lstm(graph)
    joined = graph.maker(matrix.input[0], "Mul")
    sides = [graph.maker(graph.maker(name, "Relu").input[0], "Add") for name in joined.input]
    inputs = [_dense_input(graph, add) for add in sides]
    from_state = [graph.makes(name, "GatherElements", _RESHAPING) for name in inputs]
    if sum(from_state) != 1:
        raise graph.fail("picture and question are not joined by a product")
    question, picture = sides if from_state[0] else reversed(sides)
    tensors |= _dense(graph, question, "question", 1 / _STATE_STEPS) | _dense(graph, picture, "picture", 1.0)
    pooled = _dense_input(graph, picture)
    glimpses = 0
    if graph.makes(pooled, "Concat"):
        softmax = graph.one("Softmax")
        tensors["score"], tensors["score_bias"] = _read_score(graph, softmax)
        glimpses = len(tensors["score"])
        modulated = graph.maker(_score_input(graph, softmax), "Relu")
        tensors["picture"] = _glimpse_after_glimpse(graph, pooled, tensors["picture"], glimpses)
    else:
        modulated = graph.maker(pooled, "Relu", past=_RESHAPING)
    product, shift = graph.other(graph.maker(modulated.input[0], "Add"), "Mul")
    scale, _ = graph.other(product, "Add", past=_RESHAPING)
    tensors |= _dense(graph, scale, "scale", 1 / _STATE_STEPS)
    tensors |= _dense(graph, graph.maker(shift, "Add", past=_RESHAPING), "shift", 1 / _STATE_STEPS)
    return tensors, glimpses


def _quantized_product(graph: Graph, name: str, kind: str) -> tuple[Any, Array, Array]:
    """The integer product behind a float tensor, its int8 weights and their scale (float64)."""
    scaled = graph.maker(name, "Mul")
    cast, scales = graph.other(scaled, "Cast")
    product = graph.maker(cast.input[0], kind)
    weights, scale = graph.constant(product.input[1]), graph.maker(scales, "Mul")
    stored = [n for n in scale.input if graph.is_constant(n)]
    if (
        weights.dtype != np.int8
        or len(stored) != 1
        or (len(product.input) > 3 and graph.constant(product.input[3]).any())
    ):
        raise graph.fail(f"the weights behind {name} are not int8 around 0")
    return product, weights, graph.constant(stored[0]).astype(np.float64)


def _dense_product(graph: Graph, add: Any) -> str:
    name: str = graph.other(add, "Mul")[0].output[0]
    return name


def _dense_input(graph: Graph, add: Any) -> str:
    """The float tensor that a dynamically quantized dense layer takes, from the Add of its bias."""
    product, _, _ = _quantized_product(graph, _dense_product(graph, add), "MatMulInteger")
    name: str = graph.maker(product.input[0], "DynamicQuantizeLinear").input[0]
    return name


def _dense(graph: Graph, add: Any, name: str, factor: float) -> dict[str, Array]:
    """A dense layer's matrix [outputs, inputs], scale and bias; `factor` is the scale of what it takes."""
    _, weights, scale = _quantized_product(graph, _dense_product(graph, add), "MatMulInteger")
    _, bias = graph.other(add, "Mul")
    return {
        name: weights.T,
        f"{name}_scale": (np.broadcast_to(scale, weights.shape[1:]) * factor).astype(np.float32),
        f"{name}_bias": graph.constant(bias),
    }


def _score_input(graph: Graph, softmax: Any) -> str:
    product, _, _ = _quantized_product(
        graph, _dense_product(graph, graph.maker(softmax.input[0], "Add")), "ConvInteger"
    )
    name: str = graph.maker(product.input[0], "DynamicQuantizeLinear").input[0]
    return name


def _read_score(graph: Graph, softmax: Any) -> tuple[Array, Array]:
    """[glimpses, channels] and [glimpses] float32."""
    add = graph.maker(softmax.input[0], "Add")
    _, weights, scale = _quantized_product(graph, _dense_product(graph, add), "ConvInteger")
    _, bias = graph.other(add, "Mul")
    if not graph.is_constant(bias):
        bias = graph.maker(bias, "Reshape").input[0]
    scores = weights.reshape(weights.shape[0], -1) * scale.reshape(-1, 1)
    return scores.astype(np.float32), graph.constant(bias).reshape(-1)


def _glimpse_after_glimpse(graph: Graph, pooled: str, picture: Array, glimpses: int) -> Array:
    """The columns of `picture` as the format has them: all channels of the first glimpse, then of the second, ..."""
    first = graph.maker(graph.maker(pooled, "Concat").input[0], "MatMul", past=("Reshape",))
    if graph.makes(first.input[0], "Relu"):  # channels x cells times cells x glimpses: glimpses lie side by side
        glimpsed = picture.shape[1] - picture.shape[1] // (glimpses + 1)
        by_channel = picture[:, :glimpsed].reshape(len(picture), -1, glimpses)
        return np.concatenate([by_channel.transpose(0, 2, 1).reshape(len(picture), -1), picture[:, glimpsed:]], 1)
    graph.maker(first.input[0], "Softmax")
    return picture


def _read_lstm(graph: Graph) -> dict[str, Array]:
    node = graph.one("DynamicQuantizeLSTM")
    dequantizer = graph.maker(node.input[0], "DequantizeLinear")
    embedding = graph.maker(dequantizer.input[0], "Gather", past=_RESHAPING)
    scale, zero = graph.scale_and_zero(dequantizer)
    table = graph.constant(embedding.input[0])
    x, h, bias, x_scale, x_zero, h_scale, h_zero = (graph.constant(node.input[i]) for i in (1, 2, 3, 8, 9, 10, 11))
    fine = table.dtype == np.uint8 and x.dtype == h.dtype == np.int8 and not x_zero.any() and not h_zero.any()
    if not fine or x.shape[0] != 1 or graph.attribute(node, "input_forget", 0):
        raise graph.fail("the LSTM or the embedding is not quantized as expected")
    hidden = h.shape[1]
    order = np.concatenate([np.arange(hidden) + _ONNX_GATES[gate] * hidden for gate in _GATES])

    def scales(given: Array, factor: float) -> Array:
        return (np.broadcast_to(given.astype(np.float64).reshape(-1), 4 * hidden)[order] * factor).astype(np.float32)

    return {
        "embedding": table,
        "embedding_zero": zero,
        "lstm_x": x[0].T[order],
        "lstm_x_scale": scales(x_scale, float(scale)),
        "lstm_h": h[0].T[order],
        "lstm_h_scale": scales(h_scale, 1 / _STATE_STEPS),
        "lstm_bias": (bias[0, : 4 * hidden] + bias[0, 4 * hidden :])[order],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m export.to_evqa", description="Convert an int8 model file to .evqa."
    )
    parser.add_argument("--model", type=Path, required=True, help="int8 model file of export.to_onnx")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--about", type=Path, help="JSON file whose fields are added to what the model says of itself")
    options = parser.parse_args(arguments)
    try:
        about = json.loads(options.about.read_text(encoding="utf-8")) if options.about else {}
        if not isinstance(about, dict):
            raise ModelError(f"{options.about}: not a JSON object")
        convert(options.model, options.out, about)
        print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")
    except (EdgeVQAError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
