"""Reads `.onnx` files with the standard library alone: what they say of themselves, and the two halves of a graph.

A file is a protobuf message: fields, each a number, a wire type and content, in any order. Fields are named here by
their numbers in onnx.proto3. Whatever is cut off or makes no sense is a ModelError.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping

from .errors import ModelError

METADATA_KEY, DIGEST_KEY = "edge_vqa", "edge_vqa_sha256"
"""In metadata_props: a JSON text; the SHA-256 of the file, in hexadecimal, taken with zeros in its own place."""
_NO_DIGEST = b"0" * 64
MAX_BYTES = 1 << 28
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# ModelProto
_MODEL_GRAPH, _MODEL_METADATA = 7, 14
# GraphProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
# NodeProto, AttributeProto
_NODE_INPUT, _NODE_OUTPUT, _ATTRIBUTE, _ATTRIBUTE_GRAPHS = 1, 2, 5, (6, 11)
# TensorProto; ValueInfoProto and StringStringEntryProto begin with a name, too
_TENSOR_NAME, _NAME, _ENTRY_VALUE = 8, 1, 2


class Malformed(ValueError):
    """The bytes are not a protobuf message."""


def varint(value: int) -> bytes:
    """An integer of up to 64 bits, seven a byte, the lowest first; negative ones as their two's complement."""
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | str | bytes | memoryview) -> bytes:
    """One field: an integer as a varint, anything else as bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | None, memoryview]]:
    """Number, content (None where it is a number) and all the bytes of every field. Raises Malformed."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        number, wire = key >> 3, key & 7
        content = None
        if wire == _VARINT:
            _, at = _read_varint(message, at)
        elif wire == _BYTES:
            length, at = _read_varint(message, at)
            content = message[at : at + length]
            at += length
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            raise Malformed(f"wire type {wire} at byte {start}")
        if number == 0 or at > len(message):
            raise Malformed(f"field {number} at byte {start} reaches beyond its message")
        yield number, content, message[start:at]


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise Malformed(f"no integer ends at byte {at}")
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def read_file(path: str | os.PathLike[str]) -> bytes:
    """A file's content. Raises ModelError when it cannot be read or is larger than 256 MB."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"{path}: larger than {MAX_BYTES >> 20} MB")
    return data


def seal(model: bytes, entries: Mapping[str, str | bytes]) -> bytes:
    """The model with these metadata_props, and the SHA-256 that read_metadata looks for. They come last.

    (OpenVINO takes a file for ONNX by the fields that it begins with.)
    """
    entries = {**entries, DIGEST_KEY: _NO_DIGEST}
    props = (field(_MODEL_METADATA, field(_NAME, key) + field(_ENTRY_VALUE, text)) for key, text in entries.items())
    data = b"".join([model, *props])
    return data[: -len(_NO_DIGEST)] + hashlib.sha256(data).hexdigest().encode()


def read_metadata(path: str | os.PathLike[str]) -> bytes:
    """The JSON text under METADATA_KEY in the file's metadata_props.

    Raises ModelError when the file cannot be read, is none of ours, or holds a DIGEST_KEY that is not its SHA-256. One
    without is taken as it is: tools that change a graph on purpose may drop it.
    """
    data = read_file(path)
    entries: dict[bytes, bytes] = {}
    try:
        for number, content, _ in fields(memoryview(data)):
            if number == _MODEL_METADATA:
                entry = {n: bytes(value) for n, value, _ in fields(_message(content)) if value is not None}
                entries.setdefault(entry.get(_NAME, b""), entry.get(_ENTRY_VALUE, b""))
    except Malformed as error:
        raise ModelError(f"{path}: not a model file, or a damaged one ({error})") from error
    if METADATA_KEY.encode() not in entries:
        raise ModelError(f"{path}: not a model of edge_vqa (no metadata {METADATA_KEY!r})")
    digest = entries.get(DIGEST_KEY.encode())
    if digest is not None:
        unsealed = data.replace(digest, _NO_DIGEST) if len(digest) == len(_NO_DIGEST) else b""
        if hashlib.sha256(unsealed).hexdigest().encode() != digest:
            raise ModelError(f"{path}: damaged (its SHA-256 is not the one that it names)")
    return entries[METADATA_KEY.encode()]


def cut(path: str | os.PathLike[str], data: bytes, value: str, outputs: Iterable[str]) -> tuple[bytes, bytes]:
    """Cut a model in two at `value`: the part that computes it, and the part that computes `outputs` from it.

    Each part has the nodes and constants that it needs, and of the inputs those that it uses; the second takes `value`
    as its first input. The model must declare the type of `value` among its value_info. `path` is only named in errors.
    Raises ModelError.
    """
    try:
        return _cut(data, value, tuple(outputs))
    except (Malformed, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be cut at {value!r} ({error})") from error


def _cut(data: bytes, value: str, outputs: tuple[str, ...]) -> tuple[bytes, bytes]:
    model = list(fields(memoryview(data)))
    graphs = [_message(content) for number, content, _ in model if number == _MODEL_GRAPH]
    if len(graphs) != 1:
        raise Malformed(f"{len(graphs)} graphs")
    graph = _Parts(graphs[0])
    if value not in graph.infos:
        raise Malformed("its type is not declared")
    first = graph.part({value: graph.infos[value]}, {})
    second = graph.part({name: graph.outputs.get(name, b"") for name in outputs}, {value: graph.infos[value]})

    def with_graph(part: bytes) -> bytes:
        return b"".join(field(_MODEL_GRAPH, part) if number == _MODEL_GRAPH else raw for number, _, raw in model)

    return with_graph(first), with_graph(second)


class _Parts:
    """A graph's nodes, constants, inputs and outputs, by name."""

    def __init__(self, graph: memoryview) -> None:
        self.nodes: list[tuple[list[str], list[str], memoryview]] = []
        """What each takes, what it gives, all its bytes."""
        self.constants: dict[str, memoryview] = {}
        self.inputs: dict[str, bytes] = {}
        self.outputs: dict[str, bytes] = {}
        self.infos: dict[str, bytes] = {}
        self._rest: list[memoryview] = []
        described = {_INPUT: self.inputs, _OUTPUT: self.outputs, _VALUE_INFO: self.infos}
        for number, content, raw in fields(graph):
            if number == _NODE:
                self.nodes.append((*_read_node(_message(content)), raw))
            elif number == _INITIALIZER:
                self.constants[_name(_message(content), _TENSOR_NAME)] = raw
            elif number in described:
                described[number][_name(_message(content), _NAME)] = bytes(_message(content))
            else:
                self._rest.append(raw)

    def part(self, outputs: dict[str, bytes], given: dict[str, bytes]) -> bytes:
        """The graph that computes `outputs` from the graph's inputs and from `given` (name -> ValueInfoProto)."""
        needed = set(outputs) - set(given)
        nodes = []
        for takes, gives, raw in reversed(self.nodes):
            if not needed.isdisjoint(gives):
                nodes.append(raw)
                needed |= set(takes) - set(given)
        made = {name for _, gives, _ in self.nodes for name in gives}
        lacking = sorted(needed - made - set(self.constants) - set(self.inputs) - {""})
        if lacking or not all(outputs.values()):
            raise Malformed(f"nothing gives {', '.join(lacking or sorted(outputs))}")
        return b"".join([
            *self._rest,
            *reversed(nodes),
            *(raw for name, raw in self.constants.items() if name in needed),
            *(field(_INPUT, info) for info in given.values()),
            *(field(_INPUT, info) for name, info in self.inputs.items() if name in needed),
            *(field(_OUTPUT, info) for info in outputs.values()),
        ])  # fmt: skip


def _message(content: memoryview | None) -> memoryview:
    if content is None:
        raise Malformed("a number stands where a message should")
    return content


def _name(message: memoryview, wanted: int) -> str:
    return next((bytes(content).decode() for number, content, _ in fields(message) if number == wanted and content), "")


def _read_node(node: memoryview) -> tuple[list[str], list[str]]:
    names: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: []}
    for number, content, _ in fields(node):
        if number in names:
            names[number].append(bytes(_message(content)).decode())
        elif number == _ATTRIBUTE and any(inner in _ATTRIBUTE_GRAPHS for inner, _, _ in fields(_message(content))):
            raise Malformed("a node holds a graph of its own")
    return names[_NODE_INPUT], names[_NODE_OUTPUT]
