"""Training a head alone, on features that a frozen encoder has computed once for a few views of every picture."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_vqa.question import Vocabulary

from .augment import Augment, blend, relight
from .config import Loss
from .data import Dataset
from .models import Network
from .views import Batch, Collate, EpochOrder, Labels, Pictures, Views

log = logging.getLogger("export.frozen")

_SEED = 12345
"""Of the views: the same for every head that is compared."""


class FrozenViews:
    """`copies` augmented views of the training pictures and their features, kept as 16-bit floats in memory."""

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        pictures: Pictures,
        augment: Augment,
        vocabulary: Vocabulary,
        answers: list[str],
        copies: int,
        side: int,
    ) -> None:
        self.copies = copies
        views = Views(dataset, "train", pictures, vocabulary, answers, augment, side, _SEED)
        self.collate = Collate(Labels.of(dataset), side // 32)
        self.count, cells = len(views), side // 32
        self.features = torch.empty(copies, self.count, network.shape.width, cells, cells, dtype=torch.float16)
        self.questions: list[list[Any]] = [[] for _ in range(copies)]
        """What Views gives for each view, without the pixels."""
        network.eval()
        generator = torch.Generator().manual_seed(_SEED)
        with torch.inference_mode():
            for copy in range(copies):
                for chosen in torch.arange(self.count).split(32):
                    items = [views[copy, i] for i in chosen.tolist()]
                    pixels = blend(torch.stack([i[0] for i in items]).float(), augment.blend, generator)
                    pixels = relight(pixels, augment.light, generator)
                    self.features[copy, chosen] = network.encoder(pixels).half()
                    self.questions[copy] += [(torch.empty(0), *item[1:]) for item in items]
                log.info("features of view %d of %d", copy + 1, copies)

    def batches(self, epoch: int, seed: int, size: int) -> Iterator[tuple[Tensor, Batch]]:
        """Features [B,C,h,w] and the questions about them; each epoch takes the next of the views."""
        order = EpochOrder(self.count, size, seed, 0, 1)
        order.epoch = epoch
        copy = epoch % self.copies
        for keys in order:
            chosen = [i for _, i in keys]
            yield self.features[copy, chosen].float(), self.collate([self.questions[copy][i] for i in chosen])


def train_head(
    network: Network, frozen: FrozenViews, seed: int, epochs: int, batch_size: int, rate: float, loss: Loss
) -> None:
    """Train the network's head as it stands; warm-up over a tenth of the steps (at most 50), then half a cosine."""
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(network.head.parameters(), lr=rate, weight_decay=0.02)
    total = epochs * max(1, frozen.count // batch_size)
    step = 0
    network.train()
    for epoch in range(epochs):
        for features, batch in frozen.batches(epoch, seed, batch_size):
            for group in optimizer.param_groups:
                warm = min(1.0, (step + 1) / min(50, total / 10))
                group["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * step / total))
            logits, looked = network.head(features[batch.of], batch.ids, batch.lengths)
            value = F.cross_entropy(logits, batch.answers, ignore_index=-1, label_smoothing=loss.label_smoothing)
            if network.shape.attention:
                value = value - loss.look * (batch.focus * looked.clamp_min(1e-6).log()).sum() / len(batch.answers)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            step += 1
    network.eval()
