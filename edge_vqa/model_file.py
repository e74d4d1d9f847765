"""A model on disk, of one of three kinds.

.evqa     what the engine in C++ maps into memory (docs/evqa-format.md).
.onnx     a graph for onnxruntime and whatever else reads ONNX.
.tflite   a graph for LiteRT.

Graphs (docs/formats.md) hold everything that is not arithmetic as one JSON text. A model is one whole file, or an
encoder and a head beside each other: NAME.encoder.onnx and NAME.head.onnx.

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

    from .evqa_file import EvqaFile

EVQA, ONNX, TFLITE = ".evqa", ".onnx", ".tflite"
WHOLE, ENCODER, HEAD = PARTS = "whole", "encoder", "head"
PRECISIONS = ("int8", "float32")
"""By their number in an .evqa file."""
FORMAT, VERSION = "edge_vqa", 2
"""What the JSON in .onnx and .tflite files says that it is."""
BUNDLED: Path
DEFAULT = "mobilenetv2-lstm-attention"
_BUNDLED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
_FIELDS = frozenset((
    "format", "version", "part", "name", "precision", "side", "cells", "attention", "temperature", "pixel_zero",
    "pixel_scale", "words", "answers",
))  # fmt: skip
"""What is not in ModelFile.about."""
_EVQA_MAGIC, _EVQA_VERSION = b"\x89EVQA\r\n\n", 2
_TFLITE_MAGIC = b"TFL3"
"""At byte 4."""


def __getattr__(name: str) -> Any:
    if name == "BUNDLED":  # a Path for those who want one; loading pathlib would cost the command 4 ms
        from pathlib import Path

        return Path(_BUNDLED)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ModelFile(NamedTuple):
    """A model as described on disk. The engine reads what it computes with from `files`."""

    path: str
    kind: str
    """EVQA, ONNX or TFLITE."""
    side: int
    cells: int
    attention: bool
    temperature: float
    vocabulary: Vocabulary
    answers: tuple[str, ...]
    files: dict[str, str]
    """Part -> path: WHOLE alone, or ENCODER and HEAD."""
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


def find_model(model: str | os.PathLike[str] | None) -> str:
    """The file behind a path or the name of a bundled model; None is the default model. Raises ModelError."""
    path = os.fspath(DEFAULT if model is None else model)
    if os.path.isfile(path):
        return path
    if os.sep not in path:
        for kind in (EVQA, ONNX, TFLITE, ""):
            bundled = os.path.join(_BUNDLED, path + kind)
            if os.path.isfile(bundled):
                return bundled
    raise ModelError(f"{path}: no such model file, and no bundled model of that name (bundled: {_bundled_names()})")


def _bundled_names() -> str:
    found = (os.path.splitext(file) for file in os.listdir(_BUNDLED))
    return ", ".join(sorted({name for name, kind in found if kind in (EVQA, ONNX, TFLITE)})) or "none"


def load_model(model: str | os.PathLike[str] | None = None) -> ModelFile:
    """Read a model file and check what it says of itself. Raises ModelError, naming what is wrong.

    The kind is told by the content, not by the name. Beside half a model its other half is looked for. The SHA-256 of
    .onnx and .tflite files is checked here; that of an .evqa file, and what any file computes with, by the engine that
    opens it.
    """
    path = find_model(model)
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_EVQA_MAGIC))
            if start == _EVQA_MAGIC:
                return _load_evqa(path, stream)
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise ModelError(f"{path}: not a readable model file ({error})") from error
    return _load_described(path, TFLITE if start[4:8] == _TFLITE_MAGIC else ONNX)


def describe(file: EvqaFile, part: str) -> bytes:
    """The JSON text, in UTF-8, of the .onnx or .tflite file made of this part of an .evqa model."""
    import json

    sizes = file.sizes
    fields = {
        "format": FORMAT, "version": VERSION, "part": part, "name": str(file.about.get("name", "")),
        "precision": PRECISIONS[sizes.precision], "side": sizes.side, "cells": sizes.cells,
        "attention": bool(sizes.attention), "temperature": sizes.temperature, "pixel_zero": sizes.pixel_zero,
        "pixel_scale": sizes.pixel_scale, "words": file.words, "answers": file.answers,
    }  # fmt: skip
    more = {name: value for name, value in file.about.items() if name not in fields}
    return json.dumps({**fields, **more}, ensure_ascii=False).encode()


def _load_evqa(path: str, stream: Any) -> ModelFile:
    """The sections that are not arithmetic, see docs/evqa-format.md."""
    size = os.fstat(stream.fileno()).st_size
    version, count, length, _crc, zero = struct.unpack("<IIQII", stream.read(24))
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
    return _from_fields(path, EVQA, fields, {WHOLE: path}, parts[b"ABOU"])


def _load_described(path: str, kind: str) -> ModelFile:
    """A file that holds its description as JSON, and its other half where it is one."""
    details, fields = _read_fields(path, kind)
    part = fields["part"]
    files = {part: path}
    if part != WHOLE:
        wanted = HEAD if part == ENCODER else ENCODER
        files[wanted] = other = _other_half(path, kind, part, wanted)
        theirs = _read_fields(other, kind)[1]
        if theirs["part"] != wanted:
            raise ModelError(f"{other}: called the {wanted} of a model, but says that it is its {theirs['part']}")
        differing = [name for name in sorted(_FIELDS - {"part"}) if theirs[name] != fields[name]]
        if differing:
            raise ModelError(f"{other}: not the {wanted} of {path}: they differ in {', '.join(differing)}")
    return _from_fields(path, kind, fields, files, details)


def part_name(stem: str, part: str, kind: str) -> str:
    """The name of the file that holds `part` of the model whose files begin with `stem`."""
    return f"{stem}{kind}" if part == WHOLE else f"{stem}.{part}{kind}"


def _other_half(path: str, kind: str, part: str, wanted: str) -> str:
    stem, ending = os.path.splitext(path)
    if not stem.endswith(f".{part}"):
        raise ModelError(f"{path}: the {part} of a model; call it NAME.{part}{kind}, and the other NAME.{wanted}{kind}")
    other = f"{stem[: -len(part)]}{wanted}{ending}"
    if not os.path.isfile(other):
        raise ModelError(f"{path}: the {part} of a model, whose {wanted} is missing: {other}")
    return other


def _read_fields(path: str, kind: str) -> tuple[bytes, dict[str, Any]]:
    """The JSON in an .onnx or .tflite file: as it stands, and read and checked. Raises ModelError."""
    import json

    details = _read_metadata(path, kind)
    try:
        fields = json.loads(details)
        json.dumps(fields, ensure_ascii=False).encode()  # half of a surrogate pair could not be printed
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: what it says of itself is not JSON ({error})") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ModelError(f"{path}: not a model of edge_vqa")
    if fields.get("version") != VERSION:
        raise ModelError(f"{path}: format version {fields.get('version')}; this release reads version {VERSION}")
    missing = sorted(_FIELDS - set(fields))
    if missing:
        raise ModelError(f"{path}: does not say its {', '.join(missing)}")
    _check_types(path, fields)
    return details, fields


def _read_metadata(path: str, kind: str) -> bytes:
    if kind == ONNX:
        from . import onnx_file

        return onnx_file.read_metadata(path)
    from . import tflite_file

    return tflite_file.read_metadata(path)


def _check_types(path: str, fields: dict[str, Any]) -> None:
    """JSON may hold anything where a number or a text is wanted."""
    wanted: dict[type, tuple[str, ...]] = {
        str: ("part", "name", "precision"), int: ("side", "cells", "pixel_zero"), bool: ("attention",),
        list: ("words", "answers"),
    }  # fmt: skip
    for kind, names in wanted.items():
        for name in names:
            if type(fields[name]) is not kind:
                raise ModelError(f"{path}: {name} must be of the type {kind.__name__}, not {fields[name]!r:.80}")
    for name in ("temperature", "pixel_scale"):
        if type(fields[name]) not in (int, float) or not 0 < fields[name] < 1e30:
            raise ModelError(f"{path}: {name} must be a number above 0, not {fields[name]!r:.80}")
    for name in ("words", "answers"):
        if not all(isinstance(text, str) and text and min(text) >= " " for text in fields[name]):
            raise ModelError(f"{path}: {name} holds what is not a text, an empty text or a control character")
    if fields["part"] not in PARTS or fields["precision"] not in PRECISIONS or not 0 <= fields["pixel_zero"] <= 255:
        raise ModelError(f"{path}: impossible part, precision or pixel_zero")


def _from_fields(path: str, kind: str, fields: dict[str, Any], files: dict[str, str], details: bytes) -> ModelFile:
    side, cells, temperature = fields["side"], fields["cells"], float(fields["temperature"])
    if not 1 <= side <= 1024 or not 1 <= cells <= min(64, side):
        raise ModelError(f"{path}: impossible input size {side} or map size {cells}")
    if not fields["answers"]:
        raise ModelError(f"{path}: knows no answers")
    if not 0.01 <= temperature <= 100:
        raise ModelError(f"{path}: impossible temperature {temperature}")
    try:
        vocabulary = Vocabulary(fields["words"])
    except ValueError as error:
        raise ModelError(f"{path}: its words are damaged ({error})") from error
    return ModelFile(
        path=path,
        kind=kind,
        side=side,
        cells=cells,
        attention=bool(fields["attention"]),
        temperature=temperature,
        vocabulary=vocabulary,
        answers=tuple(fields["answers"]),
        files=files,
        details=details,
    )
