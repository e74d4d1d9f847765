"""The `.evqa` file: reads what it says of itself, checks it, writes it. docs/evqa-format.md is the definition.

Only the standard library is needed here. The tensors themselves are read and checked by edge_vqa.evqa_tensors, or by
the engine in C++.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .errors import ModelError
from .model_file import PRECISIONS as PRECISIONS

MAGIC, VERSION = b"\x89EVQA\r\n\n", 2
INT8, FLOAT32 = 0, 1
"""Sizes.precision: places in PRECISIONS."""
NO_BOUND = 3.4e38
"""Conv.high, and with a minus Conv.low, of a float32 convolution that is not clamped."""
ALIGNMENT = 64
MAX_BYTES = 1 << 28
_MAX_SIZE = 4096
_MAX_MAP = 1 << 26
_HEADER = struct.Struct("<8sIIQII32s")
_ENTRY = struct.Struct("<4sIQQ")
_MODL = struct.Struct("<10I2fifiIfI")
_CONV = struct.Struct("<7I2i2fififI3Q")
_HEAD = struct.Struct("<iI23Q")
_SECTIONS = ("ABOU", "WORD", "ANSW", "MODL", "CONV", "HEAD", "DATA")


class TensorShape(NamedTuple):
    """`kind` is NumPy's name: |i1, |u1, <i4 or <f4."""

    kind: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * int(self.kind[-1])


@dataclass(frozen=True)
class Sizes:
    """The record MODL, see docs/evqa-format.md."""

    side: int
    cells: int
    channels: int
    words: int
    answers: int
    attention: int
    glimpses: int
    """0 without attention."""
    embedding: int
    hidden: int
    joint: int
    temperature: float
    features_scale: float
    features_zero: int
    place_scale: float
    pixel_zero: int
    precision: int = INT8
    """INT8 or FLOAT32."""
    pixel_scale: float = 1 / 127.5
    """A pixel p stands for (p - pixel_zero) * pixel_scale."""

    def tensors(self) -> dict[str, TensorShape]:
        """The head's tensors, in the order of the record HEAD; absent ones have no elements."""
        real = self.precision == FLOAT32
        weight = "<f4" if real else "|i1"
        c, h, j, g = self.channels, self.hidden, self.joint, self.glimpses
        a, gates = self.answers + 1, 4 * self.hidden
        shapes = {
            "embedding": TensorShape("<f4" if real else "|u1", (self.words, self.embedding)),
            "place": TensorShape("<f4", (self.cells**2, c)),
            "lstm_x": TensorShape(weight, (gates, self.embedding)),
            "lstm_x_scale": TensorShape("<f4", (0 if real else gates,)),
            "lstm_h": TensorShape(weight, (gates, h)),
            "lstm_h_scale": TensorShape("<f4", (0 if real else gates,)),
            "lstm_bias": TensorShape("<f4", (gates,)),
        }

        def dense(name: str, rows: int, columns: int) -> None:
            shapes[name] = TensorShape(weight, (rows, columns))
            shapes[f"{name}_scale"] = TensorShape("<f4", (0 if real else rows,))
            shapes[f"{name}_bias"] = TensorShape("<f4", (rows,))

        dense("scale", c, h)
        dense("shift", c, h)
        dense("question", j, h)
        shapes["score"], shapes["score_bias"] = TensorShape("<f4", (g, c)), TensorShape("<f4", (g,))
        dense("picture", j, (g + 1) * c)
        shapes["answer"], shapes["answer_bias"] = TensorShape("<f4", (j, a)), TensorShape("<f4", (a,))
        return {f"head.{name}": shape for name, shape in shapes.items()}


@dataclass(frozen=True)
class Conv:
    """One record of CONV, see docs/evqa-format.md, without its offsets."""

    depthwise: int
    kernel: int
    stride: int
    inputs: int
    outputs: int
    in_side: int
    out_side: int
    in_zero: int
    out_zero: int
    low: float
    """In steps of the output where that is int8, then a whole number."""
    high: float
    residual: int = -1
    residual_scale: float = 0.0
    residual_zero: int = 0
    out_scale: float = 1.0
    """What one step of the output stands for."""

    def tensors(self, number: int, precision: int = INT8) -> dict[str, TensorShape]:
        """The tensors of the convolution with this number; absent ones have no elements."""
        k, real = self.kernel, precision == FLOAT32
        weights = (k, k, self.outputs) if self.depthwise else (self.outputs, k, k, self.inputs)
        return {
            f"conv{number}.weights": TensorShape("<f4" if real else "|i1", weights),
            f"conv{number}.bias": TensorShape("<f4" if real else "<i4", (self.outputs,)),
            f"conv{number}.scale": TensorShape("<f4", (0 if real else self.outputs,)),
        }


@dataclass(frozen=True)
class EvqaFile:
    """What a file says of itself: everything but the tensors' values."""

    path: Path
    about: dict[str, Any]
    words: tuple[str, ...]
    answers: tuple[str, ...]
    sizes: Sizes
    convs: tuple[Conv, ...]
    embedding_zero: int
    offsets: dict[str, int] = field(default_factory=dict)
    """Tensor name (conv0.weights, head.place, ...) -> its offset in the file; absent tensors are left out."""

    def tensors(self) -> dict[str, TensorShape]:
        """Every tensor that the file holds, by name, in the order of the records."""
        shapes: dict[str, TensorShape] = {}
        for number, conv in enumerate(self.convs):
            shapes |= conv.tensors(number, self.sizes.precision)
        shapes |= self.sizes.tensors()
        return {name: shape for name, shape in shapes.items() if shape.bytes}


def read_evqa(path: str | os.PathLike[str], verify: bool = False) -> EvqaFile:
    """Read and check everything but the tensors' values; `verify` also compares the SHA-256 with the content's.

    Raises ModelError when the file cannot be read, is damaged, or is of another version.
    """
    return parse_evqa(Path(path), read_content(path), verify)


def read_content(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes. Raises ModelError when there is no such file or it cannot be read."""
    try:
        if not Path(path).is_file():
            raise ModelError(f"{path}: no such file")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error


def parse_evqa(path: Path, data: bytes, verify: bool = True) -> EvqaFile:
    """The same as read_evqa for a file's content; `path` is only named in errors."""
    sections = _read_sections(path, data, verify)
    content = {name: data[start : start + length] for name, (start, length) in sections.items()}
    words, answers = _texts(path, "WORD", content["WORD"]), _texts(path, "ANSW", content["ANSW"])
    _require(path, len(set(words)) == len(words), "a word comes twice")
    sizes = _read_sizes(path, content["MODL"])
    _require(path, sizes.words == len(words) + 2, f"{len(words)} words, but MODL says {sizes.words} ids")
    _require(path, sizes.answers == len(answers), f"{len(answers)} answers, but MODL says {sizes.answers}")
    convs, conv_offsets = _read_convs(path, sizes, content["CONV"])
    embedding_zero, head_offsets = _read_head(path, sizes, content["HEAD"])
    about = _read_about(path, content["ABOU"])
    named = PRECISIONS[sizes.precision]
    _require(path, about.get("precision", named) == named, f"{named}, but ABOU says {about.get('precision')}")
    file = EvqaFile(path, about, words, answers, sizes, convs, embedding_zero, {**conv_offsets, **head_offsets})
    start, length = sections["DATA"]
    for name, shape in file.tensors().items():
        offset = file.offsets[name]
        _require(path, offset % ALIGNMENT == 0, f"{name} is not at a multiple of {ALIGNMENT}")
        inside = start <= offset and offset + shape.bytes <= start + length
        _require(path, inside, f"{name} does not lie in DATA")
    return file


def write_evqa(path: Path, model: EvqaFile, tensors: Mapping[str, bytes]) -> None:
    """Write a file, whole or not at all; the same model gives the same bytes. `model.offsets` is not looked at.

    `tensors` holds each of model.tensors() as little-endian bytes. Raises ModelError when the model makes no sense.
    """
    shapes = model.tensors()
    for name in {*shapes, *tensors}:
        if name not in shapes or name not in tensors or len(tensors[name]) != shapes[name].bytes:
            raise ModelError(f"{path}: the tensor {name} is missing, not part of the model, or of another size")
    try:
        data = _lay_out(model, tensors)
    except (struct.error, ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"{path}: the model cannot be written ({error})") from error
    parse_evqa(path, data)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def _lay_out(model: EvqaFile, tensors: Mapping[str, bytes]) -> bytes:
    s = model.sizes
    count = len(model.convs)
    texts = {
        "ABOU": json.dumps(model.about, ensure_ascii=False, sort_keys=True).encode(),
        "WORD": "".join(f"{word}\n" for word in model.words).encode(),
        "ANSW": "".join(f"{answer}\n" for answer in model.answers).encode(),
    }
    lengths = {name: len(text) for name, text in texts.items()}
    lengths |= {"MODL": _MODL.size, "CONV": count * _CONV.size, "HEAD": _HEAD.size}
    at, starts = _HEADER.size + len(_SECTIONS) * _ENTRY.size, {}
    for name, length in lengths.items():
        starts[name] = at = _aligned(at)
        at += length
    starts["DATA"] = at = _aligned(at)
    every = [name for n, conv in enumerate(model.convs) for name in conv.tensors(n)]
    offsets = dict.fromkeys([*every, *s.tensors()], 0)
    for name, shape in model.tensors().items():
        offsets[name] = at = _aligned(at)
        at += shape.bytes
    lengths["DATA"] = at - starts["DATA"]
    modl = (
        s.side, s.cells, s.channels, s.words, s.answers, s.attention, s.glimpses, s.embedding, s.hidden, s.joint,
        s.temperature, s.features_scale, s.features_zero, s.place_scale, s.pixel_zero,
        s.precision, s.pixel_scale, 0,
    )  # fmt: skip
    convs = [
        _CONV.pack(*vars(conv).values(), 0, *(offsets[name] for name in conv.tensors(n)))
        for n, conv in enumerate(model.convs)
    ]
    head = _HEAD.pack(model.embedding_zero, 0, *(offsets[name] for name in s.tensors()))
    content = bytearray(at)
    content[_HEADER.size : starts["ABOU"]] = b"".join(
        _ENTRY.pack(name.encode(), 0, starts[name], lengths[name]) for name in _SECTIONS
    ).ljust(starts["ABOU"] - _HEADER.size, b"\0")
    parts = {starts[name]: text for name, text in texts.items()}
    parts |= {starts["MODL"]: _MODL.pack(*modl), starts["CONV"]: b"".join(convs), starts["HEAD"]: head}
    parts |= {offsets[name]: tensors[name] for name in model.tensors()}
    for start, part in parts.items():
        content[start : start + len(part)] = part
    rest = bytes(memoryview(content)[_HEADER.size :])
    digest = hashlib.sha256(rest).digest()
    header = _HEADER.pack(MAGIC, VERSION, len(_SECTIONS), at, zlib.crc32(rest, zlib.crc32(digest)), 0, digest)
    return header + rest


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _require(path: Path, fine: bool, what: str) -> None:
    if not fine:
        raise ModelError(f"{path}: {what}")


def _read_sections(path: Path, data: bytes, verify: bool) -> dict[str, tuple[int, int]]:
    """Name -> offset and bytes of every section."""
    size, end = len(data), _HEADER.size + len(_SECTIONS) * _ENTRY.size
    _require(path, data.startswith(MAGIC) and size >= _HEADER.size, "not an .evqa model file")
    _, version, count, length, crc, reserved, digest = _HEADER.unpack_from(data)
    _require(path, version == VERSION, f"format version {version}; this release reads version {VERSION}")
    _require(path, length == size, f"{size} bytes, but the header says {length}: truncated or damaged")
    _require(path, size <= MAX_BYTES, f"larger than {MAX_BYTES >> 20} MB")
    fine = reserved == 0 and count == len(_SECTIONS) and size >= end
    _require(path, fine, f"the header is damaged ({count} sections)")
    if verify:
        rest = memoryview(data)[_HEADER.size :]
        found = zlib.crc32(memoryview(data)[_HEADER.size - len(digest) :])
        _require(path, crc in (0, found), "damaged (its CRC-32 is not the header's)")
        _require(path, hashlib.sha256(rest).digest() == digest, "damaged (its SHA-256 is not the header's)")
    sections: dict[str, tuple[int, int]] = {}
    for raw, zero, offset, bytes_ in _ENTRY.iter_unpack(data[_HEADER.size : end]):
        name = raw.decode("latin-1")
        fine = name in _SECTIONS and name not in sections and zero == 0
        _require(path, fine, f"the table of sections names {name!r}, unknown or twice")
        _require(path, offset % ALIGNMENT == 0 and offset + bytes_ <= size, f"{name} lies outside the file")
        sections[name] = (offset, bytes_)
    places = [(0, end), *sorted(sections.values())]
    apart = all(a[0] + a[1] <= b[0] for a, b in zip(places, places[1:]))
    _require(path, apart, "sections overlap")
    return sections


def _read_about(path: Path, data: bytes) -> dict[str, Any]:
    try:
        about = json.loads(data)
        json.dumps(about, ensure_ascii=False).encode()  # half of a surrogate pair could not be printed
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: ABOU is not JSON ({error})") from error
    if not isinstance(about, dict):
        raise ModelError(f"{path}: ABOU is not a JSON object")
    return about


def _texts(path: Path, section: str, data: bytes) -> tuple[str, ...]:
    try:
        *texts, rest = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: {section} is not UTF-8 ({error})") from error
    fine = not rest and all(text and min(text) >= " " for text in texts)
    _require(path, fine, f"{section} holds an empty text, a control character, or does not end with a line feed")
    return tuple(texts)


def _read_sizes(path: Path, data: bytes) -> Sizes:
    _require(path, len(data) == _MODL.size, f"MODL has {len(data)} bytes")
    *values, zero = _MODL.unpack(data)
    s = Sizes(*values)
    _require(path, zero == 0, "MODL is damaged")
    _require(
        path, 1 <= s.side <= 1024 and 1 <= s.cells <= min(64, s.side), f"impossible side {s.side} or cells {s.cells}"
    )
    for name in ("channels", "embedding", "hidden", "joint"):
        value = getattr(s, name)
        _require(path, 1 <= value <= _MAX_SIZE, f"impossible number of {name}: {value}")
    _require(path, 2 <= s.words <= 65535 and 1 <= s.answers <= _MAX_SIZE, "impossible number of words or answers")
    fine = s.attention in (0, 1) and s.attention <= s.glimpses <= 7 * s.attention
    _require(path, fine, f"impossible attention {s.attention} with {s.glimpses} glimpses")
    _require(path, 0.01 <= s.temperature <= 100, f"impossible temperature {s.temperature}")
    scales = (s.features_scale, s.place_scale, s.pixel_scale)
    _require(path, _is_scale(*scales), "MODL holds a scale that is not a number above 0")
    _require(path, _is_byte(s.features_zero, s.pixel_zero), "MODL holds a zero point that is not 0 to 255")
    _require(path, s.precision in (INT8, FLOAT32), f"precision {s.precision} is neither int8 (0) nor float32 (1)")
    fine = s.precision == INT8 or (s.features_scale, s.features_zero, s.place_scale) == (1, 0, 1)
    _require(path, fine, "a float32 model whose features have a scale or a zero point")
    return s


def _is_scale(*values: float) -> bool:
    return all(0 < value < math.inf for value in values)


def _is_byte(*values: int) -> bool:
    return all(0 <= value <= 255 for value in values)


def _read_convs(path: Path, sizes: Sizes, data: bytes) -> tuple[tuple[Conv, ...], dict[str, int]]:
    count, rest = divmod(len(data), _CONV.size)
    _require(path, rest == 0 and 1 <= count <= 1000, f"CONV has {len(data)} bytes")
    convs: list[Conv] = []
    offsets: dict[str, int] = {}
    given = (3, sizes.side, sizes.pixel_zero)
    for number, values in enumerate(_CONV.iter_unpack(data)):
        conv = Conv(*values[:15])
        problem = "damaged" if values[15] else _problem(conv, convs, given) or _number_problem(conv, sizes)
        _require(path, not problem, f"convolution {number}: {problem}")
        given = (conv.outputs, conv.out_side, conv.out_zero)
        convs.append(conv)
        shapes = conv.tensors(number, sizes.precision)
        own = dict(zip(shapes, values[16:]))
        absent = [own.pop(name) for name, shape in shapes.items() if not shape.bytes]
        _require(path, not any(absent), f"convolution {number}: float32 sums have no scale")
        offsets |= own
    last = convs[-1]
    fine = (last.outputs, last.out_side) == (sizes.channels, sizes.cells)
    _require(path, fine, f"the last convolution gives {last.outputs} channels of {last.out_side} x {last.out_side}")
    return tuple(convs), offsets


def _problem(c: Conv, before: list[Conv], given: tuple[int, int, int]) -> str | None:
    """What is wrong with a convolution; `given` are the channels, side and zero point of what it takes."""
    checks: Iterable[tuple[bool, str]] = (
        (c.depthwise in (0, 1), f"depthwise is {c.depthwise}"),
        (c.kernel == 3 or (c.kernel == 1 and not c.depthwise), f"kernel {c.kernel}"),
        (c.stride in (1, 2), f"stride {c.stride}"),
        ((c.inputs, c.in_side, c.in_zero) == given, "does not take what the one before gives"),
        (1 <= c.outputs <= _MAX_SIZE, f"{c.outputs} outputs"),
        (not c.depthwise or c.outputs == c.inputs, "depthwise, but outputs differ from inputs"),
        (c.out_side * c.stride in (c.in_side, c.in_side + c.stride - 1), f"side {c.in_side} becomes {c.out_side}"),
        (c.out_side**2 * c.outputs <= _MAX_MAP, "gives too large a map"),
        (_is_byte(c.in_zero, c.out_zero, c.residual_zero), "zero points are 0 to 255"),
        (_is_scale(c.out_scale), f"a step of {c.out_scale}"),
        (c.residual == -1 or _fits(c, before), f"cannot add the output of convolution {c.residual}"),
    )
    return next((what for fine, what in checks if not fine), None)


def _number_problem(c: Conv, sizes: Sizes) -> str | None:
    """What is wrong with a convolution's bounds, zero points and scales for the model's precision."""
    if sizes.precision == INT8:
        fine = 0 <= c.low <= c.high <= 255 and c.low == int(c.low) and c.high == int(c.high)
        return None if fine else f"bounds {c.low:g} and {c.high:g}"
    if not -math.inf < c.low <= c.high < math.inf:
        return f"bounds {c.low:g} and {c.high:g}"
    plain = (c.out_zero, c.residual_zero, c.out_scale) == (0, 0, 1) and (c.residual == -1 or c.residual_scale == 1)
    return None if plain else "float32, but with a scale or a zero point"


def _fits(c: Conv, before: list[Conv]) -> bool:
    if c.depthwise or not 0 <= c.residual < len(before) - 1 or not _is_scale(c.residual_scale):
        return False
    r = before[c.residual]
    return (r.outputs, r.out_side, r.out_zero) == (c.outputs, c.out_side, c.residual_zero)


def _read_head(path: Path, sizes: Sizes, data: bytes) -> tuple[int, dict[str, int]]:
    _require(path, len(data) == _HEAD.size, f"HEAD has {len(data)} bytes")
    embedding_zero, zero, *values = _HEAD.unpack(data)
    _require(path, zero == 0 and _is_byte(embedding_zero), "HEAD is damaged")
    shapes = sizes.tensors()
    _require(path, sizes.precision == INT8 or embedding_zero == 0, "float32, but its embedding has a zero point")
    offsets = dict(zip(shapes, values))
    absent = [offsets.pop(name) for name, shape in shapes.items() if not shape.bytes]
    _require(path, not any(absent), "HEAD names scores without attention, or scales of float32")
    return embedding_zero, offsets
