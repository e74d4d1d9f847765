"""Writes a .tflite file operation by operation, through the schema that the package ai-edge-litert brings along.

A file holds one or more graphs; each is a signature with named inputs and outputs. Constants of the same name share
their bytes, within a graph and between graphs.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edge_vqa.tflite_file import DIGEST, METADATA, signed

Array = np.ndarray[Any, Any]

ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 3}
"""The schema's numbers of what may be fused into an operation."""
_TYPES = {"float32": "FLOAT32", "int32": "INT32", "int8": "INT8", "uint8": "UINT8"}
_OPTIONS = {
    "ABS": "Abs", "ADD": "Add", "BATCH_MATMUL": "BatchMatMul", "CAST": "Cast", "CONCATENATION": "Concatenation",
    "CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D", "DEQUANTIZE": "Dequantize",
    "FULLY_CONNECTED": "FullyConnected", "GATHER": "Gather", "LOGISTIC": "", "MAXIMUM": "MaximumMinimum",
    "MEAN": "Reducer", "MINIMUM": "MaximumMinimum", "MUL": "Mul", "PAD": "Pad", "QUANTIZE": "Quantize",
    "RESHAPE": "Reshape", "SOFTMAX": "Softmax", "SPLIT": "Split", "STRIDED_SLICE": "StridedSlice",
    "SUB": "Sub", "TANH": "", "TRANSPOSE": "Transpose",
}  # fmt: skip
"""Operation -> the schema's name of its options."""
_VERSIONS = {
    "ADD": 2, "CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "DEQUANTIZE": 2, "FULLY_CONNECTED": 9, "GATHER": 2, "MAXIMUM": 2,
    "MINIMUM": 2, "PAD": 2, "QUANTIZE": 2,
}  # fmt: skip
"""Versions above 1: those in which the operation takes what is written here (int8, a scale a channel)."""


class Steps(NamedTuple):
    """How an int8 or uint8 tensor stands for real numbers: (q - zero) * scale, one scale or one along `axis`."""

    scale: Array | float
    zero: int = 0
    axis: int = 0


class TfliteWriter:
    """The file being written. Its metadata buffers are METADATA, any bytes, and DIGEST, see edge_vqa.tflite_file."""

    def __init__(self) -> None:
        self.schema = importlib.import_module("ai_edge_litert.schema_py_generated")
        self._model = self.schema.ModelT()
        self._model.version = 3
        # Buffer 0 is, by the format's rule, the empty one of every tensor that is computed.
        self._model.operatorCodes, self._model.buffers = [], [self.schema.BufferT()]
        self._model.subgraphs, self._model.signatureDefs, self._model.metadata = [], [], []
        self._codes: dict[str, int] = {}
        self._shared: dict[str, tuple[bytes, int]] = {}

    def graph(self, name: str) -> Graph:
        """A further graph; the first is the one that runs when nobody names a signature."""
        return Graph(self, name)

    def finish(self, metadata: bytes) -> bytes:
        """The file."""
        flatbuffers = importlib.import_module("flatbuffers")
        for name, data in ((METADATA, metadata), (DIGEST, bytes(hashlib.sha256().digest_size))):
            entry = self.schema.MetadataT()
            entry.name, entry.buffer = name, self.buffer(np.frombuffer(data, np.uint8))
            self._model.metadata.append(entry)
        builder = _sparing(flatbuffers.Builder)(1 << 16)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return signed(bytes(builder.Output()))

    def buffer(self, values: Array) -> int:
        """The number of a new buffer with the bytes of `values`."""
        buffer = self.schema.BufferT()
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def shared_buffer(self, name: str, values: Array) -> int:
        """The number of the buffer of the constant `name`. Raises ValueError when it has other bytes elsewhere."""
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()
        if name not in self._shared:
            self._shared[name] = (digest, self.buffer(values))
        if self._shared[name][0] != digest:
            raise ValueError(f"the constant {name} has other values in another graph")
        return self._shared[name][1]

    def code(self, kind: str) -> int:
        """The number of an operation's kind."""
        if kind not in self._codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = _VERSIONS.get(kind, 1)
            self._codes[kind] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        return self._codes[kind]

    def add(self, graph: Any, signature: Any) -> None:
        signature.subgraphIndex = len(self._model.subgraphs)
        self._model.subgraphs.append(graph)
        self._model.signatureDefs.append(signature)


class Graph:
    """Tensors are numbers handed out by `tensor` and `constant`; operations run in the order they are added in.

    A size of None is open: it can be set before running (resize_tensor_input) and is 1 until then.
    """

    def __init__(self, writer: TfliteWriter, name: str) -> None:
        self._writer, self._schema, self._name = writer, writer.schema, name
        self._graph = self._schema.SubGraphT()
        self._graph.name, self._graph.tensors, self._graph.operators = name, [], []
        self._constants: dict[str, int] = {}

    def tensor(self, name: str, shape: Sequence[int | None], dtype: str = "float32", steps: Steps | None = None) -> int:
        """A tensor that is computed or put in."""
        tensor = self._schema.TensorT()
        tensor.name, tensor.buffer = name, 0
        tensor.shape = [1 if size is None else size for size in shape]
        if None in shape:
            tensor.shapeSignature = [-1 if size is None else size for size in shape]
        tensor.hasRank = True
        tensor.type = getattr(self._schema.TensorType, _TYPES[dtype])
        if steps is not None:
            quantization = self._schema.QuantizationParametersT()
            quantization.scale = np.ravel(np.asarray(steps.scale, np.float32))
            quantization.zeroPoint = np.full(quantization.scale.size, steps.zero, np.int64)
            quantization.quantizedDimension = steps.axis
            tensor.quantization = quantization
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, name: str, values: Array, steps: Steps | None = None) -> int:
        """A tensor with given values; a name stands for the same values wherever it is used."""
        if name not in self._constants:
            number = self.tensor(name, values.shape, str(values.dtype), steps)
            self._graph.tensors[number].buffer = self._writer.shared_buffer(name, values)
            self._constants[name] = number
        return self._constants[name]

    def like(self, number: int, name: str, shape: Sequence[int | None]) -> int:
        """A tensor of another shape, but of the type and steps of the tensor `number`."""
        made = self.tensor(name, shape)
        self._graph.tensors[made].type = self._graph.tensors[number].type
        self._graph.tensors[made].quantization = self._graph.tensors[number].quantization
        return made

    def name(self, number: int, name: str) -> None:
        """Call a tensor by another name."""
        self._graph.tensors[number].name = name

    def shape(self, number: int) -> list[int | None]:
        """A tensor's sizes, None where open."""
        tensor = self._graph.tensors[number]
        sizes = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
        return [None if size == -1 else size for size in sizes]

    def operation(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], same: bool = False, **options: Any
    ) -> None:
        """`kind` and `options` as the schema calls them; `same`: a convolution's result is as wide as its input."""
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._writer.code(kind)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if _OPTIONS[kind]:
            name = f"{_OPTIONS[kind]}Options"
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, name)
            operator.builtinOptions = getattr(self._schema, name + "T")()
            for option, value in options.items():
                if not hasattr(operator.builtinOptions, option):
                    raise AttributeError(f"{name} has no {option}")
                setattr(operator.builtinOptions, option, value)
            if hasattr(operator.builtinOptions, "padding"):
                operator.builtinOptions.padding = self._schema.Padding.SAME if same else self._schema.Padding.VALID
        self._graph.operators.append(operator)

    def finish(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        """The graph is whole; the names are those of the signature."""
        self._graph.inputs, self._graph.outputs = list(inputs.values()), list(outputs.values())
        signature = self._schema.SignatureDefT()
        signature.signatureKey = self._name
        signature.inputs, signature.outputs = [], []
        for numbers, maps in ((inputs, signature.inputs), (outputs, signature.outputs)):
            for name, number in numbers.items():
                entry = self._schema.TensorMapT()
                entry.name, entry.tensorIndex = name, number
                maps.append(entry)
        self._writer.add(self._graph, signature)


def _sparing(builder: Any) -> Any:
    """The flatbuffers builder, with equal vectors written once and bytes at multiples of 16, as the schema demands."""

    class Sparing(builder):
        def CreateNumpyVector(self, x: Array) -> Any:
            written = self.__dict__.setdefault("written", {})
            key = (x.dtype.str, x.tobytes())
            if key not in written:
                written[key] = super().CreateNumpyVector(x)
            return written[key]

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
            return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)

    return Sparing
