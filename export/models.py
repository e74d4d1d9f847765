"""The four networks: an encoder that sees a picture once, a head that reads a question and answers it.

    pixels [B,3,H,W] uint8 values as float ──► Encoder ──► features [B, C, h, w]      (h = H / 32)
    ids [N,L], lengths [N], features [N,C,h,w] ──► Head ──► logits [N, answers + 1], attention [N, h, w]

The last logit stands for "this question cannot be answered from such a picture".
C is `width` below. The encoder ends in a 1x1 projection and the cells' positions, so that everything that depends on
the picture alone is computed once a picture and a further question costs only the head.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .torchvision_import import InvertedResidual, mobilenet_v2

PIXEL_SCALE, PIXEL_ZERO = 1 / 127.5, 128
"""A pixel p enters the network as (p - PIXEL_ZERO) * PIXEL_SCALE."""

NAMES = ("mobilenetv2-lstm-attention", "mobilenetv2-lstm", "cnn-lstm-attention", "cnn-lstm")


@dataclass(frozen=True)
class Shape:
    """Sizes of a network. `words` and `answers` come from the data, the rest from the configuration file."""

    name: str
    words: int
    answers: int
    width: int = 256
    embedding: int = 96
    hidden: int = 192
    joint: int = 384
    glimpses: int = 2
    dropout: float = 0.3
    embedding_dropout: float = 0.1
    multiplier: float = 1.0
    """MobileNetV2's width multiplier: its channels times this, rounded to multiples of 8 (Sandler et al. 2018)."""
    last: int = 1280
    """Channels of MobileNetV2's last 1x1 convolution, before the projection; 0 leaves it out."""
    blocks: int = 17
    """How many of MobileNetV2's 17 inverted residual blocks there are."""
    tail_expansion: int = 6
    """Expansion of the blocks after the 14th, on the smallest map, where most of the weights are."""

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"unknown model {self.name!r}; known: {', '.join(NAMES)}")

    @property
    def attention(self) -> bool:
        return self.name.endswith("-attention")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def conv_bn_relu6(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


def plain_cnn() -> nn.Sequential:
    """Five stride-2 steps of 3x3 convolutions to 256 channels at 1/32 of the picture: 1.7 M weights."""
    return nn.Sequential(
        conv_bn_relu6(3, 32, stride=2),
        conv_bn_relu6(32, 64, stride=2),
        conv_bn_relu6(64, 96, stride=2),
        conv_bn_relu6(96, 96),
        conv_bn_relu6(96, 192, stride=2),
        conv_bn_relu6(192, 192),
        conv_bn_relu6(192, 256, stride=2),
        conv_bn_relu6(256, 256),
    )


def mobilenet_backbone(shape: Shape) -> tuple[nn.Sequential, int]:
    """MobileNetV2's features as `shape` wants them, and how many channels they give."""
    features = mobilenet_v2(weights=None, width_mult=shape.multiplier).features
    layers = list(features[: 1 + shape.blocks])
    for n in range(15, len(layers)):
        inputs, outputs = layers[n].conv[0][0].in_channels, layers[n].out_channels
        layers[n] = InvertedResidual(inputs, outputs, layers[n].stride, shape.tail_expansion)
    channels = layers[-1].out_channels
    if shape.last:
        layers.append(conv_bn_relu6(channels, shape.last, kernel=1))
    return nn.Sequential(*layers), shape.last or channels


def position_features(h: int, w: int) -> Tensor:
    """[8, h, w]: polynomials and low sine waves of each cell's centre, x and y from -1 to 1, for any map size."""
    y = (torch.arange(h) + 0.5) / h * 2 - 1
    x = (torch.arange(w) + 0.5) / w * 2 - 1
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack(
        [x, y, x * x, y * y, x * y, torch.sin(torch.pi * x), torch.sin(torch.pi * y), torch.ones_like(x)]
    )


class Encoder(nn.Module):
    """Backbone, projection to `width` channels, positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        if shape.name.startswith("mobilenetv2"):
            self.backbone, channels = mobilenet_backbone(shape)
        else:
            self.backbone, channels = plain_cnn(), 256
        self.project = conv_bn_relu6(channels, shape.width, kernel=1)
        self.position = nn.Linear(8, shape.width, bias=False)

    def see(self, pixels: Tensor) -> Tensor:
        """Projected features without positions; `pixels` [B,3,H,W] holds values from 0 to 255.

        The zero point is a whole pixel value, so that a quantized first convolution takes raw pixels and pads with it.
        """
        return self.project(self.backbone((pixels - PIXEL_ZERO) * PIXEL_SCALE))

    def place(self, seen: Tensor) -> Tensor:
        """Add what each cell's position means."""
        grid = position_features(*seen.shape[-2:]).to(seen)
        return seen + self.position(grid.flatten(1).T).T.reshape(1, -1, *seen.shape[-2:])

    def forward(self, pixels: Tensor) -> Tensor:
        return self.place(self.see(pixels))


class Head(nn.Module):
    """LSTM over the words; the question's state scales and shifts every cell; attention or mean pooling; answers.

    With q the LSTM's state after the last word and v_i the feature of cell i:
        m_i = relu(v_i * (G q + g) + (B q + b))                       feature-wise modulation (Perez et al. 2018)
        a_k = softmax_i(w_k . m_i)                                    glimpse k (soft attention, Yang et al. 2016)
        pooled = [sum_i a_1i m_i, ..., sum_i a_Ki m_i, mean_i m_i]    without attention: [mean_i v_i], then modulated
        logits = C dropout(relu(P pooled) * relu(Q q))
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention, self.glimpses = shape.attention, shape.glimpses
        self.embedding = nn.Embedding(shape.words, shape.embedding, padding_idx=0)
        self.dropout_words = nn.Dropout(shape.embedding_dropout)
        self.lstm = nn.LSTM(shape.embedding, shape.hidden, batch_first=True)
        self.scale = nn.Linear(shape.hidden, shape.width)
        self.shift = nn.Linear(shape.hidden, shape.width)
        pools = 1
        if shape.attention:
            self.score = nn.Conv1d(shape.width, shape.glimpses, 1)
            pools += shape.glimpses
        self.join_picture = nn.Linear(pools * shape.width, shape.joint)
        self.join_question = nn.Linear(shape.hidden, shape.joint)
        self.dropout = nn.Dropout(shape.dropout)
        self.answer = nn.Linear(shape.joint, shape.answers + 1)
        nn.init.ones_(self.scale.bias)

    def read(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """[N, hidden]: the LSTM's state after each question's last word."""
        states, _ = self.lstm(self.dropout_words(self.embedding(ids)))
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, states.shape[-1])
        return states.gather(1, last).squeeze(1)

    def forward(self, features: Tensor, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.reply(features, self.read(ids, lengths))

    def reply(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, answers + 1] and attention [N, h, w] for pictures [N, C, h, w] and questions read [N, hidden]."""
        cells = features.flatten(2)
        scale, shift = self.scale(state).unsqueeze(-1), self.shift(state).unsqueeze(-1)
        if self.attention:
            cells = torch.relu(cells * scale + shift)
            scores = torch.softmax(self.score(cells), -1)
            glimpsed = torch.bmm(cells, scores.transpose(1, 2)).flatten(1)
            pooled = torch.cat([glimpsed, cells.mean(-1)], 1)
            looked = scores.mean(1).reshape(-1, *features.shape[-2:])
        else:
            pooled = torch.relu(cells.mean(-1, keepdim=True) * scale + shift).squeeze(-1)
            looked = torch.full_like(features[:, 0], 1 / cells.shape[-1])
        joint = torch.relu(self.join_picture(pooled)) * torch.relu(self.join_question(state))
        return self.answer(self.dropout(joint)), looked


class Network(nn.Module):
    """Encoder and head under one roof: what is trained, saved and exported."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.head = Head(shape)

    def forward(self, pixels: Tensor, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.encoder(pixels), ids, lengths)
