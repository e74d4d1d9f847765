"""Signatures of .tflite files."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_vqa.errors import EngineError

from .figures import Array


def ask_signature(interpreter: Any) -> Any:
    """The runner of the signature from pixels and ids to logits. Raises EngineError when there is none."""
    for key, names in interpreter.get_signature_list().items():
        if {"pixels", "ids"} <= set(names["inputs"]) and "logits" in names["outputs"]:
            return interpreter.get_signature_runner(key)
    raise EngineError("the file has no signature from pixels and ids to logits")


def fit(value: Array, detail: dict[str, Any]) -> Array:
    """An input as a signature takes it: its dtype, and 0 up to the length where that is fixed and longer."""
    shape = [max(int(have), int(want)) for have, want in zip(value.shape, detail["shape"], strict=True)]
    filled = np.zeros(shape, detail["dtype"])
    filled[tuple(slice(n) for n in value.shape)] = value
    return filled
