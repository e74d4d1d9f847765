"""A network as the records and tensors of an `.evqa` file, in int8 or in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_vqa.evqa_file import FLOAT32, INT8, NO_BOUND, Conv, Sizes

from ..models import PIXEL_SCALE, PIXEL_ZERO, Network, Shape
from .encoder import quantize_encoder
from .equalize import equalize
from .head import head_tensors, place_tensor, quantize_head, quantize_place
from .layers import Layer, encoder_layers
from .settings import Settings
from .simulate import IntegerConv, IntegerHead

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Contents:
    """What an `.evqa` file holds besides texts; `tensors` has the names and shapes of docs/evqa-format.md."""

    sizes: Sizes
    convs: tuple[Conv, ...]
    embedding_zero: int
    tensors: dict[str, Array]


@dataclass(frozen=True)
class Quantized:
    """An int8 network: it can be run (see simulate.py) and written."""

    sizes: Sizes
    convs: list[IntegerConv]
    place: Tensor
    head: IntegerHead
    channel_scale: Tensor
    """[channels]: how many times larger than the network's the features are, channel by channel."""

    def contents(self) -> Contents:
        tensors: dict[str, Array] = {"head.place": self.place.numpy()}
        for n, conv in enumerate(self.convs):
            tensors[f"conv{n}.weights"] = _arrange(conv.weights, bool(conv.record.depthwise)).astype(np.int8)
            tensors[f"conv{n}.bias"] = conv.bias.numpy().astype(np.int32)
            tensors[f"conv{n}.scale"] = conv.scale.numpy()
        tensors |= {f"head.{name}": t.numpy() for name, t in self.head.tensors.items()}
        return Contents(self.sizes, tuple(c.record for c in self.convs), self.head.embedding_zero, tensors)


def quantize(network: Network, pictures: Tensor, settings: Settings, temperature: float = 1.0) -> Quantized:
    """The int8 model of a trained network; `pictures` [N,3,side,side] uint8 set ranges and correct errors.

    Raises ModelError when the encoder holds an operation that the format lacks.
    """
    layers = encoder_layers(network.encoder)
    side, width = pictures.shape[-1], network.shape.width
    cells = _cells(layers, side)
    head, place = head_tensors(network.head, width), place_tensor(network.encoder, cells)
    channel_scale = torch.ones(width)
    if settings.equalize:
        channel_scale = equalize(layers, pictures)
        head["scale"] = head["scale"] / channel_scale.view(-1, 1)
        head["scale_bias"] = head["scale_bias"] / channel_scale
    convs, seen = quantize_encoder(layers, pictures, settings)
    place, place_scale, grid = quantize_place(place * channel_scale, seen.exact, seen.grid, settings)
    tensors, embedding_zero = quantize_head(head, settings)
    sizes = Sizes(
        **_shape(network.shape, side, cells),
        temperature=temperature,
        features_scale=grid.step,
        features_zero=grid.zero,
        place_scale=place_scale,
        pixel_zero=PIXEL_ZERO,
        precision=INT8,
        pixel_scale=PIXEL_SCALE,
    )
    return Quantized(sizes, convs, place, IntegerHead(sizes, embedding_zero, tensors), channel_scale)


def float_contents(network: Network, side: int, temperature: float = 1.0) -> Contents:
    """The float32 model: the same numbers as the network's, in the format's layout. Raises as `quantize` does."""
    layers = encoder_layers(network.encoder)
    cells = _cells(layers, side)
    layers[0].weight = layers[0].weight * PIXEL_SCALE
    tensors: dict[str, Array] = {"head.place": place_tensor(network.encoder, cells).numpy()}
    convs, size = [], side
    for n, layer in enumerate(layers):
        convs.append(_float_record(layer, n, size))
        size = convs[-1].out_side
        tensors[f"conv{n}.weights"] = _arrange(layer.weight, layer.depthwise)
        tensors[f"conv{n}.bias"] = layer.bias.numpy()
    tensors |= {f"head.{name}": t.numpy() for name, t in head_tensors(network.head, network.shape.width).items()}
    sizes = Sizes(
        **_shape(network.shape, side, cells),
        temperature=temperature,
        features_scale=1.0,
        features_zero=0,
        place_scale=1.0,
        pixel_zero=PIXEL_ZERO,
        precision=FLOAT32,
        pixel_scale=PIXEL_SCALE,
    )
    return Contents(sizes, tuple(convs), 0, tensors)


def _cells(layers: list[Layer], side: int) -> int:
    for layer in layers:
        side = -(-side // layer.stride)
    return side


def _shape(shape: Shape, side: int, cells: int) -> dict[str, int]:
    """The fields of Sizes that say how large the network is."""
    return {
        "side": side, "cells": cells, "channels": shape.width, "words": shape.words, "answers": shape.answers,
        "attention": int(shape.attention), "glimpses": shape.glimpses if shape.attention else 0,
        "embedding": shape.embedding, "hidden": shape.hidden, "joint": shape.joint,
    }  # fmt: skip


def _arrange(weight: Tensor, depthwise: bool) -> Array:
    """[outputs, inputs, k, k] as the format has it: [outputs, k, k, inputs]; depthwise [k, k, channels]."""
    arranged = weight[:, 0].permute(1, 2, 0) if depthwise else weight.permute(0, 2, 3, 1)
    return arranged.contiguous().numpy()


def _float_record(layer: Layer, number: int, side: int) -> Conv:
    outputs, inputs, kernel, _ = layer.weight.shape
    assert not isinstance(layer.high, Tensor)
    return Conv(
        depthwise=int(layer.depthwise),
        kernel=kernel,
        stride=layer.stride,
        inputs=outputs if layer.depthwise else inputs,
        outputs=outputs,
        in_side=side,
        out_side=-(-side // layer.stride),
        in_zero=0 if number else PIXEL_ZERO,
        out_zero=0,
        low=max(layer.low, -NO_BOUND),
        high=min(layer.high, NO_BOUND),
        residual=layer.residual,
        residual_scale=1.0 if layer.residual >= 0 else 0.0,
    )
