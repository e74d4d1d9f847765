"""What is measured: one interface for our package and for every peer, and our package behind it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any, Protocol

from edge_vqa import VQA, EdgeVQAError
from edge_vqa.image import picture_pixels


class PeerError(EdgeVQAError):
    """A peer is not installed, or cannot run this network."""


class Contender(Protocol):
    """Takes a picture and a question with `show`, untimed, and is then asked again and again, timed.

    For photographs `put` brings the pixels, and its time counts.
    """

    name: str
    version: str
    detail: str
    """How it is set up, where that is not obvious."""

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        """RGB bytes of a square picture and word ids. Pixels may be put where the runtime likes them best."""

    def put(self, pixels: Any) -> None:
        """Other pixels than those shown: a C-contiguous NumPy array uint8 [side,side,3], to where they are read."""

    def encode(self) -> None:
        """Pixels -> features, kept."""

    def further(self) -> int:
        """Features and word ids (a tuple of Python's numbers) -> place of the best answer."""

    def answer(self) -> int:
        """Both."""

    def logits(self) -> list[float]:
        """Of the last question; without the last one, which stands for no answer."""


class Own:
    """edge_vqa as a user has it: through Python, lists of numbers included."""

    def __init__(self, model: str | None, engine: str | None, threads: int) -> None:
        """Raises EdgeVQAError."""
        vqa = VQA(model, engine, threads)
        self._engine, self._side = vqa.engine, vqa.model.side
        self.name = f"edge_vqa {self._engine.name}"
        self.version = _version("edge_vqa")
        isa = getattr(self._engine, "isa", "")
        self.detail = f"kernels for {isa}" if isa else ""
        self._pixels, self._ids = b"", tuple[int, ...]()
        self._features: Any = None
        self._logits: Sequence[float] = []

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        self._pixels, self._ids = pixels, tuple(ids)

    def encode(self) -> None:
        self._features = self._engine.encode(self._pixels)

    def answer_jpeg(self, jpeg: bytes) -> int:
        """From a JPEG's bytes, as VQA.look takes them."""
        self._pixels = picture_pixels(jpeg, self._side)
        return self.answer()

    def further(self) -> int:
        self._logits = self._engine.answer(self._features, self._ids)[0][:-1]
        return self._logits.index(max(self._logits))

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        return list(self._logits)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "checkout"
