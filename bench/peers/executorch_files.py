"""Programs for ExecuTorch's XNNPACK: int8 encoder between explicit quantize and dequantize operations, float head.

Values between the encoder's layers are int8, the file's uint8 less 128, in the file's own scales and zero points.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.ao.quantization.fx._decomposed
from torch import nn
from torch.nn import functional

from edge_vqa.evqa_file import FLOAT32
from edge_vqa.evqa_tensors import EvqaModel

from .contender import PeerError
from .float_network import bounds
from .torch_network import Head, ordered, places, real_bias, sums_steps, weight_steps

_OPS = torch.ops.quantized_decomposed
_HALF, _LOWEST, _HIGHEST = 128, -128, 127


def write_programs(model: EvqaModel, folder: Path, words: Sequence[int]) -> None:
    """encoder.pte, and head-N.pte for each number of words."""
    sizes = model.file.sizes
    pixels = torch.zeros((1, sizes.side, sizes.side, 3), dtype=torch.int8).permute(0, 3, 1, 2)
    if sizes.precision == FLOAT32:
        raise PeerError("only int8 models are written for ExecuTorch")
    with torch.no_grad():
        features = _write(QdqEncoder(model), (pixels,), folder / "encoder.pte")
        head = Head(model)
        for count in words:
            _write(head, (features, torch.zeros((1, count), dtype=torch.int64)), folder / f"head-{count}.pte")


def _write(module: nn.Module, given: tuple[torch.Tensor, ...], path: Path) -> torch.Tensor:
    """Returns what the module gives."""
    exir = importlib.import_module("executorch.exir")
    xnnpack = importlib.import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    exported = torch.export.export(module.eval(), given)
    lowered = exir.to_edge_transform_and_lower(exported, partitioner=[xnnpack.XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)
    result: torch.Tensor = module(*given)
    return result


class QdqEncoder(nn.Module):
    """Pixels less 128, int8 [1, 3, side, side] -> features float32 [1, channels, cells, cells]."""

    place: torch.Tensor

    def __init__(self, model: EvqaModel) -> None:
        super().__init__()
        sizes, self._convs = model.file.sizes, model.file.convs
        self._pixel_steps = sizes.pixel_scale, sizes.pixel_zero
        for number, conv in enumerate(self._convs):
            steps = torch.from_numpy(weight_steps(model, number)).float()
            self.register_buffer(f"weights{number}", ordered(conv, model.tensors[f"conv{number}.weights"]))
            self.register_buffer(f"steps{number}", steps)
            self.register_buffer(f"zeros{number}", torch.zeros(conv.outputs, dtype=torch.int64))
            self.register_buffer(f"bias{number}", real_bias(model, number))
        self.register_buffer("place", places(model))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        given = pixels, *self._pixel_steps
        outputs: list[tuple[torch.Tensor, float, int]] = []
        for number, conv in enumerate(self._convs):
            weights, steps, zeros, bias = (
                self.get_buffer(f"{name}{number}") for name in ("weights", "steps", "zeros", "bias")
            )
            real = _OPS.dequantize_per_channel(weights, steps, zeros, 0, -127, 127, torch.int8)
            groups = conv.inputs if conv.depthwise else 1
            # Whoever takes a value dequantizes it for himself: that is how XNNPACK's part of the graph is found.
            x = functional.conv2d(_dequantize(*given), real, bias, conv.stride, conv.kernel // 2, 1, groups)
            if conv.residual >= 0:
                sums = sums_steps(conv)
                x = _dequantize(_quantize(x, *sums), *sums) + _dequantize(*outputs[conv.residual])
            if conv.low == conv.out_zero and conv.high == 255:
                x = functional.relu(x)
            elif (conv.low, conv.high) != (0, 255):
                x = functional.hardtanh(x, *bounds(conv))
            given = _quantize(x, conv.out_scale, conv.out_zero), conv.out_scale, conv.out_zero
            outputs.append(given)
        return _dequantize(*given) + self.place


def _quantize(x: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
    """`zero` of the uint8 values."""
    stepped: torch.Tensor = _OPS.quantize_per_tensor(x, scale, zero - _HALF, _LOWEST, _HIGHEST, torch.int8)
    return stepped


def _dequantize(x: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
    real: torch.Tensor = _OPS.dequantize_per_tensor(x, scale, zero - _HALF, _LOWEST, _HIGHEST, torch.int8)
    return real
