"""Writes ONNX models without the onnx package. Fields are numbered as in onnx.proto3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

import numpy as np

from ..evqa_tensors import Array
from ..onnx_file import field, seal

IR_VERSION, OPSET = 7, 13
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
Dim = Union[int, str]
"""A size, or the name of one that is known only when running."""


class GraphWriter:
    """Collects nodes, constants, inputs and outputs, in the order in which they are to be computed."""

    def __init__(self, name: str) -> None:
        self._content = [field(2, name)]
        self._names: set[str] = set()
        self._domains: dict[str, int] = {"": OPSET}

    def node(
        self,
        kind: str,
        *inputs: str,
        out: str = "",
        skipped: int = 0,
        domain: str = "",
        **attributes: int | str | Sequence[int],
    ) -> str:
        """Add a node; returns the name of its output, the one after `skipped` others."""
        out = out or self._unused(kind)
        outputs = [*[""] * skipped, out]
        node = b"".join([*(field(1, name) for name in inputs), *(field(2, name) for name in outputs), field(4, kind)])
        if domain:
            self._domains[domain] = 1
            node += field(7, domain)
        self._content.append(field(1, node + _attributes(attributes)))
        return out

    def split(self, name: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Cut a value into parts of these sizes; returns their names."""
        outputs = [self._unused("Split") for _ in sizes]
        inputs = (name, self.constant(np.array(sizes, np.int64)))
        node = b"".join([*(field(1, i) for i in inputs), *(field(2, o) for o in outputs), field(4, "Split")])
        self._content.append(field(1, node + _attributes({"axis": axis})))
        return outputs

    def constant(self, array: Array | np.generic, name: str = "") -> str:
        """Add a constant; returns its name."""
        name = name or self._unused("constant")
        dims = b"".join(field(1, dim) for dim in array.shape)
        tensor = dims + field(2, _TYPES[array.dtype.name]) + field(8, name) + field(9, array.tobytes())
        self._content.append(field(5, tensor))
        return name

    def input(self, name: str, type_: str, shape: Sequence[Dim], doc: str) -> str:
        self._content.append(field(11, _value(name, type_, shape, doc)))
        return name

    def output(self, name: str, type_: str, shape: Sequence[Dim], doc: str) -> None:
        self._content.append(field(12, _value(name, type_, shape, doc)))

    def declare(self, name: str, type_: str, shape: Sequence[Dim], doc: str) -> None:
        """Say what a value between nodes is."""
        self._content.append(field(13, _value(name, type_, shape, doc)))

    def model(self, producer: tuple[str, str], doc: str, metadata: Mapping[str, str | bytes]) -> bytes:
        """The serialized model; `producer` is a name and a version."""
        start = [field(1, IR_VERSION), field(2, producer[0]), field(3, producer[1]), field(6, doc)]
        graph = field(7, b"".join(self._content))
        opsets = (field(8, field(1, domain) + field(2, version)) for domain, version in self._domains.items())
        return seal(b"".join([*start, graph, *opsets]), metadata)

    def _unused(self, kind: str) -> str:
        self._names.add(name := f"{kind}_{len(self._names) + 1}")
        return name


def _attributes(attributes: Mapping[str, int | str | Sequence[int]]) -> bytes:
    parts = []
    for name, value in attributes.items():
        if isinstance(value, int):
            content, type_ = field(3, value), 2
        elif isinstance(value, str):
            content, type_ = field(4, value), 3
        else:
            content, type_ = b"".join(field(8, v) for v in value), 7
        parts.append(field(5, field(1, name) + content + field(20, type_)))
    return b"".join(parts)


def _value(name: str, type_: str, shape: Sequence[Dim], doc: str) -> bytes:
    dims = b"".join(field(1, field(1 if isinstance(dim, int) else 2, dim)) for dim in shape)
    return field(1, name) + field(2, field(1, field(1, _TYPES[type_]) + field(2, dims))) + field(3, doc)
