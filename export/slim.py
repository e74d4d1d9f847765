"""Cut a trained network down to a narrower one: each layer keeps the channels that matter most to the next."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .models import Encoder, Head

_Module = Any
"""A part of a network whose types do not say what lies inside it."""


@torch.no_grad()
def slim_encoder(wide: Encoder, narrow: Encoder) -> None:
    """Fill `narrow` (MobileNetV2, no wider or longer than `wide`) with the most important channels of `wide`.

    A channel weighs |gamma| * |w|: the scale that BatchNorm gives it, times the length of the weights that read it
    (Liu et al. 2017, "Learning efficient convolutional networks through network slimming", with the reader's weights).
    Channels along a chain of residual blocks are the same in all of them, so their weights are summed. Projection and
    positions are copied, which needs the same `width`; without the last convolution the projection stays as it is.
    """
    source: list[_Module] = list(wide.backbone)
    target: list[_Module] = list(narrow.backbone)
    project: list[_Module] = [wide.project, narrow.project]
    blocks_kept = sum(hasattr(layer, "conv") for layer in target)
    kept = _best(_scale(source[0][1]) * _reading(source[1].conv[0][0]), target[0][0].out_channels)
    _copy(source[0][0], target[0][0], kept, None)
    _copy_norm(source[0][1], target[0][1], kept)
    for chain in _chains(source[1 : 1 + blocks_kept]):
        blocks = [(source[1 + n].conv, target[1 + n].conv) for n in chain]
        after = source[2 + chain[-1]]
        readers = [conv[0][0] for conv, _ in blocks[1:]]
        readers.append(after.conv[0][0] if hasattr(after, "conv") else after[0])
        weight = sum(_scale(conv[-1]) for conv, _ in blocks) * sum(_reading(r) for r in readers)
        assert isinstance(weight, Tensor)
        outputs = _best(weight, blocks[0][1][-1].num_features)
        for conv, narrower in blocks:
            _slim_block(conv, narrower, kept, outputs)
            kept = outputs
    project[1][1].load_state_dict(project[0][1].state_dict())
    narrow.position.load_state_dict(wide.position.state_dict())
    if hasattr(target[-1], "conv"):
        return
    last = _best(_scale(source[-1][1]) * _reading(project[0][0]), target[-1][0].out_channels)
    if len(target) == len(source):
        _copy(source[-1][0], target[-1][0], last, kept)
        _copy_norm(source[-1][1], target[-1][1], last)
    _copy(project[0][0], project[1][0], None, last)


def _chains(blocks: list[_Module]) -> list[list[int]]:
    """Numbers of the blocks, grouped: a block and the residual ones that follow it."""
    chains: list[list[int]] = []
    for number, block in enumerate(blocks):
        if block.use_res_connect:
            chains[-1].append(number)
        else:
            chains.append([number])
    return chains


def _slim_block(wide: _Module, narrow: _Module, inputs: Tensor, outputs: Tensor) -> None:
    """One inverted residual: [expansion,] depthwise, projection, each with BatchNorm."""
    depthwise, narrow_depthwise = wide[-3], narrow[-3]
    hidden = inputs
    if len(wide) == 4:
        hidden = _best(_scale(depthwise[1]) * _reading(wide[-2]), narrow_depthwise[0].out_channels)
        _copy(wide[0][0], narrow[0][0], hidden, inputs)
        _copy_norm(wide[0][1], narrow[0][1], hidden)
    _copy(depthwise[0], narrow_depthwise[0], hidden, None)
    _copy_norm(depthwise[1], narrow_depthwise[1], hidden)
    _copy(wide[-2], narrow[-2], outputs, hidden)
    _copy_norm(wide[-1], narrow[-1], outputs)


def _scale(norm: nn.BatchNorm2d) -> Tensor:
    return norm.weight.abs()


def _reading(conv: nn.Conv2d) -> Tensor:
    """[inputs]: the length of the weights that read each input channel."""
    return conv.weight.square().sum((1, 2, 3) if conv.groups > 1 else (0, 2, 3)).sqrt()


def _best(weight: Tensor, count: int) -> Tensor:
    """The numbers of the `count` heaviest channels, ascending."""
    return weight.topk(count).indices.sort().values


def _copy(wide: nn.Conv2d, narrow: nn.Conv2d, outputs: Tensor | None, inputs: Tensor | None) -> None:
    weight = wide.weight if outputs is None else wide.weight[outputs]
    narrow.weight.copy_(weight if inputs is None else weight[:, inputs])


def _copy_norm(wide: nn.BatchNorm2d, narrow: nn.BatchNorm2d, kept: Tensor) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(narrow, name).copy_(getattr(wide, name)[kept])


@torch.no_grad()
def slim_head(wide: Head, narrow: Head) -> None:
    """Fill `narrow` with the most important units of `wide`; both look at features of the same `width`.

    Word vectors are projected on their principal axes, which loses least of them for so many numbers a word. LSTM and
    joint units weigh what their readers' weights do, as channels in `slim_encoder`.
    """
    table = wide.embedding.weight
    axes = torch.eye(table.shape[1])
    if narrow.embedding.embedding_dim < table.shape[1]:
        axes = torch.linalg.svd(table).Vh[: narrow.embedding.embedding_dim]
    narrow.embedding.weight.copy_(table @ axes.T)
    readers = (wide.scale, wide.shift, wide.join_question)
    reading = sum(layer.weight.square().sum(0) for layer in readers)
    assert isinstance(reading, Tensor)
    hidden = _best(reading, narrow.lstm.hidden_size)
    lstm: list[_Module] = [wide.lstm, narrow.lstm]
    gates = torch.cat([hidden + gate * wide.lstm.hidden_size for gate in range(4)])
    lstm[1].weight_ih_l0.copy_(lstm[0].weight_ih_l0[gates] @ axes.T)
    lstm[1].weight_hh_l0.copy_(lstm[0].weight_hh_l0[gates][:, hidden])
    for name in ("bias_ih_l0", "bias_hh_l0"):
        getattr(lstm[1], name).copy_(getattr(lstm[0], name)[gates])
    for name in ("scale", "shift"):
        getattr(narrow, name).weight.copy_(getattr(wide, name).weight[:, hidden])
        getattr(narrow, name).bias.copy_(getattr(wide, name).bias)
    if wide.attention:
        narrow.score.load_state_dict(wide.score.state_dict())
    sides = [layer.weight.square().sum(1).sqrt() for layer in (wide.join_picture, wide.join_question)]
    joint = _best(sides[0] * sides[1] * wide.answer.weight.square().sum(0).sqrt(), narrow.answer.in_features)
    narrow.join_picture.weight.copy_(wide.join_picture.weight[joint])
    narrow.join_question.weight.copy_(wide.join_question.weight[joint][:, hidden])
    for name in ("join_picture", "join_question"):
        getattr(narrow, name).bias.copy_(getattr(wide, name).bias[joint])
    narrow.answer.weight.copy_(wide.answer.weight[:, joint])
    narrow.answer.bias.copy_(wide.answer.bias)
