"""The head's tensors as docs/evqa-format.md names them: float32, and int8 made of those."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models import Encoder, Head, position_features
from .ranges import Grid, activation_grid, round_weight, weight_steps
from .settings import Settings

_STATE_STEPS = 127
"""The LSTM's state h, -1 to 1, is held as rint(h * 127)."""
_MATRICES = ("lstm_x", "lstm_h", "scale", "shift", "question", "picture")


@torch.inference_mode()
def head_tensors(head: Head, channels: int) -> dict[str, Tensor]:
    """All but `place`, in float32; without attention there is no score."""
    lstm = dict(head.lstm.named_parameters())
    tensors = {
        "embedding": head.embedding.weight,
        "lstm_x": _format_gates(lstm["weight_ih_l0"]),
        "lstm_h": _format_gates(lstm["weight_hh_l0"]),
        "lstm_bias": _format_gates(lstm["bias_ih_l0"] + lstm["bias_hh_l0"]),
        "answer": head.answer.weight.T,
        "answer_bias": head.answer.bias,
        "picture": head.join_picture.weight,
        "picture_bias": head.join_picture.bias,
    }
    for name, layer in (("scale", head.scale), ("shift", head.shift), ("question", head.join_question)):
        tensors |= {name: layer.weight, f"{name}_bias": layer.bias}
    if head.attention:
        assert head.score.bias is not None
        tensors |= {"score": head.score.weight.squeeze(2), "score_bias": head.score.bias}
        tensors["picture"] = _glimpse_after_glimpse(head.join_picture.weight, channels, head.glimpses)
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}


def _format_gates(rows: Tensor) -> Tensor:
    """PyTorch's gates (input, forget, candidate, output) in the format's order (forget, input, candidate, output)."""
    take, forget, candidate, give = rows.chunk(4)
    return torch.cat([forget, take, candidate, give])


def _glimpse_after_glimpse(picture: Tensor, channels: int, glimpses: int) -> Tensor:
    """The network pools channel by channel, glimpses side by side; the format glimpse by glimpse; the mean is last."""
    glimpsed, mean = picture.split([channels * glimpses, channels], 1)
    by_channel = glimpsed.reshape(-1, channels, glimpses)
    return torch.cat([by_channel.transpose(1, 2).flatten(1), mean], 1)


@torch.inference_mode()
def place_tensor(encoder: Encoder, cells: int) -> Tensor:
    """[cells * cells, channels]: what each cell's position adds to its features."""
    return (position_features(cells, cells).flatten(1).T @ encoder.position.weight.T).contiguous()


@torch.inference_mode()
def quantize_head(tensors: dict[str, Tensor], settings: Settings) -> tuple[dict[str, Tensor], int]:
    """The int8 tensors, and the embedding's zero point."""
    words = activation_grid(tensors["embedding"], Settings(activation_range="max"))
    made = dict(tensors) | {"embedding": words.round(tensors["embedding"])}
    units = dict.fromkeys(_MATRICES, 1 / _STATE_STEPS) | {"lstm_x": words.step, "picture": 1.0}
    for name, unit in units.items():
        steps = weight_steps(tensors[name], settings)
        made[name] = round_weight(tensors[name], steps.view(-1, 1)).to(torch.int8)
        made[f"{name}_scale"] = (steps.double() * unit).float()
    return made, words.zero


def quantize_place(place: Tensor, seen: Tensor, seen_grid: Grid, settings: Settings) -> tuple[Tensor, float, Grid]:
    """head.place in steps of the features, place_scale, and the features' grid.

    `place` is [cells^2, C]; `seen` [N,C,cells,cells] what the last convolution gives for the calibration pictures.
    """
    features = seen.flatten(2).transpose(1, 2) + place
    chosen = activation_grid(features, settings)
    return place / chosen.step, float(torch.tensor(seen_grid.step / chosen.step)), chosen
