"""Small valid `.evqa` files with random weights, int8 or float32, made with NumPy alone.

`PYTHONPATH=. python tests/tiny_model.py FOLDER` writes two of each kind. Scales are chosen so that activations
neither vanish nor saturate everywhere; the answers mean nothing.
"""

from __future__ import annotations

import hashlib
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.evqa_file import FLOAT32, INT8, NO_BOUND, PRECISIONS, Conv, EvqaFile, Sizes
from edge_vqa.evqa_tensors import save_tensors


@dataclass(frozen=True)
class Kind:
    """Layers are (d)epthwise 3x3, (c)onvolution 3x3 or (p)ointwise, outputs, stride, (r)esidual: how far back or 0."""

    side: int
    layers: tuple[tuple[str, int, int, int], ...]
    attention: bool = True
    glimpses: int = 2
    embedding: int = 12
    hidden: int = 24
    joint: int = 40
    words: tuple[str, ...] = ("mon", "nay", "gi")
    answers: tuple[str, ...] = ("có", "không", "cơm tấm")


_MOBILE = (
    ("c", 8, 2, 0), ("d", 8, 1, 0), ("p", 16, 1, 0),
    ("p", 40, 1, 0), ("d", 40, 2, 0), ("p", 24, 1, 0),
    ("p", 72, 1, 0), ("d", 72, 1, 0), ("p", 24, 1, 3),
    ("p", 72, 1, 0), ("d", 72, 1, 0), ("p", 24, 1, 3),
    ("p", 72, 1, 0), ("d", 72, 2, 0), ("p", 40, 1, 0),
    ("p", 104, 1, 0), ("d", 104, 2, 0), ("p", 40, 1, 0),
    ("p", 136, 1, 0), ("d", 136, 2, 0), ("p", 72, 1, 0), ("p", 56, 1, 0),
)  # fmt: skip
_DENSE = (
    ("c", 24, 2, 0), ("c", 40, 2, 0), ("c", 40, 1, 0), ("c", 48, 2, 0), ("c", 24, 1, 0), ("c", 64, 2, 0),
    ("c", 72, 2, 0), ("p", 48, 1, 0),
)  # fmt: skip
_ODD = (
    ("c", 7, 2, 0), ("d", 7, 1, 0), ("p", 13, 1, 0), ("c", 13, 1, 0), ("p", 13, 1, 2), ("c", 5, 2, 0), ("p", 17, 1, 0),
    ("d", 17, 2, 0), ("p", 17, 2, 0), ("c", 33, 1, 0), ("c", 17, 1, 2),
)  # fmt: skip

KINDS = {
    "mobile-attention": Kind(64, _MOBILE),
    "mobile": Kind(32, _MOBILE, attention=False, hidden=40, joint=24),
    "dense-attention": Kind(64, _DENSE, glimpses=1, embedding=24, hidden=16),
    "dense": Kind(32, _DENSE, attention=False),
    "odd-attention": Kind(
        45, _ODD, glimpses=3, embedding=5, hidden=10, joint=11, words=("co", "tom", "ca", "rot"), answers=("có",)
    ),
    "odd": Kind(45, _ODD, attention=False, embedding=7, hidden=9, joint=13, answers=tuple("abcdefghijklmnopq")),
}


class Random:
    """Numbers that are the same on every machine and with every NumPy, which NumPy's own generators do not promise."""

    def __init__(self, seed: int) -> None:
        self._seed, self._drawn = seed, 0

    def integers(self, low: int, high: int, shape: tuple[int, ...] = ()) -> Any:
        """Int64 from `low` to `high` - 1; `high` - `low` is far below 2^32."""
        self._drawn += 1
        count = math.prod(shape)
        data = hashlib.shake_128(f"{self._seed} {self._drawn}".encode()).digest(4 * count)
        return (np.frombuffer(data, "<u4").astype(np.int64) % (high - low) + low).reshape(shape)

    def uniform(self, low: float, high: float, shape: tuple[int, ...] = ()) -> Any:
        return low + (high - low) * (self.integers(0, 1 << 16, shape) / (1 << 16))

    def normal(self, deviation: float, shape: tuple[int, ...]) -> Any:
        """Around 0, nearly normal: the sum of twelve uniform numbers, never beyond 6 deviations."""
        total = self.integers(0, 1 << 16, (12, *shape)).sum(0)
        return (total / (1 << 16) - 6) * deviation


def make_model(path: Path, kind: str, seed: int = 0, precision: int = INT8) -> Path:
    """Write the model of this kind, seed and precision; returns `path`."""
    rng = Random(seed)
    k = KINDS[kind]
    real = precision == FLOAT32
    tensors: dict[str, Any] = {}
    convs: list[Conv] = []
    shape = (3, k.side, 128)
    for layer in k.layers:
        conv = (_float_conv if real else _conv)(rng, convs, shape, layer)
        (_fill_float_conv if real else _fill_conv)(rng, tensors, conv, len(convs))
        convs.append(conv)
        shape = (conv.outputs, conv.out_side, conv.out_zero)
    sizes = Sizes(
        side=k.side, cells=shape[1], channels=shape[0], words=len(k.words) + 2, answers=len(k.answers),
        attention=int(k.attention), glimpses=k.glimpses if k.attention else 0, embedding=k.embedding, hidden=k.hidden,
        joint=k.joint, temperature=1.25, features_scale=1.0 if real else 0.05, features_zero=0 if real else 9,
        place_scale=1.0 if real else 0.75, pixel_zero=128, precision=precision,
    )  # fmt: skip
    if not real:
        convs = _with_out_scales(convs, sizes)
    (_fill_float_head if real else _fill_head)(rng, tensors, sizes)
    about = {"name": f"tiny-{kind}", "precision": PRECISIONS[precision], "licence": "MIT"}
    file = EvqaFile(path, about, k.words, k.answers, sizes, tuple(convs), embedding_zero=0 if real else 113)
    save_tensors(path, file, tensors)
    return path


def _conv(rng: Random, before: list[Conv], shape: tuple[int, int, int], layer: tuple[str, int, int, int]) -> Conv:
    """Linear (zero point inside) where a pointwise one narrows or adds, else clamped below at its zero point 0."""
    linear = _is_linear(shape, layer)
    plain = _shape(before, shape, layer)
    return replace(
        plain, out_zero=int(rng.integers(100, 150)) if linear else 0,
        high=255 if linear else int(rng.integers(200, 256)),
        residual_scale=float(np.float32(rng.uniform(0.5, 1))) if plain.residual >= 0 else 0.0,
        residual_zero=before[plain.residual].out_zero if plain.residual >= 0 else 0,
    )  # fmt: skip


def _float_conv(rng: Random, before: list[Conv], shape: tuple[int, int, int], layer: tuple[str, int, int, int]) -> Conv:
    """Without bounds where a pointwise one narrows or adds, else clamped to 0 to 6."""
    plain = _shape(before, shape, layer)
    low, high = (-NO_BOUND, NO_BOUND) if _is_linear(shape, layer) else (0.0, 6.0)
    return replace(plain, low=low, high=high, residual_scale=1.0 if plain.residual >= 0 else 0.0)


def _is_linear(shape: tuple[int, int, int], layer: tuple[str, int, int, int]) -> bool:
    kind, outputs, _, back = layer
    return kind == "p" and (outputs < shape[0] or back > 0)


def _shape(before: list[Conv], shape: tuple[int, int, int], layer: tuple[str, int, int, int]) -> Conv:
    kind, outputs, stride, back = layer
    inputs, side, zero = shape
    return Conv(
        depthwise=int(kind == "d"), kernel=1 if kind == "p" else 3, stride=stride, inputs=inputs, outputs=outputs,
        in_side=side, out_side=-(-side // stride), in_zero=zero, out_zero=0, low=0, high=255,
        residual=len(before) - back if back else -1,
    )  # fmt: skip


def _with_out_scales(convs: list[Conv], sizes: Sizes) -> list[Conv]:
    """Steps of the outputs in which residual_scale and place_scale are the ratios they stand for."""
    scales: list[float] = []
    for number, conv in enumerate(convs):
        scales.append(scales[conv.residual] / conv.residual_scale if conv.residual >= 0 else 0.02 + number / 1000)
    factor = sizes.features_scale * sizes.place_scale / scales[-1]
    return [replace(conv, out_scale=float(np.float32(s * factor))) for conv, s in zip(convs, scales)]


def _fill_conv(rng: Random, tensors: dict[str, Any], conv: Conv, number: int) -> None:
    for name, shape in conv.tensors(number).items():
        part = name.split(".")[1]
        if part == "weights":
            tensors[name] = _weights(rng, shape.shape)
            terms = conv.kernel**2 * (1 if conv.depthwise else conv.inputs)
            spread = 60.0 * 70.0 * math.sqrt(terms)  # of the sums: typical input times typical weight
        elif part == "bias":
            tensors[name] = rng.normal(spread / 2, shape.shape).astype(np.int32)
        else:
            tensors[name] = (rng.uniform(30, 60, shape.shape) / spread).astype(np.float32)


def _fill_float_conv(rng: Random, tensors: dict[str, Any], conv: Conv, number: int) -> None:
    terms = conv.kernel**2 * (1 if conv.depthwise else conv.inputs)
    size = math.sqrt(2 / terms) / (64 if number == 0 else 1)  # pixels lie around 0, 64 away
    shapes = conv.tensors(number, FLOAT32)
    for part, deviation in (("weights", size), ("bias", 0.5)):
        tensors[f"conv{number}.{part}"] = rng.normal(deviation, shapes[f"conv{number}.{part}"].shape).astype(np.float32)


def _weights(rng: Random, shape: tuple[int, ...]) -> Any:
    """Normal, with -127 and 127 among them."""
    weights = np.clip(np.rint(rng.normal(70, shape)), -127, 127).astype(np.int8)
    weights.flat[:: max(1, weights.size // 5)] = -127
    return weights


def _fill_head(rng: Random, tensors: dict[str, Any], sizes: Sizes) -> None:
    for name, shape in sizes.tensors().items():
        part = name.split(".")[1]
        columns = max(1, shape.shape[-1])
        if shape.kind == "|u1":
            tensors[name] = rng.integers(0, 256, shape.shape).astype(np.uint8)
        elif shape.kind == "|i1":
            tensors[name] = _weights(rng, shape.shape)
            reach = 1.0 / (70 * 60 * math.sqrt(columns))
        elif part.endswith("_scale"):
            tensors[name] = (rng.uniform(0.5, 2, shape.shape) * reach).astype(np.float32)
        else:
            deviation = {"place": 20.0, "score": 1 / math.sqrt(columns), "answer": 1.0}.get(part, 0.3)
            tensors[name] = rng.normal(deviation, shape.shape).astype(np.float32)
    tensors["head.scale_bias"] = tensors["head.scale_bias"] + np.float32(1)


def _fill_float_head(rng: Random, tensors: dict[str, Any], sizes: Sizes) -> None:
    for name, shape in sizes.tensors().items():
        part = name.split(".")[1]
        if not part.endswith("_scale"):
            plain = part.endswith("_bias") or part in ("place", "embedding")
            deviation = 0.5 if plain else 1 / math.sqrt(shape.shape[-1])
            tensors[name] = rng.normal(deviation, shape.shape).astype(np.float32)
    tensors["head.scale_bias"] = tensors["head.scale_bias"] + np.float32(1)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for precision, name in enumerate(PRECISIONS):
            print(make_model(folder / f"tiny-{kind}-{name}.evqa", kind, precision=precision))


if __name__ == "__main__":
    main()
