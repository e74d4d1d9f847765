"""The trained networks in PyTorch, float32: what every exported file is held against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_vqa.question import Vocabulary
from export.metrics import fit_temperature
from export.models import Network
from export.run_folder import RunFolder
from export.scoring import encode_questions

from .asked import Asked
from .figures import Array, as_predictions

_PICTURES, _QUESTIONS = 32, 512
"""At a time."""


@dataclass(frozen=True)
class Trained:
    """A trained run."""

    network: Network
    vocabulary: Vocabulary
    answers: list[str]
    side: int
    digest: str
    """SHA-256 of its weights and settings."""


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: its idle workers spin, and would take the processors from the engines that are timed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_trained(folder: Path) -> Trained:
    """Raises DataError when the folder holds no finished run."""
    run = RunFolder(folder)
    network, vocabulary, answers, side = run.load()
    digest = hashlib.sha256(run.weights.read_bytes() + (run.path / "run.json").read_bytes()).hexdigest()
    return Trained(network, vocabulary, answers, side, digest)


@torch.inference_mode()
def predict(trained: Trained, asked: Asked) -> Array:
    """Logits [questions, answers + 1] float32."""
    features = torch.cat(
        [trained.network.encoder(p.float()) for p in asked.pictures(trained.side).pixels.split(_PICTURES)]
    )
    number = {name: n for n, name in enumerate(asked.images)}
    of = torch.tensor([number[e.image] for e in asked.examples])
    ids, lengths = encode_questions([e.question for e in asked.examples], trained.vocabulary)
    parts: list[Tensor] = []
    for begin in range(0, len(of), _QUESTIONS):
        rows = slice(begin, begin + _QUESTIONS)
        parts.append(trained.network.head(features[of[rows]], ids[rows], lengths[rows])[0])
    return torch.cat(parts).numpy()


def predict_once(trained: Trained, asked: Asked, cache: Path) -> Array:
    """As `predict`, kept in the folder `cache` under a name that stands for weights, pixels and questions."""
    key = hashlib.sha256(trained.digest.encode())
    key.update(asked.pictures(trained.side).pixels.numpy().tobytes())
    key.update(repr([(e.image, e.question) for e in asked.examples]).encode())
    file = cache / f"{asked.split}-{key.hexdigest()[:32]}.npy"
    if file.is_file():
        return np.asarray(np.load(file))
    logits = predict(trained, asked)
    cache.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.save(stream, logits)
    part.replace(file)
    return logits


def temperature(trained: Trained, val: Asked | None, cache: Path) -> float:
    """The softmax temperature that export.evaluate and the exported files use: fitted on val, 1 without val."""
    if val is None:
        return 1.0
    return fit_temperature(as_predictions(val.examples, trained.answers, predict_once(trained, val, cache)))
