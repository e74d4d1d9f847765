"""What training minimises: answers; where boxes are known, also where to look, what lies where, and the dish."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import Loss
from .models import Network
from .views import Batch


class BoxSupervision(nn.Module):
    """Heads that exist in training only, on the encoder's features before positions are added."""

    def __init__(self, width: int, things: int, dishes: int) -> None:
        super().__init__()
        self.things = nn.Conv2d(width, max(things, 1), 1)
        self.dishes = nn.Linear(width, max(dishes, 1))
        assert self.things.bias is not None
        nn.init.constant_(self.things.bias, -4.0)  # most things are in few cells

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B,C,h,w] -> logits of things per cell [B,T,h,w], of things in the picture [B,T], of the dish [B,D]."""
        cells = self.things(seen)
        # A smooth maximum over the cells: a thing is in the picture when it is somewhere (log-mean-exp, sharpness 4).
        anywhere = (torch.logsumexp(4 * cells.flatten(2), -1) - torch.log(torch.tensor(cells[0, 0].numel()))) / 4
        return cells, anywhere, self.dishes(seen.mean((2, 3)))


@dataclass
class Terms:
    """Sums over the batch (not means), so that several processes can add them up."""

    answers: Tensor
    look: Tensor
    cover: Tensor
    things: Tensor
    dish: Tensor
    correct: Tensor


def terms(network: Network, boxes: BoxSupervision, batch: Batch, pixels: Tensor, loss: Loss) -> Terms:
    """Run the network on a batch. `pixels` are the batch's, as float, relit."""
    seen = network.encoder.see(pixels)
    logits, looked = network.head(network.encoder.place(seen)[batch.of], batch.ids, batch.lengths)
    answers = F.cross_entropy(
        logits, batch.answers, ignore_index=-1, label_smoothing=loss.label_smoothing, reduction="sum"
    )
    zero = logits.sum() * 0
    look = -(batch.focus * torch.log(looked.clamp_min(1e-6))).sum() if network.shape.attention and loss.look else zero
    cover = things = dish = zero
    if batch.cover.shape[1] and (loss.cover or loss.things or loss.dish):
        cells, anywhere, dishes = boxes(seen)
        known = batch.known[:, :, None, None]
        cover = (F.binary_cross_entropy_with_logits(cells, batch.cover, reduction="none") * known).mean((2, 3)).sum()
        present = (batch.cover.amax((2, 3)) > 0).float()
        things = (F.binary_cross_entropy_with_logits(anywhere, present, reduction="none") * batch.known).sum()
        dish = F.cross_entropy(
            dishes, batch.dishes, ignore_index=-1, label_smoothing=loss.label_smoothing, reduction="sum"
        )
    correct = (logits.argmax(-1) == batch.answers).sum()
    return Terms(answers, look, cover, things, dish, correct)
