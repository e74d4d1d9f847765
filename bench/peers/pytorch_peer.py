"""PyTorch: its quantized package, static int8 for the encoder and dynamic for the head, traced, frozen and saved.

Slower on x86-64 with VNNI: float32 or bfloat16 in channels-last order, traced or compiled, and the compiler's own int8.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.ao.nn import quantized
from torch.ao.nn.intrinsic.quantized import ConvReLU2d
from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

from edge_vqa.evqa_file import FLOAT32, PRECISIONS, Conv
from edge_vqa.evqa_tensors import EvqaModel

from .float_network import bounds
from .torch_network import FloatEncoder, Head, ordered, places, real_bias, sums_steps, weight_steps

ENGINES = {"encoder": "onednn", "head": "x86"}
"""Of the quantized package's: the fastest for each, but that x86 lets sums of depthwise convolutions overflow."""
BY_ROW = dict.fromkeys((nn.Linear, nn.LSTM), per_channel_dynamic_qconfig)
"""A scale for each row of the head's matrices, as in the file: it finds the file's int8 weights again."""


class PyTorchPeer:
    """One saved program for the encoder, one for the head and every length of question."""

    name = "PyTorch"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version: str = torch.__version__
        self._sizes = model.file.sizes
        int8 = "oneDNN int8; head: matrices dynamic int8 (FBGEMM)"
        self.detail = f"{int8 if self._sizes.precision != FLOAT32 else PRECISIONS[FLOAT32]}; TorchScript, frozen"
        parts = []
        for name, engine in ENGINES.items():
            torch.backends.quantized.engine = engine
            parts.append(torch.jit.load(str(folder / f"{name}.pt")))
        self._encoder, self._head = parts

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        side = self._sizes.side
        self._pixels = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(1, side, side, 3)
        self._ids = tuple(ids)

    def put(self, pixels: Any) -> None:
        self._pixels = torch.from_numpy(pixels)[None]

    def encode(self) -> None:
        with torch.inference_mode():
            self._features = self._encoder(self._pixels)

    def further(self) -> int:
        with torch.inference_mode():
            self._logits = self._head(self._features, torch.tensor([self._ids]))
            return int(self._logits[0, :-1].argmax())

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        logits: list[float] = self._logits[0, :-1].tolist()
        return logits


def make(model: EvqaModel, folder: Path, lengths: Sequence[int]) -> None:
    """encoder.pt and head.pt, for questions of any length."""
    sizes = model.file.sizes
    int8 = sizes.precision != FLOAT32
    pixels = torch.zeros((1, sizes.side, sizes.side, 3), dtype=torch.uint8)
    ids = torch.zeros((1, max(lengths, default=1)), dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this way to quantize and save is to be replaced in a later PyTorch
        torch.backends.quantized.engine = ENGINES["encoder"]
        encoder = QuantizedEncoder(model) if int8 else FloatEncoder(model)
        features = encoder(pixels)
        _save(encoder, (pixels,), folder / "encoder.pt")
        torch.backends.quantized.engine = ENGINES["head"]
        head = Head(model).eval()
        _save(quantize_dynamic(head, BY_ROW) if int8 else head, (features, ids), folder / "head.pt")


def _save(module: nn.Module, given: tuple[torch.Tensor, ...], path: Path) -> None:
    torch.jit.freeze(torch.jit.trace(module.eval(), given)).save(str(path))


class QuantizedEncoder(nn.Module):
    """Pixels uint8 [1, side, side, 3] -> features float32 [1, channels, cells, cells]."""

    place: torch.Tensor

    def __init__(self, model: EvqaModel) -> None:
        super().__init__()
        sizes, self._convs = model.file.sizes, model.file.convs
        self._pixel_steps = sizes.pixel_scale, sizes.pixel_zero
        self.layers = nn.ModuleList(_layer(model, number, conv) for number, conv in enumerate(self._convs))
        self.adds = nn.ModuleDict()
        for number, conv in enumerate(self._convs):
            if conv.residual >= 0:
                self.adds[str(number)] = add = quantized.QFunctional()
                add.scale, add.zero_point = conv.out_scale, conv.out_zero
        self.register_buffer("place", places(model))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = torch._make_per_tensor_quantized_tensor(pixels.permute(0, 3, 1, 2), *self._pixel_steps)
        outputs: list[torch.Tensor] = []
        for number, (conv, layer) in enumerate(zip(self._convs, self.layers)):
            x = layer(x)
            if conv.residual >= 0:
                add: Any = self.adds[str(number)]
                x = add.add(x, outputs[conv.residual])
            rectified = isinstance(layer, ConvReLU2d) and conv.high == 255
            if not rectified and (conv.low, conv.high) != (0, 255):
                x = torch.clamp(x, *bounds(conv))
            outputs.append(x)
        return x.dequantize() + self.place


def _layer(model: EvqaModel, number: int, conv: Conv) -> nn.Module:
    """A convolution, with ReLU where its lowest value stands for 0."""
    added = conv.residual >= 0
    kind = ConvReLU2d if conv.low == conv.out_zero and not added else quantized.Conv2d
    groups = conv.inputs if conv.depthwise else 1
    layer = kind(conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2, groups=groups)
    weights = ordered(conv, model.tensors[f"conv{number}.weights"])
    steps = torch.from_numpy(weight_steps(model, number))
    none = torch.zeros(conv.outputs, dtype=torch.int64)
    layer.set_weight_bias(torch._make_per_channel_quantized_tensor(weights, steps, none, 0), real_bias(model, number))
    layer.scale, layer.zero_point = sums_steps(conv) if added else (conv.out_scale, conv.out_zero)
    return layer
