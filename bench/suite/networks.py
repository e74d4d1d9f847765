"""Networks with random weights as `.evqa` files in int8, made with NumPy alone: for times, their answers mean nothing.

What they compute is as exact as in any other model, so an engine's bits can be compared on them with the reference's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_vqa.evqa_file import Conv, EvqaFile, Sizes
from edge_vqa.evqa_tensors import Array, save_tensors

from .layers import Filter, Layer

PIXEL_ZERO = 128
MOST_CELLS = 64
"""Cells each way that the file format allows."""


@dataclass(frozen=True)
class Head:
    """Sizes of the part that answers; as they stand, the released model's."""

    words: int = 331
    answers: int = 111
    attention: bool = True
    glimpses: int = 2
    embedding: int = 96
    hidden: int = 192
    joint: int = 384


SMALL_HEAD = Head(words=4, answers=2, glimpses=1, embedding=4, hidden=8, joint=8)


def make_network(path: Path, side: int, filters: Sequence[Filter], head: Head, seed: int = 0) -> EvqaFile:
    """Write a network for pictures of `side` pixels. Its features are its last convolution's output, bit by bit.

    Raises ModelError when it is none that the format allows.
    """
    random = np.random.default_rng(seed)
    convs: list[Conv] = []
    tensors: dict[str, Array] = {}
    for f in filters:
        conv = _conv(convs, side, f)
        tensors |= _conv_tensors(random, conv, len(convs))
        convs.append(conv)
    return _write(path, side, convs, tensors, head, random)


def make_layer(path: Path, layer: Layer, seed: int = 0) -> tuple[EvqaFile, int]:
    """Write a network around this layer; returns it and which convolution is the layer's first.

    A convolution of 1x1 makes the layer's inputs of the picture. A map that is larger than features may be is folded
    behind the layer: four neighbours become one cell of four times as many channels, and no bit is lost.
    """
    random = np.random.default_rng(seed)
    before = [] if layer.inputs == 3 else [Filter(False, 1, 1, layer.inputs)]
    convs: list[Conv] = []
    tensors: dict[str, Array] = {}
    for f in (*before, *layer.filters()):
        conv = _conv(convs, layer.height, f)
        tensors |= _conv_tensors(random, conv, len(convs))
        convs.append(conv)
    while convs[-1].out_side > MOST_CELLS:
        conv, folding = _fold(convs[-1], len(convs))
        tensors |= folding
        convs.append(conv)
    return _write(path, layer.height, convs, tensors, SMALL_HEAD, random), len(before)


def _conv(before: Sequence[Conv], side: int, f: Filter) -> Conv:
    """Linear, with a zero point inside, where it narrows or adds; else clamped below at its zero point 0."""
    inputs, in_side, in_zero = (
        (before[-1].outputs, before[-1].out_side, before[-1].out_zero) if before else (3, side, PIXEL_ZERO)
    )
    linear = f.kernel == 1 and (f.outputs < inputs or f.back > 0)
    added = before[-f.back] if f.back else None
    return Conv(
        depthwise=int(f.depthwise), kernel=f.kernel, stride=f.stride, inputs=inputs, outputs=f.outputs,
        in_side=in_side, out_side=-(-in_side // f.stride), in_zero=in_zero, out_zero=PIXEL_ZERO if linear else 0,
        low=0, high=255, residual=len(before) - f.back if added else -1, residual_scale=0.75 if added else 0.0,
        residual_zero=added.out_zero if added else 0,
    )  # fmt: skip


def _conv_tensors(random: np.random.Generator, conv: Conv, number: int) -> dict[str, Array]:
    """Scales spread typical sums over the bytes: neither all 0 nor all at a bound."""
    shapes = {name.split(".")[1]: shape.shape for name, shape in conv.tensors(number).items()}
    terms = conv.kernel**2 * (1 if conv.depthwise else conv.inputs)
    spread = 60.0 * 70.0 * math.sqrt(terms)
    weights = np.clip(np.rint(random.normal(0, 70, shapes["weights"])), -127, 127)
    values: dict[str, Array] = {
        "weights": weights.astype(np.int8),
        "bias": random.normal(0, spread / 2, shapes["bias"]).astype(np.int32),
        "scale": (random.uniform(30, 60, shapes["scale"]) / spread).astype(np.float32),
    }
    return {f"conv{number}.{part}": value for part, value in values.items()}


def _fold(taken: Conv, number: int) -> tuple[Conv, dict[str, Array]]:
    """The convolution that lays each 2 x 2 cells of `taken` into one cell, unchanged."""
    if taken.out_side % 2:
        raise ValueError(f"a map of {taken.out_side} cells each way is too large, and cannot be folded")
    channels, zero = taken.outputs, taken.out_zero
    weights = np.zeros((4, channels, 3, 3, channels), np.int8)
    for quarter in range(4):
        for c in range(channels):
            weights[quarter, c, 1 + quarter // 2, 1 + quarter % 2, c] = 1
    conv = Conv(
        depthwise=0, kernel=3, stride=2, inputs=channels, outputs=4 * channels, in_side=taken.out_side,
        out_side=taken.out_side // 2, in_zero=zero, out_zero=zero, low=0, high=255,
    )  # fmt: skip
    return conv, {
        f"conv{number}.weights": weights.reshape(4 * channels, 3, 3, channels),
        f"conv{number}.bias": np.zeros(4 * channels, np.int32),
        f"conv{number}.scale": np.ones(4 * channels, np.float32),
    }


def _write(
    path: Path, side: int, convs: Sequence[Conv], tensors: dict[str, Array], head: Head, random: np.random.Generator
) -> EvqaFile:
    last = convs[-1]
    sizes = Sizes(
        side=side, cells=last.out_side, channels=last.outputs, words=head.words, answers=head.answers,
        attention=int(head.attention), glimpses=head.glimpses if head.attention else 0, embedding=head.embedding,
        hidden=head.hidden, joint=head.joint, temperature=1.0, features_scale=0.05, features_zero=last.out_zero,
        place_scale=1.0, pixel_zero=PIXEL_ZERO,
    )  # fmt: skip
    words = tuple(f"w{i}" for i in range(head.words - 2))
    answers = tuple(f"a{i}" for i in range(head.answers))
    about = {"name": path.stem, "precision": "int8", "licence": "MIT"}
    file = EvqaFile(path, about, words, answers, sizes, tuple(convs), embedding_zero=PIXEL_ZERO)
    save_tensors(path, file, tensors | _head_tensors(random, sizes))
    return file


def _head_tensors(random: np.random.Generator, sizes: Sizes) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, shape in sizes.tensors().items():
        columns = max(1, shape.shape[-1])
        if name == "head.place":
            found[name] = np.zeros(shape.shape, np.float32)
        elif shape.kind == "|u1":
            found[name] = random.integers(0, 256, shape.shape, np.uint8)
        elif shape.kind == "|i1":
            found[name] = random.integers(-127, 128, shape.shape, np.int8)
            reach = 1 / (4200 * math.sqrt(columns))
        elif name.endswith("_scale"):
            found[name] = (random.uniform(0.5, 2, shape.shape) * reach).astype(np.float32)
        else:
            found[name] = random.normal(0, 1 / math.sqrt(columns), shape.shape).astype(np.float32)
    return found
