"""ncnn: the same network in floats, bfloat16 for the encoder and float32 for the head.

Its int8 (7 bits and a sign for every value, here from 0 up) is slower than bfloat16 on processors with AVX512-BF16.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.evqa_tensors import EvqaModel

from .contender import PeerError
from .ncnn_files import write_encoder, write_head


def make(model: EvqaModel, folder: Path, lengths: Sequence[int]) -> None:
    """encoder.param and head.param, each with its .bin, for questions of any length."""
    write_encoder(model, folder / "encoder")
    write_head(model, folder / "head")


class NcnnPeer:
    """Two networks, and an extractor for each run."""

    name = "ncnn"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        """Raises PeerError when ncnn does not take the files of `make`."""
        self._ncnn = importlib.import_module("ncnn")
        self.version: str = self._ncnn.__version__
        self.detail = "encoder bfloat16, head float32"
        self._sizes = model.file.sizes
        self._encoder = self._open(folder / "encoder", threads, True)
        # One thread: the head's matrices are too small to share out.
        self._head = self._open(folder / "head", 1, False)
        self._rgb = self._ncnn.Mat.PixelType.PIXEL_RGB

    def _open(self, path: Path, threads: int, bfloat16: bool) -> Any:
        net = self._ncnn.Net()
        net.opt.num_threads, net.opt.openmp_blocktime = threads, 0
        net.opt.use_vulkan_compute = False
        net.opt.use_bf16_storage = bfloat16
        if net.load_param(f"{path}.param") or net.load_model(f"{path}.bin"):
            raise PeerError(f"ncnn does not take {path}.param and .bin")
        return net

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        side = self._sizes.side
        self._pixels = np.frombuffer(pixels, np.uint8).reshape(side, side, 3)
        self._ids = tuple(ids)

    def put(self, pixels: Any) -> None:
        self._pixels = pixels

    def encode(self) -> None:
        side = self._sizes.side
        picture = self._ncnn.Mat.from_pixels(self._pixels, self._rgb, side, side)
        with self._encoder.create_extractor() as extractor:
            extractor.input("pixels", picture)
            self._features = extractor.extract("features")[1]

    def further(self) -> int:
        words = np.array(self._ids, np.int32)
        given = self._ncnn.Mat(words)  # shares the array's memory
        with self._head.create_extractor() as extractor:
            extractor.input("features", self._features)
            extractor.input("ids", given)
            self._logits = np.array(extractor.extract("answer")[1])
        return int(self._logits[:-1].argmax())

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        logits: list[float] = self._logits[:-1].tolist()
        return logits
