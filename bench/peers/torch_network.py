"""The network of an `.evqa` model as modules of PyTorch, in float32, and its int8 numbers as PyTorch wants them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge_vqa.evqa_file import Conv
from edge_vqa.evqa_tensors import Array, EvqaModel, head_tensors

from .float_network import as_float32

_ORDER = (1, 0, 2, 3)
"""Of the format's gates (forget, input, candidate, output) in PyTorch (input, forget, candidate, output)."""


def sums_steps(conv: Conv) -> tuple[float, int]:
    """Scale and zero point of sums to which an earlier output is still to be added.

    Those of the result, but where its range is much longer on one side of 0 the sums need that length on both.
    """
    reach = max(conv.out_zero, 255 - conv.out_zero)
    return (conv.out_scale, conv.out_zero) if reach <= 160 else (conv.out_scale * reach / 127, 128)


def ordered(conv: Conv, weights: Array) -> torch.Tensor:
    """The format's weights as [outputs, inputs / groups, kernel, kernel]."""
    turned = weights.transpose(2, 0, 1)[:, None] if conv.depthwise else weights.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(turned).copy())


def weight_steps(model: EvqaModel, number: int) -> Array:
    """float64 [outputs]: what a step of each output's weights stands for."""
    convs = model.file.convs
    given = convs[number - 1].out_scale if number else model.file.sizes.pixel_scale
    steps: Array = model.tensors[f"conv{number}.scale"].astype(np.float64) * convs[number].out_scale / given
    return steps


def real_bias(model: EvqaModel, number: int) -> torch.Tensor:
    """float32 [outputs]"""
    step = model.tensors[f"conv{number}.scale"].astype(np.float64) * model.file.convs[number].out_scale
    return torch.from_numpy((model.tensors[f"conv{number}.bias"] * step).astype(np.float32))


def places(model: EvqaModel) -> torch.Tensor:
    """float32 [1, channels, cells, cells], in real units."""
    sizes = model.file.sizes
    place = model.tensors["head.place"].T * np.float32(sizes.features_scale)
    return torch.from_numpy(np.ascontiguousarray(place).reshape(1, sizes.channels, sizes.cells, sizes.cells))


class FloatEncoder(nn.Module):
    """Pixels uint8 [1, side, side, 3] -> features float32 [1, channels, cells, cells]; `model` is float32."""

    place: torch.Tensor

    def __init__(self, model: EvqaModel) -> None:
        super().__init__()
        self._zero = float(model.file.sizes.pixel_zero)
        self._convs = model.file.convs
        self.layers = nn.ModuleList()
        for number, conv in enumerate(self._convs):
            groups = conv.inputs if conv.depthwise else 1
            layer = nn.Conv2d(conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2, groups=groups)
            weights = ordered(conv, model.tensors[f"conv{number}.weights"])
            # The pixels come in that order, too.
            layer.weight = nn.Parameter(weights.contiguous(memory_format=torch.channels_last), False)
            layer.bias = nn.Parameter(torch.from_numpy(model.tensors[f"conv{number}.bias"].copy()), False)
            self.layers.append(layer)
        self.register_buffer("place", places(model))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.permute(0, 3, 1, 2).float() - self._zero
        outputs: list[torch.Tensor] = []
        for conv, layer in zip(self._convs, self.layers):
            x = layer(x)
            if conv.residual >= 0:
                x = x + outputs[conv.residual]
            if conv.low > -1e38 or conv.high < 1e38:
                x = functional.hardtanh(x, conv.low, conv.high)
            outputs.append(x)
        return x + self.place


class Head(nn.Module):
    """Features [1, channels, cells, cells], ids int64 [1, words] -> logits [1, answers + 1]; float32."""

    score: torch.Tensor
    score_bias: torch.Tensor
    share: torch.Tensor

    def __init__(self, model: EvqaModel) -> None:
        super().__init__()
        plain = as_float32(model)
        self.sizes, head = plain.file.sizes, head_tensors(plain)
        sizes = self.sizes
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array).copy()) for name, array in head.items()}
        self.embedding = nn.Embedding.from_pretrained(tensors["embedding"])
        self.lstm = nn.LSTM(sizes.embedding, sizes.hidden, batch_first=True)
        for mine, name in (("weight_ih_l0", "lstm_x"), ("weight_hh_l0", "lstm_h"), ("bias_ih_l0", "lstm_bias")):
            gates = tensors[name].unflatten(0, (4, sizes.hidden))
            setattr(self.lstm, mine, nn.Parameter(gates[list(_ORDER)].flatten(0, 1).contiguous(), False))
        self.lstm.bias_hh_l0 = nn.Parameter(torch.zeros(4 * sizes.hidden), False)
        names = ("scale", "shift", "question")
        self.of_state = _linear(
            torch.cat([tensors[n] for n in names]), torch.cat([tensors[f"{n}_bias"] for n in names])
        )
        self.picture = _linear(tensors["picture"], tensors["picture_bias"])
        self.answer = _linear(tensors["answer"].T.contiguous(), tensors["answer_bias"])
        if sizes.attention:
            self.register_buffer("score", tensors["score"])
            self.register_buffer("score_bias", tensors["score_bias"][:, None])
            self.register_buffer("share", torch.full((1, 1, sizes.cells**2), 1 / sizes.cells**2))

    def forward(self, features: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        sizes = self.sizes
        state = self.lstm(self.embedding(ids))[0][:, -1]
        scale, shift, asked = self.of_state(state).split([sizes.channels, sizes.channels, sizes.joint], 1)
        cells = features.flatten(2)
        if sizes.attention:
            met = functional.relu(cells * scale[:, :, None] + shift[:, :, None])
            looks = functional.softmax(self.score @ met + self.score_bias, 2)
            # A further row of 1 / cells makes the plain mean over the cells part of the same product.
            pooled = (torch.cat([looks, self.share], 1) @ met.transpose(1, 2)).flatten(1)
        else:
            pooled = functional.relu(cells.mean(2) * scale + shift)
        logits: torch.Tensor = self.answer(functional.relu(self.picture(pooled)) * functional.relu(asked))
        return logits


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    return layer
