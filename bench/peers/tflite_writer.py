"""Write a .tflite file operation by operation, through the schema that the package ai-edge-litert brings along."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .network import Array, Quantized

_TYPES = {"float32": "FLOAT32", "int32": "INT32", "int8": "INT8", "uint8": "UINT8"}
_OPTIONS = {
    "ADD": "Add", "BATCH_MATMUL": "BatchMatMul", "CONCATENATION": "Concatenation", "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D", "DEQUANTIZE": "Dequantize", "FULLY_CONNECTED": "FullyConnected",
    "GATHER": "Gather", "LOGISTIC": "", "MEAN": "Reducer", "MUL": "Mul", "PAD": "Pad", "RESHAPE": "Reshape",
    "SLICE": "Slice", "SOFTMAX": "Softmax", "SPLIT": "Split", "TANH": "", "TRANSPOSE": "Transpose",
}  # fmt: skip
"""Operation -> the schema's name of its options."""
_VERSIONS = {
    "ADD": 2, "CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "DEQUANTIZE": 2, "FULLY_CONNECTED": 9, "GATHER": 2, "PAD": 2,
}  # fmt: skip


class TfliteWriter:
    """Tensors are numbers handed out by `tensor` and `constant`; operations run in the order they are added in."""

    def __init__(self) -> None:
        self._schema = importlib.import_module("ai_edge_litert.schema_py_generated")
        self._model = self._schema.ModelT()
        self._model.version = 3
        # Buffer 0 is, by the format's rule, the empty one of every tensor that is computed.
        self._model.operatorCodes, self._model.buffers = [], [self._schema.BufferT()]
        self._graph = self._schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._codes: dict[str, int] = {}

    def tensor(
        self, name: str, shape: Sequence[int], dtype: str = "float32", quantized: Quantized | None = None
    ) -> int:
        """A tensor that is computed or put in. int8 stands for `quantized` with zero moved by 128."""
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = getattr(self._schema.TensorType, _TYPES[dtype])
        if quantized is not None:
            tensor.quantization = self._quantization([quantized.scale], [quantized.zero - 128 * (dtype == "int8")])
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, name: str, values: Array, scales: Array | None = None, zero: int = 0, axis: int = 0) -> int:
        """A tensor with given values; `scales`: one, or one for each index along `axis`."""
        values = np.ascontiguousarray(values)
        number = self.tensor(name, values.shape, str(values.dtype))
        buffer = self._schema.BufferT()
        buffer.data = values.reshape(-1).view(np.uint8)
        self._model.buffers.append(buffer)
        tensor = self._graph.tensors[number]
        tensor.buffer = len(self._model.buffers) - 1
        if scales is not None:
            tensor.quantization = self._quantization(np.ravel(scales).tolist(), [zero] * np.size(scales))
            tensor.quantization.quantizedDimension = axis
        return number

    def operation(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], same: bool = False, **options: Any
    ) -> None:
        """`kind` and `options` as the schema calls them; `same`: a convolution's result is as wide as its input."""
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(kind)
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

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        flatbuffers = importlib.import_module("flatbuffers")
        self._graph.inputs, self._graph.outputs, self._model.subgraphs = list(inputs), list(outputs), [self._graph]
        self._model.signatureDefs = [self._signature(inputs, outputs)]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _quantization(self, scales: list[float], zeros: list[int]) -> Any:
        quantization = self._schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = scales, zeros
        return quantization

    def _code(self, kind: str) -> int:
        if kind not in self._codes:
            code = self._schema.OperatorCodeT()
            code.builtinCode = getattr(self._schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = _VERSIONS.get(kind, 1)
            self._codes[kind] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        return self._codes[kind]

    def _signature(self, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        signature = self._schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs, signature.outputs = [], []
        for numbers, maps in ((inputs, signature.inputs), (outputs, signature.outputs)):
            for number in numbers:
                entry = self._schema.TensorMapT()
                entry.name, entry.tensorIndex = self._graph.tensors[number].name, number
                maps.append(entry)
        return signature
