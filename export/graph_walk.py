"""Walking an ONNX graph by what its nodes do; no name that an exporter invents is relied on."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edge_vqa.errors import ModelError

Array = np.ndarray[Any, Any]


class Graph:
    """A graph's nodes by what they make and take. Every look-up raises ModelError when the graph is another."""

    def __init__(self, data: bytes, where: str) -> None:
        """`data` is a serialized onnx.ModelProto; `where` begins every error message."""
        self.where = where
        try:
            graph = onnx.load_from_string(data).graph
        except Exception as error:  # protobuf's errors share no base class but Exception
            raise ModelError(f"{where} is not an ONNX graph ({error})") from error
        self.nodes = list(graph.node)
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._takers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._takers.setdefault(name, []).append(node)

    def fail(self, what: str) -> ModelError:
        return ModelError(f"{self.where} is not a graph that export.to_onnx quantizes to int8: {what}")

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def constant(self, name: str) -> Array:
        if name not in self._constants:
            raise self.fail(f"{name or 'an input'} is not stored in the file")
        return numpy_helper.to_array(self._constants[name])

    def attribute(self, node: Any, name: str, default: Any) -> Any:
        return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)

    def maker(self, name: str, *kinds: str, past: tuple[str, ...] = ()) -> Any:
        """The node of one of these kinds that makes a tensor, past nodes that only reshape it."""
        node = self._makers.get(name)
        while node is not None and node.op_type in past:
            node = self._makers.get(node.input[0])
        if node is None or node.op_type not in kinds:
            found = "nothing" if node is None else node.op_type
            raise self.fail(f"{name or 'an input'} is made by {found}, not by {' or '.join(kinds)}")
        return node

    def makes(self, name: str, kind: str, past: tuple[str, ...] = ()) -> bool:
        try:
            self.maker(name, kind, past=past)
        except ModelError:
            return False
        return True

    def takers(self, name: str) -> list[Any]:
        return self._takers.get(name, [])

    def only_taker(self, name: str, *kinds: str) -> Any:
        takers = self.takers(name)
        if len(takers) != 1 or takers[0].op_type not in kinds:
            found = ", ".join(node.op_type for node in takers) or "nothing"
            raise self.fail(f"{name} is taken by {found}, not by one {' or '.join(kinds)}")
        return takers[0]

    def one(self, kind: str) -> Any:
        found = [node for node in self.nodes if node.op_type == kind]
        if len(found) != 1:
            raise self.fail(f"{len(found)} nodes {kind} instead of one")
        return found[0]

    def other(self, node: Any, *kinds: str, past: tuple[str, ...] = ()) -> tuple[Any, str]:
        """Of a node's two inputs, the maker of the one that a node of these kinds makes, and the other's name."""
        for mine, other in ((0, 1), (1, 0)):
            if any(self.makes(node.input[mine], kind, past) for kind in kinds):
                return self.maker(node.input[mine], *kinds, past=past), node.input[other]
        raise self.fail(f"neither input of {node.op_type} {node.output[0]} is made by {' or '.join(kinds)}")

    def scale_and_zero(self, node: Any) -> tuple[Array, Array]:
        """Scale float64 and zero point int64 of QuantizeLinear or DequantizeLinear."""
        scale = self.constant(node.input[1]).astype(np.float64)
        if len(node.input) < 3 or not node.input[2]:
            return scale, np.zeros(scale.shape, np.int64)
        return scale, self.constant(node.input[2]).astype(np.int64)
