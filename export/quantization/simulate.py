"""The int8 arithmetic of docs/evqa-format.md in PyTorch, for many pictures and questions at once.

The encoder's integers are the engine's, to the bit. The head's floats are summed in another order, so its logits
differ in the last places.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_vqa.evqa_file import Conv, Sizes


@dataclass
class IntegerConv:
    """One convolution of an int8 file with its tensors: weights [outputs, inputs, k, k] (depthwise [C, 1, k, k])."""

    record: Conv
    weights: Tensor
    """float32 holding whole numbers."""
    bias: Tensor
    """[outputs] int64."""
    scale: Tensor
    """[outputs] float32."""

    def sums(self, q: Tensor) -> Tensor:
        """Q [N,inputs,h,w] uint8 -> the exact sums without bias, [N,outputs,h',w'] floats holding whole numbers.

        Floats of 32 bits add whole numbers exactly below 2^24; where sums might pass that, they have 64 bits.
        """
        r = self.record
        largest = max(r.in_zero, 255 - r.in_zero) * self.weights.abs().flatten(1).sum(1) + self.bias.abs()
        kind = torch.float32 if float(largest.max()) < 1 << 24 else torch.float64
        groups = r.outputs if r.depthwise else 1
        centred = q.to(kind).sub_(r.in_zero)
        return F.conv2d(centred, self.weights.to(kind), None, r.stride, r.kernel // 2, groups=groups)

    def finish(self, sums: Tensor, residual: Tensor | None) -> Tensor:
        """Sums without bias, and the uint8 values that are added -> uint8."""
        r = self.record
        y = (sums + self.bias.to(sums.dtype).view(-1, 1, 1)).float().mul_(self.scale.view(-1, 1, 1))
        if residual is not None:
            y += residual.float().sub_(r.residual_zero).mul_(torch.tensor(r.residual_scale, dtype=torch.float32))
        return y.round_().add_(r.out_zero).clamp_(r.low, r.high).to(torch.uint8)


def features(convs: list[IntegerConv], sizes: Sizes, place: Tensor, pixels: Tensor) -> Tensor:
    """Pixels [N,3,S,S] uint8 -> features [N, cells * cells, channels] uint8; `place` is head.place."""
    wanted = {conv.record.residual for conv in convs}
    kept: dict[int, Tensor] = {}
    q = pixels
    for number, conv in enumerate(convs):
        q = conv.finish(conv.sums(q), kept.get(conv.record.residual))
        if number in wanted:
            kept[number] = q
    seen = q.flatten(2).transpose(1, 2).float() - convs[-1].record.out_zero
    y = seen * torch.tensor(sizes.place_scale, dtype=torch.float32) + place
    return (torch.round(y) + sizes.features_zero).clamp_(0, 255).to(torch.uint8)


class IntegerHead:
    """The int8 head over its tensors (names as in docs/evqa-format.md, without head.)."""

    def __init__(self, sizes: Sizes, embedding_zero: int, tensors: dict[str, Tensor]) -> None:
        self.sizes = sizes
        self.embedding_zero = embedding_zero
        self.tensors = {name: t.float() for name, t in tensors.items()}

    def _dense(self, name: str, x: Tensor) -> Tensor:
        t = self.tensors
        return x @ t[name].T * t[f"{name}_scale"] + t[f"{name}_bias"]

    def read(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Ids [N,L], lengths [N] -> k [N,hidden]: the LSTM's state after the last word, in steps."""
        t, n = self.tensors, len(ids)
        k = cell = last = torch.zeros(n, self.sizes.hidden)
        for position in range(ids.shape[1]):
            word = t["embedding"][ids[:, position]] - self.embedding_zero
            z = word @ t["lstm_x"].T * t["lstm_x_scale"] + k @ t["lstm_h"].T * t["lstm_h_scale"] + t["lstm_bias"]
            forget, take, candidate, give = z.chunk(4, 1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(take) * torch.tanh(candidate)
            k = torch.round(torch.sigmoid(give) * torch.tanh(cell) * 127)
            last = torch.where((lengths == position + 1).unsqueeze(1), k, last)
        return last

    def answer(self, seen: Tensor, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, cells^2, channels] uint8 -> logits [N, answers + 1], look [N, cells^2]."""
        t, s = self.tensors, self.sizes
        state = self.read(ids, lengths)
        scale, shift = self._dense("scale", state).unsqueeze(1), self._dense("shift", state).unsqueeze(1)
        f = (seen.float() - s.features_zero) * s.features_scale
        if s.attention:
            m = torch.relu(f * scale + shift)
            weights = torch.softmax(m @ t["score"].T + t["score_bias"], 1)
            pooled = torch.cat([(weights.transpose(1, 2) @ m).flatten(1), m.mean(1)], 1)
            look = weights.mean(2)
        else:
            pooled = torch.relu(f.mean(1, keepdim=True) * scale + shift).squeeze(1)
            look = torch.full(f.shape[:2], 1 / f.shape[1])
        top = pooled.amax(1, keepdim=True).clamp_min(2**-100)
        q = torch.round(pooled * (255 / top))
        picture = q @ t["picture"].T * t["picture_scale"] * (top / 255) + t["picture_bias"]
        joined = torch.relu(picture) * torch.relu(self._dense("question", state))
        return joined @ t["answer"] + t["answer_bias"], look
