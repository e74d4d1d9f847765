"""MNN with the network in float32, its int8 weights stored as such and multiplied out when they are loaded.

It has no bfloat16 for x86, and takes longer in int8 than in float32.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.evqa_file import INT8
from edge_vqa.evqa_tensors import EvqaModel

from .contender import PeerError
from .mnn_files import write_graphs


def make(model: EvqaModel, folder: Path, lengths: Sequence[int]) -> None:
    """encoder.mnn, and head-N.mnn for questions of N words.

    By the converter's own module: its command would install a package and report its use to a server.
    """
    convert = importlib.import_module("_tools").mnnconvert
    int8 = model.file.sizes.precision == INT8
    stored = ["--weightQuantBits", "8", "--weightQuantAsymmetric", "0"] if int8 else []
    for graph in write_graphs(model, folder, lengths):
        made = graph.with_suffix(".mnn")
        files = ["--modelFile", str(graph), "--MNNModel", str(made)]
        convert(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "bench", *stored])
        if not made.is_file():
            raise PeerError(f"MNN does not convert {graph.name}")


class MnnPeer:
    """A module for the encoder, one for each length of question."""

    name = "MNN"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        self._nn, self._expr = (importlib.import_module(f"MNN.{name}") for name in ("nn", "expr"))
        self.version, self.detail = importlib.metadata.version("MNN"), "float32"
        self._side, self._folder = model.file.sizes.side, folder
        self._encoder = self._open("encoder", threads, ["pixels"], "features")
        shape = [1, self._side, self._side, 3]
        self._given = self._expr.placeholder(shape, self._expr.NCHW, self._expr.uint8)
        self._heads: dict[int, tuple[Any, Any]] = {}

    def _open(self, name: str, threads: int, inputs: list[str], output: str) -> Any:
        settings = {"backend": "CPU", "precision": "low", "numThread": threads}
        manager = self._nn.create_runtime_manager((settings,))
        path = str(self._folder / f"{name}.mnn")
        return self._nn.load_module_from_file(path, inputs, [output], runtime_manager=manager, shape_mutable=False)

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        if len(ids) not in self._heads:
            # One thread: the head's matrices are too small to share out.
            head = self._open(f"head-{len(ids)}", 1, ["features", "ids"], "logits")
            self._heads[len(ids)] = head, self._expr.placeholder([len(ids)], self._expr.NCHW, self._expr.int)
        self._head, self._words = self._heads[len(ids)]
        self._pixels = np.frombuffer(pixels, np.uint8).reshape(1, self._side, self._side, 3)
        self._ids = tuple(ids)

    def put(self, pixels: Any) -> None:
        self._pixels = pixels[None]

    def encode(self) -> None:
        self._given.write(self._pixels)
        self._features = self._expr.convert(self._encoder.forward([self._given])[0], self._expr.NCHW)
        self._features.read()  # until then nothing is computed

    def further(self) -> int:
        self._words.write(np.array(self._ids, np.int32))
        self._logits = self._head.forward([self._features, self._words])[0].read()
        return int(self._logits[0, :-1].argmax())

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        logits: list[float] = self._logits[0, :-1].tolist()
        return logits
