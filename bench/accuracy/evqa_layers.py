"""What an .evqa file computes layer by layer, by the reference engine, in real units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_vqa.engines import reference
from edge_vqa.evqa_tensors import head_tensors, load_tensors

from .layers import Array, Layers, Run


def evqa_layers(path: Path) -> Run:
    """Raises ModelError when the file is damaged. A value q stands for (q - zero point) * step."""
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
        state = reference.read_question(model, head_tensors(model), ids)
        values["state"] = state / np.float32(127) if state.dtype == np.int8 else state
        values["logits"] = np.array(engine.answer(features, ids)[0], np.float32)
        return values

    return run
