"""LiteRT (the former TensorFlow Lite) with XNNPACK, on files of export.to_tflite."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.evqa_file import PRECISIONS
from edge_vqa.evqa_tensors import EvqaModel
from edge_vqa.model_file import ENCODER, HEAD
from export.to_tflite import tflite_model

from .contender import PeerError


def make(model: EvqaModel, folder: Path, lengths: Sequence[int]) -> None:
    """Writes encoder.tflite, and head-N.tflite for questions of N words, whose LSTM is unrolled."""
    (folder / "encoder.tflite").write_bytes(tflite_model(model, ENCODER))
    for words in lengths:
        (folder / f"head-{words}.tflite").write_bytes(tflite_model(model, HEAD, words))


class LiteRtPeer:
    """On files of `make` or others that take and give the same: one interpreter for the encoder, one for each head."""

    name = "LiteRT"
    module, package = "ai_edge_litert.interpreter", "ai-edge-litert"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        """Raises PeerError when the encoder does not take bytes."""
        self._interpreter = importlib.import_module(self.module).Interpreter
        self.version = importlib.metadata.version(self.package)
        self.detail = f"XNNPACK; {PRECISIONS[model.file.sizes.precision]}, LSTM unrolled for the question's words"
        self._model, self._folder = model, folder
        path = folder / "encoder.tflite"
        self._encoder = self._open(path, threads)
        self._pixels_at = self._encoder.get_input_details()[0]["index"]
        self._features_at = self._encoder.get_output_details()[0]["index"]
        if self._encoder.get_input_details()[0]["dtype"] not in (np.int8, np.uint8):
            raise PeerError(f"{path}: takes {self._encoder.get_input_details()[0]['dtype']} pixels, not 8-bit ones")
        # int8 pixels are uint8 ones less 128, which is the same as turning the highest bit over.
        self._turned = 128 if self._encoder.get_input_details()[0]["dtype"] == np.int8 else 0
        self._heads: dict[int, Any] = {}

    def _open(self, path: Path, threads: int) -> Any:
        with _quiet():
            interpreter = self._interpreter(str(path), num_threads=threads)
            interpreter.allocate_tensors()
        return interpreter

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        if len(ids) not in self._heads:
            # One thread: the head's matrices are too small to share out.
            self._heads[len(ids)] = self._open(self._folder / f"head-{len(ids)}.tflite", 1)
        self._head = self._heads[len(ids)]
        self._inputs = [d["index"] for d in self._head.get_input_details()]
        self._head_shape = self._head.get_input_details()[0]["shape"]
        self._logits_at = self._head.get_output_details()[0]["index"]
        side = self._model.file.sizes.side
        self._pixels = np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3)
        self._ids = tuple(ids)

    def put(self, pixels: Any) -> None:
        self._pixels = pixels[None]

    # A view of a tensor must not outlive the statement: the interpreter refuses to run while one exists.

    def encode(self) -> None:
        target = self._encoder.tensor(self._pixels_at)().view(np.uint8)
        np.bitwise_xor(self._pixels, self._turned, out=target)
        del target
        self._encoder.invoke()
        features = self._encoder.tensor(self._features_at)().reshape(self._head_shape)
        np.copyto(self._head.tensor(self._inputs[0])(), features)

    def further(self) -> int:
        self._head.tensor(self._inputs[1])()[:] = self._ids
        self._head.invoke()
        return int(self._head.tensor(self._logits_at)()[0, :-1].argmax())

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        logits: list[float] = self._head.get_tensor(self._logits_at)[0, :-1].tolist()
        return logits


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library tells standard error, past Python, that it made a delegate."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
