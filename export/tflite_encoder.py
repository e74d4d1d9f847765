"""The encoder of an `.evqa` model as operations of TFLite: the same weights, scales and zero points.

uint8 values become int8 ones less 128. What differs from docs/evqa-format.md is rounding: TFLite multiplies the sums
by a fixed-point number, and rounds once more where an earlier output is added, because it adds in an operation of its
own. Until then the sums are held in the steps of the result (the format knows no others for them).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_vqa.evqa_file import FLOAT32, NO_BOUND, Conv
from edge_vqa.evqa_tensors import EvqaModel

from .tflite_writer import ACTIVATIONS, Array, Graph, Steps

_HALF = 128
"""What an int8 value is less than the uint8 one it stands for."""


def add_pixels(graph: Graph, model: EvqaModel) -> int:
    """The graph's input, uint8 [n,side,side,3]."""
    sizes = model.file.sizes
    # The first convolution of a float32 model takes p - 128, of an int8 one real values.
    scale = 1.0 if sizes.precision == FLOAT32 else sizes.pixel_scale
    return graph.tensor("pixels", (None, sizes.side, sizes.side, 3), "uint8", Steps(scale, sizes.pixel_zero))


def add_encoder(graph: Graph, model: EvqaModel, pixels: int) -> int:
    """Pixels -> features, float32 [n,cells,cells,channels]."""
    encoder = (_FloatEncoder if model.file.sizes.precision == FLOAT32 else _Int8Encoder)(graph, model)
    given = encoder.take(pixels)
    outputs: list[int] = []
    for number, conv in enumerate(model.file.convs):
        given = encoder.convolve(number, conv, given, outputs[conv.residual] if conv.residual >= 0 else None)
        outputs.append(given)
    return encoder.place(given)


def less_128(values: Array) -> Array:
    """uint8 -> int8"""
    return (values.astype(np.int16) - _HALF).astype(np.int8)


class _Encoder:
    """What the two precisions share: the order of operations of one convolution."""

    dtype: str

    def __init__(self, graph: Graph, model: EvqaModel) -> None:
        self.graph, self.model = graph, model

    def steps(self, conv: Conv) -> Steps | None:
        """How the output of a convolution stands for real numbers."""
        raise NotImplementedError

    def sums_steps(self, conv: Conv) -> Steps | None:
        """The same for its sums, to which an earlier output is still to be added."""
        return self.steps(conv)

    def parameters(self, number: int, conv: Conv) -> tuple[int, int]:
        """The constants of weights and bias."""
        raise NotImplementedError

    def bounds(self, conv: Conv) -> tuple[str, Array | None, Array | None]:
        """The activation that clamps as `conv` says or, where none does, the bounds themselves."""
        raise NotImplementedError

    def convolve(self, number: int, conv: Conv, given: int, added: int | None) -> int:
        """[n,in_side,in_side,inputs] -> [n,out_side,out_side,outputs]; `added` is of the latter shape."""
        graph, shape = self.graph, (None, conv.out_side, conv.out_side, conv.outputs)
        activation, low, high = self.bounds(conv)
        last, name = ACTIVATIONS[activation], f"conv{number}"
        weights, bias = self.parameters(number, conv)
        result = graph.tensor(name, shape, self.dtype, self.steps(conv) if added is None else self.sums_steps(conv))
        options: dict[str, Any] = {
            "strideW": conv.stride, "strideH": conv.stride, "dilationWFactor": 1, "dilationHFactor": 1,
            "fusedActivationFunction": ACTIVATIONS["none"] if added is not None else last,
        }  # fmt: skip
        if conv.depthwise:
            options["depthMultiplier"] = 1
        # SAME pads by one on every side, unless the stride is 2 and the side even; then it is said apart.
        same = conv.kernel == 3 and (conv.stride == 1 or conv.in_side % 2 == 1)
        if conv.kernel == 3 and not same:
            given = self._pad(f"{name}_padded", given)
        kind = "DEPTHWISE_CONV_2D" if conv.depthwise else "CONV_2D"
        graph.operation(kind, [given, weights, bias], [result], same=same, **options)
        if added is not None:
            graph.name(result, f"{name}_sums")
            summed = graph.tensor(name, shape, self.dtype, self.steps(conv))
            graph.operation("ADD", [result, added], [summed], fusedActivationFunction=last)
            result = summed
        for kind, bound in (("MAXIMUM", low), ("MINIMUM", high)):
            if bound is not None:
                graph.name(result, f"{name}_before_{kind.lower()}")
                clamped = graph.tensor(name, shape, self.dtype, self.steps(conv))
                limit = graph.constant(f"{name}_{kind.lower()}", bound, self.steps(conv))
                graph.operation(kind, [result, limit], [clamped])
                result = clamped
        return result

    def _pad(self, name: str, given: int) -> int:
        """One more row and column of zero points on every side."""
        graph = self.graph
        batch, height, width, channels = graph.shape(given)
        assert height is not None and width is not None
        padded = graph.like(given, name, (batch, height + 2, width + 2, channels))
        margins = graph.constant("margins", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
        graph.operation("PAD", [given, margins], [padded])
        return padded

    def _map(self) -> tuple[int | None, ...]:
        sizes = self.model.file.sizes
        return (None, sizes.cells, sizes.cells, sizes.channels)

    def _place(self, factor: float) -> Array:
        """[1,cells,cells,channels] float32"""
        sizes = self.model.file.sizes
        place = self.model.tensors["head.place"].reshape(1, sizes.cells, sizes.cells, sizes.channels)
        return place * np.float32(factor)


class _Int8Encoder(_Encoder):
    dtype = "int8"

    def take(self, pixels: int) -> int:
        sizes = self.model.file.sizes
        steps = Steps(sizes.pixel_scale, sizes.pixel_zero - _HALF)
        # QUANTIZE could do it alone, but is not taken by XNNPACK then and needs seven times as long.
        real = self.graph.tensor("pixels_float32", self.graph.shape(pixels))
        self.graph.operation("DEQUANTIZE", [pixels], [real])
        taken = self.graph.tensor("pixels_int8", self.graph.shape(pixels), "int8", steps)
        self.graph.operation("QUANTIZE", [real], [taken])
        return taken

    def steps(self, conv: Conv) -> Steps:
        return Steps(conv.out_scale, conv.out_zero - _HALF)

    def sums_steps(self, conv: Conv) -> Steps:
        """Where the result's range is much longer on one side of 0, the sums need that length on both."""
        reach = max(conv.out_zero, 255 - conv.out_zero)
        return self.steps(conv) if reach <= 1.25 * _HALF else Steps(conv.out_scale * reach / 127, 0)

    def parameters(self, number: int, conv: Conv) -> tuple[int, int]:
        file, name = self.model.file, f"conv{number}"
        in_scale = np.float32(file.convs[number - 1].out_scale if number else file.sizes.pixel_scale)
        weights, bias, scale = (self.model.tensors[f"{name}.{part}"] for part in ("weights", "bias", "scale"))
        weights = weights[None] if conv.depthwise else weights
        real = (scale.astype(np.float64) * conv.out_scale / in_scale).astype(np.float32)
        axis = 3 if conv.depthwise else 0
        return (
            self.graph.constant(f"{name}_weights", weights, Steps(real, axis=axis)),
            self.graph.constant(f"{name}_bias", bias, Steps(in_scale * real)),
        )

    def bounds(self, conv: Conv) -> tuple[str, Array | None, Array | None]:
        low, high, zero = int(conv.low), int(conv.high), conv.out_zero
        if high == 255 and low in (0, zero):
            return "relu" if low == zero else "none", None, None
        if (low, high) == (zero, min(255, zero + round(6 / conv.out_scale))):
            return "relu6", None, None
        ends = ((low, 0), (high, 255))
        below, above = (None if at == end else less_128(np.array(at)) for at, end in ends)
        return "none", below, above

    def place(self, seen: int) -> int:
        """The features pass through int8, as in the format's definition, and come out as float32."""
        graph, sizes = self.graph, self.model.file.sizes
        real = graph.tensor("seen", self._map())
        graph.operation("DEQUANTIZE", [seen], [real])
        placed = graph.tensor("placed", self._map())
        place = graph.constant("place", self._place(sizes.features_scale))
        graph.operation("ADD", [real, place], [placed])
        stepped = graph.tensor(
            "features_int8", self._map(), "int8", Steps(sizes.features_scale, sizes.features_zero - _HALF)
        )
        graph.operation("QUANTIZE", [placed], [stepped])
        features = graph.tensor("features", self._map())
        graph.operation("DEQUANTIZE", [stepped], [features])
        return features


class _FloatEncoder(_Encoder):
    dtype = "float32"

    def take(self, pixels: int) -> int:
        taken = self.graph.tensor("pixels_float32", self.graph.shape(pixels))
        self.graph.operation("DEQUANTIZE", [pixels], [taken])
        return taken

    def steps(self, conv: Conv) -> None:
        return None

    def parameters(self, number: int, conv: Conv) -> tuple[int, int]:
        name = f"conv{number}"
        weights, bias = (self.model.tensors[f"{name}.{part}"] for part in ("weights", "bias"))
        weights = weights[None] if conv.depthwise else weights
        return self.graph.constant(f"{name}_weights", weights), self.graph.constant(f"{name}_bias", bias)

    def bounds(self, conv: Conv) -> tuple[str, Array | None, Array | None]:
        known = {(-NO_BOUND, NO_BOUND): "none", (0.0, NO_BOUND): "relu", (0.0, 6.0): "relu6"}
        limits = np.float32(conv.low), np.float32(conv.high)
        for ends, activation in known.items():
            if limits == tuple(np.float32(end) for end in ends):
                return activation, None, None
        return "none", np.array(limits[0]), np.array(limits[1])

    def place(self, seen: int) -> int:
        features = self.graph.tensor("features", self._map())
        self.graph.operation("ADD", [seen, self.graph.constant("place", self._place(1.0))], [features])
        return features
