"""Running a network over a split exactly as it is served: whole picture, clean question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from edge_vqa.question import Vocabulary

from .data import Dataset, Example
from .models import Network
from .views import Pictures


@dataclass
class Predictions:
    """Rows follow `examples`."""

    examples: list[Example]
    logits: Tensor
    """[N, answers] float32."""
    refused: Tensor
    """[N] float32: probability that the question has no answer."""
    looked: Tensor
    """[N, h, w] float32."""
    truth: Tensor
    """[N] int64, -1 where the model lacks the answer."""

    @property
    def correct(self) -> Tensor:
        """[N] bool."""
        return self.logits.argmax(-1) == self.truth

    @property
    def accuracy(self) -> float:
        return float(self.correct.float().mean())


def encode_questions(questions: list[str], vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """Ids [N, L] padded with 0 and lengths [N]."""
    ids = [vocabulary.encode(q).ids for q in questions]
    padded = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.int64)
    for n, row in enumerate(ids):
        padded[n, : len(row)] = torch.tensor(row)
    return padded, torch.tensor([len(row) for row in ids])


@torch.inference_mode()
def predict(
    network: Network, dataset: Dataset, split: str, vocabulary: Vocabulary, answers: list[str], side: int,
    ask: Callable[[str], str] = lambda q: q, pictures: Pictures | None = None,
) -> Predictions:  # fmt: skip
    """Predict every question of a split; `ask` changes each question's text first."""
    network.eval()
    device = next(network.parameters()).device
    examples = dataset.splits[split]
    pictures = pictures or Pictures(dataset.image_paths, dataset.images(split), side)
    features = torch.cat([network.encoder(p.float().to(device)) for p in pictures.pixels.split(32)])
    number = {name: n for n, name in enumerate(pictures.names)}
    ids, lengths = encode_questions([ask(e.question) for e in examples], vocabulary)
    of = torch.tensor([number[e.image] for e in examples])
    parts = [
        network.head(features[of[i : i + 512].to(device)], ids[i : i + 512].to(device), lengths[i : i + 512].to(device))
        for i in range(0, len(examples), 512)
    ]
    index = {a: i for i, a in enumerate(answers)}
    truth = torch.tensor([index.get(e.answer, -1) for e in examples])
    logits, looked = (torch.cat([p[i] for p in parts]).cpu() for i in range(2))
    return Predictions(examples, logits[:, :-1], logits.softmax(-1)[:, -1], looked, truth)


def accuracy_on(
    network: Network, dataset: Dataset, split: str, vocabulary: Vocabulary, answers: list[str], side: int
) -> float:
    """Share of the split's questions answered right."""
    return predict(network, dataset, split, vocabulary, answers, side).accuracy
