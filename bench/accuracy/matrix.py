"""The exported files by name: NAME-PRECISION.FORMAT, and its halves NAME-PRECISION.encoder.FORMAT and .head.FORMAT."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_vqa.errors import DataError
from edge_vqa.model_file import PRECISIONS, part_name

ENGINES = {"evqa": "native", "onnx": "onnx", "tflite": "tflite"}
"""Format -> the engine of edge_vqa that is its own runtime."""


@dataclass(frozen=True)
class Exported:
    """One file of the matrix: the whole network."""

    folder: Path
    model: str
    precision: str
    format: str

    @property
    def kind(self) -> str:
        """What tells the files of one model apart: int8.evqa, float32.onnx, ..."""
        return f"{self.precision}.{self.format}"

    @property
    def path(self) -> Path:
        return self.folder / f"{self.model}-{self.kind}"

    def half(self, part: str) -> Path:
        """The file of the `encoder` or the `head`; .evqa files have none."""
        return self.folder / part_name(f"{self.model}-{self.precision}", part, f".{self.format}")

    @property
    def paths(self) -> list[Path]:
        """The whole network and, where the format has them, its halves."""
        return [self.path] + ([] if self.format == "evqa" else [self.half("encoder"), self.half("head")])


def list_files(folder: Path, models: Iterable[str], formats: Iterable[str]) -> list[Exported]:
    """Every file that should be there, model by model. Raises DataError when the folder is missing or holds none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder (python -m export.all makes one)")
    chosen = [Exported(folder, m, p, f) for m in models for p in PRECISIONS for f in formats]
    if not any(file.path.is_file() for file in chosen):
        raise DataError(f"{folder}: holds none of the exported files ({chosen[0].path.name}, ...)")
    return chosen
