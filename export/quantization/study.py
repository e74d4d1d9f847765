"""python -m export.quantization.study --data FOLDER: what each technique buys, measured on val."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edge_vqa.question import Vocabulary

from ..data import Dataset
from ..models import Network
from ..scoring import encode_questions
from ..views import Pictures
from .model import Quantized
from .simulate import features


@dataclass(frozen=True)
class Split:
    """A split's pictures and questions as numbers, and the exact network's features and logits."""

    pixels: Tensor
    ids: Tensor
    lengths: Tensor
    picture: Tensor
    """[questions] the number of each one's picture."""
    truth: Tensor
    """[questions] the number of each one's answer, -1 where the model lacks it."""
    features: Tensor
    """[pictures, cells^2, channels]."""
    logits: Tensor
    """[questions, answers + 1]."""


@torch.inference_mode()
def load_split(
    network: Network, dataset: Dataset, split: str, vocabulary: Vocabulary, answers: list[str], side: int,
    pixels: Tensor | None = None,
) -> Split:  # fmt: skip
    examples, names = dataset.splits[split], dataset.images(split)
    if pixels is None:
        pixels = Pictures(dataset.image_paths, names, side).pixels
    number = {name: n for n, name in enumerate(names)}
    index = {a: i for i, a in enumerate(answers)}
    ids, lengths = encode_questions([e.question for e in examples], vocabulary)
    picture = torch.tensor([number[e.image] for e in examples])
    truth = torch.tensor([index.get(e.answer, -1) for e in examples])
    seen = torch.cat([network.encoder(p.float()) for p in pixels.split(16)])
    parts = [network.head(seen[picture[i]], ids[i], lengths[i])[0] for i in torch.arange(len(examples)).split(512)]
    return Split(pixels, ids, lengths, picture, truth, seen.flatten(2).transpose(1, 2).contiguous(), torch.cat(parts))


@torch.inference_mode()
def measure(model: Quantized, split: Split) -> dict[str, float]:
    """Figures of the int8 network on a split against the exact one."""
    seen = torch.cat([features(model.convs, model.sizes, model.place, p) for p in split.pixels.split(4)])
    parts = [
        model.head.answer(seen[split.picture[i]], split.ids[i], split.lengths[i])[0]
        for i in torch.arange(len(split.ids)).split(512)
    ]
    logits = torch.cat(parts)
    real = (seen.float() - model.sizes.features_zero) * model.sizes.features_scale / model.channel_scale
    exact, own = (torch.log_softmax(x, 1) for x in (split.logits, logits))
    right, was = (x[:, :-1].argmax(1) == split.truth for x in (logits, split.logits))
    return {
        "points_lost": 100 * float(was.float().mean() - right.float().mean()),
        "agreement": float((logits[:, :-1].argmax(1) == split.logits[:, :-1].argmax(1)).float().mean()),
        "divergence": float((exact.exp() * (exact - own)).sum(1).mean()),
        "sqnr": float(10 * torch.log10((split.features**2).sum() / ((real - split.features) ** 2).sum())),
    }
