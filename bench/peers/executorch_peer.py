"""ExecuTorch with XNNPACK, on programs of executorch_files.py: int8 encoder, float head with its LSTM unrolled."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edge_vqa.evqa_file import PRECISIONS
from edge_vqa.evqa_tensors import EvqaModel


def make(model: EvqaModel, folder: Path, lengths: Sequence[int]) -> None:
    """Writes encoder.pte, and head-N.pte for questions of N words."""
    from .executorch_files import write_programs  # brings the compiler along, which who only runs programs needs not

    write_programs(model, folder, lengths)


class ExecuTorchPeer:
    """One method for the encoder, one for each length of question, called through the runtime's own Python module."""

    name = "ExecuTorch"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        self._runtime = importlib.import_module("executorch.extension.pybindings._C")
        self._runtime._unsafe_reset_threadpool(threads)
        self.version = importlib.metadata.version("executorch")
        self.detail = f"XNNPACK; encoder {PRECISIONS[model.file.sizes.precision]}, head float32"
        self._side, self._folder = model.file.sizes.side, folder
        self._programs: list[Any] = []
        self._encoder = self._open("encoder")
        self._heads: dict[int, Any] = {}

    def _open(self, name: str) -> Any:
        self._programs.append(self._runtime._load_program(str(self._folder / f"{name}.pte")))  # holds what is loaded
        return self._programs[-1].load_method("forward")

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        if len(ids) not in self._heads:
            self._heads[len(ids)] = self._open(f"head-{len(ids)}")
        self._head, self._ids = self._heads[len(ids)], tuple(ids)
        self._pixels = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(self._side, self._side, 3)

    def put(self, pixels: Any) -> None:
        self._pixels = torch.from_numpy(pixels)

    def encode(self) -> None:
        # int8 pixels are uint8 ones less 128, which is the same as turning the highest bit over.
        turned = (self._pixels ^ 128).view(torch.int8)
        self._encoder.set_inputs([turned.permute(2, 0, 1)[None]])
        self._encoder.execute()
        self._features = self._encoder.get_outputs(clone_outputs=False)[0]

    def further(self) -> int:
        self._head.set_inputs([self._features, torch.tensor([self._ids])])
        self._head.execute()
        self._logits = self._head.get_outputs(clone_outputs=False)[0]
        return int(self._logits[0, :-1].argmax())

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        logits: list[float] = self._logits[0, :-1].tolist()
        return logits
