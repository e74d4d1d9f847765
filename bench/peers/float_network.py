"""The float32 network that an int8 `.evqa` model stands for, for peers that are faster with it or cannot do otherwise.

The weights are the same numbers, multiplied out; what is left away is the rounding of values between layers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_vqa.evqa_file import FLOAT32, NO_BOUND, PRECISIONS, Conv
from edge_vqa.evqa_tensors import Array, EvqaModel, head_tensors

_OF_STATE = ("lstm_h", "scale", "shift", "question")
"""Matrices whose scale in the format is for an input in 127ths: the LSTM's state."""
_ABOUT_SIX = (5.5, 6.01)
"""A range that ends here was cut at 6 by ReLU6, which runtimes compute along with the convolution; what it was
measured to be is at most a little less."""


def as_float32(model: EvqaModel) -> EvqaModel:
    """The model itself when it is float32 already."""
    file, sizes = model.file, model.file.sizes
    if sizes.precision == FLOAT32:
        return model
    tensors: dict[str, Array] = {}
    for number, conv in enumerate(file.convs):
        # Pixels come in as p - pixel_zero; their scale belongs to the first weights.
        weights, bias, scale = (model.tensors[f"conv{number}.{part}"] for part in ("weights", "bias", "scale"))
        step = scale.astype(np.float64) * conv.out_scale
        given = file.convs[number - 1].out_scale if number else 1.0
        along = step if conv.depthwise else step[:, None, None, None]
        tensors[f"conv{number}.weights"] = (weights * along / given).astype(np.float32)
        tensors[f"conv{number}.bias"] = (bias * step).astype(np.float32)
    tensors |= {f"head.{name}": array for name, array in _head(model).items()}
    plain = replace(
        file,
        sizes=replace(sizes, precision=FLOAT32, features_scale=1.0, features_zero=0, place_scale=1.0, pixel_scale=1.0),
        convs=tuple(_without_steps(conv, number) for number, conv in enumerate(file.convs)),
        embedding_zero=0,
        about={**file.about, "precision": PRECISIONS[FLOAT32]},
    )
    return EvqaModel(plain, tensors)


def _without_steps(conv: Conv, number: int) -> Conv:
    low, high = bounds(conv)
    added = 1.0 if conv.residual >= 0 else 0.0
    given = conv.in_zero if number == 0 else 0
    return replace(
        conv, low=low, high=high, in_zero=given, out_zero=0, out_scale=1.0, residual_scale=added, residual_zero=0
    )


def bounds(conv: Conv) -> tuple[float, float]:
    """What an int8 convolution clamps its real output to; the ends of a byte alone are no bound."""
    low, high = ((bound - conv.out_zero) * conv.out_scale for bound in (conv.low, conv.high))
    if conv.low == 0 and conv.low != conv.out_zero:
        low = -NO_BOUND
        if conv.high == 255:
            high = NO_BOUND
    if conv.low == conv.out_zero and _ABOUT_SIX[0] <= high <= _ABOUT_SIX[1]:
        high = 6.0
    return low, high


def _head(model: EvqaModel) -> dict[str, Array]:
    stored, sizes = head_tensors(model), model.file.sizes
    found: dict[str, Array] = {}
    for name, array in stored.items():
        if array.dtype == np.int8:
            scale = stored[f"{name}_scale"] * np.float32(127 if name in _OF_STATE else 1)
            found[name] = array * scale[:, None]
        elif not (name.endswith("_scale") and name.removesuffix("_scale") in stored):
            found[name] = array
    found["embedding"] = stored["embedding"].astype(np.float32) - np.float32(model.file.embedding_zero)
    found["place"] = stored["place"] * np.float32(sizes.features_scale)
    return found
