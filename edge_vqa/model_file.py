"""A model in one file, of one of two kinds.

.evqa      what the engine in C++ maps into memory (docs/evqa-format.md).
.vqa.zip   a ZIP archive with manifest.json and ONNX graphs, for onnxruntime. The manifest holds everything that is not
           arithmetic, and the SHA-256 of every other member, which is checked on loading.

The command starts here, so what only one kind needs is imported where it is needed.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ModelError
from .question import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

EVQA, ZIP = ".evqa", ".vqa.zip"
FORMAT, VERSION = "edge_vqa", 1
SUFFIX = ZIP
BUNDLED: Path
DEFAULT = "mobilenetv2-lstm-attention"
_BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
_MAX_BYTES = 256 * 1024 * 1024
_FIELDS = frozenset((
    "format", "version", "sha256", "name", "precision", "side", "cells", "attention", "temperature", "words", "answers",
))  # fmt: skip
"""What a manifest holds that is not in ModelFile.about."""
_EVQA_MAGIC, _EVQA_VERSION = b"\x89EVQA\r\n\n", 1


def __getattr__(name: str) -> Any:
    if name == "BUNDLED":  # a Path for those who want one; loading pathlib would cost the command 4 ms
        from pathlib import Path

        return Path(_BUNDLED)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ModelFile(NamedTuple):
    """A model as read from disk; `graphs` maps member names (encoder.onnx, head.onnx) to their bytes."""

    path: str
    kind: str
    """EVQA or ZIP."""
    side: int
    cells: int
    attention: bool
    temperature: float
    vocabulary: Vocabulary
    answers: tuple[str, ...]
    graphs: dict[str, bytes]
    """Empty for EVQA, whose tensors the engine reads from `path`."""
    details: bytes
    """What the file says of itself, as JSON."""

    @property
    def name(self) -> str:
        """Raises ModelError when `details` are damaged; so do the next two."""
        return str(self._described().get("name", ""))

    @property
    def precision(self) -> str:
        return str(self._described().get("precision", ""))

    @property
    def about(self) -> dict[str, Any]:
        """Everything that is no field of its own: data, licence, figures."""
        return {k: v for k, v in self._described().items() if k not in _FIELDS}

    def _described(self) -> dict[str, Any]:
        import json

        try:
            return dict(json.loads(self.details))
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelError(f"{self.path}: what it says of itself is damaged ({error})") from error

    def graph(self, name: str) -> bytes:
        """Raises ModelError when the file holds no such graph (it was made for another engine)."""
        if name not in self.graphs:
            raise ModelError(f"{self.path}: holds no {name}; it was made for another engine")
        return self.graphs[name]


def find_model(model: str | os.PathLike[str] | None) -> str:
    """The file behind a path or the name of a bundled model; None is the default model. Raises ModelError."""
    path = os.fspath(DEFAULT if model is None else model)
    if os.path.isfile(path):
        return path
    if os.sep not in path:
        for kind in (EVQA, ZIP, ""):
            bundled = os.path.join(_BUNDLED, path + kind)
            if os.path.isfile(bundled):
                return bundled
    raise ModelError(f"{path}: no such model file, and no bundled model of that name (bundled: {_bundled_names()})")


def _bundled_names() -> str:
    names = {file[: -len(kind)] for file in sorted(os.listdir(_BUNDLED)) for kind in (EVQA, ZIP) if file.endswith(kind)}
    return ", ".join(sorted(names)) or "none"


def load_model(model: str | os.PathLike[str] | None = None) -> ModelFile:
    """Read a model file and check what it says of itself. Raises ModelError, naming what is wrong.

    What an .evqa file computes with, and its SHA-256, is checked by the engine that opens it.
    """
    path = find_model(model)
    try:
        with open(path, "rb") as stream:
            if stream.read(len(_EVQA_MAGIC)) == _EVQA_MAGIC:
                return _load_evqa(path, stream)
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error
    return _load_zip(path)


def _load_evqa(path: str, stream: Any) -> ModelFile:
    """The sections that are not arithmetic, see docs/evqa-format.md."""
    size = os.fstat(stream.fileno()).st_size
    version, count, length, zero = struct.unpack("<IIQQ", stream.read(24))
    if version != _EVQA_VERSION:
        raise ModelError(f"{path}: format version {version}; this release reads version {_EVQA_VERSION}")
    if length != size or zero or count > 64:
        raise ModelError(f"{path}: {size} bytes, but the header says {length}: truncated or damaged")
    stream.seek(64)
    table = stream.read(count * 24)
    places = {name: (start, length) for name, _, start, length in struct.iter_unpack("<4sIQQ", table)}
    parts = {}
    for name in (b"ABOU", b"WORD", b"ANSW", b"MODL"):
        start, length = places.get(name, (0, 0))
        if not 0 < start <= start + length <= size:
            raise ModelError(f"{path}: the section {name.decode()} is missing or damaged")
        stream.seek(start)
        parts[name] = stream.read(length)
    side, cells, _, ids, count, attention = struct.unpack_from("<6I", parts[b"MODL"])
    (temperature,) = struct.unpack_from("<f", parts[b"MODL"], 40)
    words, answers = (parts[name].decode().split("\n")[:-1] for name in (b"WORD", b"ANSW"))
    if len(words) + 2 != ids or len(answers) != count:
        raise ModelError(f"{path}: its words or answers are damaged")
    fields = {
        "side": side, "cells": cells, "attention": attention, "temperature": temperature,
        "words": words, "answers": answers,
    }  # fmt: skip
    return _from_fields(path, EVQA, fields, {}, parts[b"ABOU"])


def _load_zip(path: str) -> ModelFile:
    import json
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(i.file_size for i in archive.infolist()) > _MAX_BYTES:
                raise ModelError(f"{path}: larger than {_MAX_BYTES >> 20} MB when unpacked")
            members = {i.filename: archive.read(i) for i in archive.infolist()}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error
    try:
        details = members.pop("manifest.json")
        manifest = json.loads(details)
        if manifest["format"] != FORMAT:
            raise ModelError(f"{path}: not a model of edge_vqa")
        if manifest["version"] != VERSION:
            raise ModelError(f"{path}: format version {manifest['version']}; this release reads version {VERSION}")
        _check_sums(path, manifest["sha256"], members)
        str(manifest["name"]), str(manifest["precision"])
        return _from_fields(path, ZIP, manifest, members, details)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: the manifest is damaged or incomplete ({error!r})") from error


def save_model(path: Path, about: dict[str, Any], graphs: dict[str, bytes]) -> None:
    """Write a model file, whole or not at all. `about` has the manifest's fields; format, version, sums are added."""
    import hashlib
    import json
    import zipfile

    sums = {name: hashlib.sha256(data).hexdigest() for name, data in graphs.items()}
    manifest = {"format": FORMAT, "version": VERSION, **about, "sha256": sums}
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"manifest.json": json.dumps(manifest, ensure_ascii=False).encode(), **graphs}.items():
            # A fixed date: the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    part.replace(path)


def _check_sums(path: str, sums: dict[str, str], members: dict[str, bytes]) -> None:
    import hashlib

    if set(sums) != set(members):
        raise ModelError(f"{path}: members do not match the manifest ({', '.join(sorted(set(sums) ^ set(members)))})")
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise ModelError(f"{path}: {name} is damaged (its SHA-256 is not the manifest's)")


def _from_fields(path: str, kind: str, fields: dict[str, Any], graphs: dict[str, bytes], details: bytes) -> ModelFile:
    side, cells = int(fields["side"]), int(fields["cells"])
    answers, words = fields["answers"], fields["words"]
    if not 1 <= side <= 4096 or not 1 <= cells <= side:
        raise ModelError(f"{path}: impossible input size {side} or map size {cells}")
    if not isinstance(answers, list) or not answers or not all(isinstance(t, str) for t in [*answers, *words]):
        raise ModelError(f"{path}: answers and words must be lists of texts")
    temperature = float(fields["temperature"])
    if not 0.01 <= temperature <= 100:
        raise ModelError(f"{path}: impossible temperature {temperature}")
    return ModelFile(
        path=path,
        kind=kind,
        side=side,
        cells=cells,
        attention=bool(fields["attention"]),
        temperature=temperature,
        vocabulary=Vocabulary(words),
        answers=tuple(answers),
        graphs=graphs,
        details=details,
    )
