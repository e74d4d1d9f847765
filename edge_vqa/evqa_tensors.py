"""The tensors of an `.evqa` file as NumPy arrays, checked so that no sum in the engine can overflow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelError
from .evqa_file import INT8, Conv, EvqaFile, parse_evqa, read_content, write_evqa

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class EvqaModel:
    """A whole file: `tensors` maps the names of EvqaFile.tensors() to read-only arrays of those shapes."""

    file: EvqaFile
    tensors: dict[str, Array]


def load_tensors(path: str | os.PathLike[str]) -> EvqaModel:
    """Read a file, verify its SHA-256 and check every value. Raises ModelError."""
    data = read_content(path)
    file = parse_evqa(Path(path), data)
    tensors = {
        name: np.frombuffer(data, shape.kind, int(np.prod(shape.shape)), file.offsets[name]).reshape(shape.shape)
        for name, shape in file.tensors().items()
    }
    check_tensors(file, tensors)
    return EvqaModel(file, tensors)


def save_tensors(path: Path, file: EvqaFile, tensors: dict[str, Array]) -> None:
    """Write a model. Arrays have the shapes of file.tensors() and are cast to its kinds. Raises ModelError."""
    cast = {}
    for name, shape in file.tensors().items():
        if name not in tensors or tensors[name].shape != shape.shape:
            raise ModelError(f"{path}: the tensor {name} is missing or not of shape {list(shape.shape)}")
        cast[name] = np.ascontiguousarray(tensors[name], shape.kind)
    check_tensors(file, cast)
    write_evqa(path, file, {name: array.tobytes() for name, array in cast.items()})


def check_tensors(file: EvqaFile, tensors: dict[str, Array]) -> None:
    """Raises ModelError where a value is not finite, a scale not above 0, or a sum of int8 could leave its type."""
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(f"{file.path}: {name} holds values that are not numbers")
        _require(file, array.dtype != np.int8 or bool((array != -128).all()), f"{name}: a weight is -128")
        if name.endswith("_scale") or (name.startswith("conv") and name.endswith(".scale")):
            _require(file, bool((array > 0).all()), f"{name} holds a scale that is not above 0")
    if file.sizes.precision == INT8:
        _check_sums(file, tensors)


def _check_sums(file: EvqaFile, tensors: dict[str, Array]) -> None:
    for number, conv in enumerate(file.convs):
        weights, bias, scale = (tensors[f"conv{number}.{part}"] for part in ("weights", "bias", "scale"))
        bound = accumulator_bound(conv, weights, bias)
        _require(file, bool((bound < 1 << 30).all()), f"convolution {number}: its sums could leave 32 bits")
        largest = bound * scale.astype(np.float64) + 255.0 * conv.residual_scale
        _require(file, bool((largest < 1 << 22).all()), f"convolution {number}: its scales are too large to round")
    place = float(np.abs(tensors["head.place"]).max()) + 255.0 * file.sizes.place_scale
    _require(file, place < 1 << 22, "head.place is too large to round")


def accumulator_bound(conv: Conv, weights: Array, bias: Array) -> Array:
    """[outputs] int64: no sum of the convolution's products, in any order, is larger than this."""
    axes = (0, 1) if conv.depthwise else (1, 2, 3)
    bound: Array = 255 * np.abs(weights.astype(np.int64)).sum(axes) + np.abs(bias.astype(np.int64))
    return bound


def head_tensors(model: EvqaModel) -> dict[str, Array]:
    """The head's tensors without the prefix of their names."""
    return {name[5:]: array for name, array in model.tensors.items() if name.startswith("head.")}


def _require(file: EvqaFile, fine: bool, what: str) -> None:
    if not fine:
        raise ModelError(f"{file.path}: {what}")
