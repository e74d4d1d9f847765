"""A model in one file: a ZIP archive with manifest.json and the graphs that an engine runs.

manifest.json holds everything that is not arithmetic: the model's name and precision, the input side in pixels, the
vocabulary, the answers, the softmax temperature, and the SHA-256 of every other member, which is checked on loading.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ModelError
from .question import Vocabulary

FORMAT, VERSION = "edge_vqa", 1
SUFFIX = ".vqa.zip"
BUNDLED = Path(__file__).parent / "models"
DEFAULT = "mobilenetv2-lstm-attention"
_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class ModelFile:
    """A model as read from disk; `graphs` maps member names (encoder.onnx, head.onnx) to their bytes."""

    path: Path
    name: str
    precision: str
    side: int
    cells: int
    attention: bool
    temperature: float
    vocabulary: Vocabulary
    answers: tuple[str, ...]
    graphs: dict[str, bytes]
    about: dict[str, Any]
    """Everything else the manifest says: data, licence, figures."""

    def graph(self, name: str) -> bytes:
        """Raises ModelError when the file holds no such graph (it was made for another engine)."""
        if name not in self.graphs:
            raise ModelError(f"{self.path}: holds no {name}; it was made for another engine")
        return self.graphs[name]


def find_model(model: str | os.PathLike[str] | None) -> Path:
    """The file behind a path or the name of a bundled model; None is the default model. Raises ModelError."""
    if model is None:
        model = DEFAULT
    path = Path(model)
    if _is_file(path):
        return path
    bundled = BUNDLED / f"{model}{SUFFIX}"
    if os.sep not in str(model) and _is_file(bundled):
        return bundled
    known = ", ".join(sorted(p.name.removesuffix(SUFFIX) for p in BUNDLED.glob(f"*{SUFFIX}"))) or "none"
    raise ModelError(f"{model}: no such model file, and no bundled model of that name (bundled: {known})")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def load_model(model: str | os.PathLike[str] | None = None) -> ModelFile:
    """Read and check a model file. Raises ModelError, naming what is wrong."""
    path = find_model(model)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(i.file_size for i in archive.infolist()) > _MAX_BYTES:
                raise ModelError(f"{path}: larger than {_MAX_BYTES >> 20} MB when unpacked")
            members = {i.filename: archive.read(i) for i in archive.infolist()}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error
    try:
        manifest = json.loads(members.pop("manifest.json"))
        if manifest["format"] != FORMAT:
            raise ModelError(f"{path}: not a model of edge_vqa")
        if manifest["version"] != VERSION:
            raise ModelError(f"{path}: format version {manifest['version']}; this release reads version {VERSION}")
        _check_sums(path, manifest["sha256"], members)
        return _from_manifest(path, manifest, members)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: the manifest is damaged or incomplete ({error!r})") from error


def save_model(path: Path, about: dict[str, Any], graphs: dict[str, bytes]) -> None:
    """Write a model file, whole or not at all. `about` has the manifest's fields; format, version, sums are added."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in graphs.items()}
    manifest = {"format": FORMAT, "version": VERSION, **about, "sha256": sums}
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"manifest.json": json.dumps(manifest, ensure_ascii=False).encode(), **graphs}.items():
            # A fixed date: the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    part.replace(path)


def _check_sums(path: Path, sums: dict[str, str], members: dict[str, bytes]) -> None:
    if set(sums) != set(members):
        raise ModelError(f"{path}: members do not match the manifest ({', '.join(sorted(set(sums) ^ set(members)))})")
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise ModelError(f"{path}: {name} is damaged (its SHA-256 is not the manifest's)")


def _from_manifest(path: Path, manifest: dict[str, Any], members: dict[str, bytes]) -> ModelFile:
    side, cells = int(manifest["side"]), int(manifest["cells"])
    answers, words = manifest["answers"], manifest["words"]
    if not 1 <= side <= 4096 or not 1 <= cells <= side:
        raise ModelError(f"{path}: impossible input size {side} or map size {cells}")
    if not isinstance(answers, list) or not answers or not all(isinstance(t, str) for t in [*answers, *words]):
        raise ModelError(f"{path}: answers and words must be lists of texts")
    temperature = float(manifest["temperature"])
    if not 0.01 <= temperature <= 100:
        raise ModelError(f"{path}: impossible temperature {temperature}")
    known = (
        "format",
        "version",
        "sha256",
        "name",
        "precision",
        "side",
        "cells",
        "attention",
        "temperature",
        "words",
        "answers",
    )
    return ModelFile(
        path=path,
        name=str(manifest["name"]),
        precision=str(manifest["precision"]),
        side=side,
        cells=cells,
        attention=bool(manifest["attention"]),
        temperature=temperature,
        vocabulary=Vocabulary(words),
        answers=tuple(answers),
        graphs=members,
        about={k: v for k, v in manifest.items() if k not in known},
    )
