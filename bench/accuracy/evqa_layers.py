"""What an .evqa file computes layer by layer, by the reference engine, in real units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_vqa.engines import reference
from edge_vqa.evqa_tensors import EvqaModel, head_tensors, load_tensors

from .layers import Array, Layers, Run


def evqa_layers(path: Path) -> Run:
    """Raises ModelError when the file is damaged. An int8 value q stands for (q - zero point) * step."""
    model = load_tensors(path)
    engine, sizes = reference.ReferenceEngine(model), model.file.sizes

    def run(pixels: Array, ids: Sequence[int]) -> Layers:
        maps = reference.encode(model, pixels)
        features = reference.place(model, maps[-1])
        values = {
            f"conv{n}": (seen.astype(np.float32) - np.float32(conv.out_zero)) * np.float32(conv.out_scale)
            for n, (conv, seen) in enumerate(zip(model.file.convs, maps, strict=True))
        }
        centred = features.astype(np.float32) - np.float32(sizes.features_zero)
        values["features"] = (centred * np.float32(sizes.features_scale)).reshape(sizes.cells, sizes.cells, -1)
        values["state"] = _state(model, ids)
        values["logits"] = np.array(engine.answer(features, ids)[0], np.float32)
        return values

    return run


def _state(model: EvqaModel, ids: Sequence[int]) -> Array:
    """The LSTM's state after the last word, float32 [hidden], -1 to 1; int8 holds it in steps of 1/127."""
    head, sizes = head_tensors(model), model.file.sizes
    state, cell = np.zeros(sizes.hidden, np.int8), np.zeros(sizes.hidden, np.float32)
    for i in ids:
        state, cell = reference.lstm_step(head, head["embedding"][i], model.file.embedding_zero, state, cell)
    return state.astype(np.float32) / np.float32(127)
