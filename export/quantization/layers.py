"""The encoder as a list of convolutions, found by following its operations, with BatchNorm folded in."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_vqa.errors import ModelError

from ..models import Encoder

NO_BOUND = float("inf")


@dataclass
class Layer:
    """y = clamp(convolution(x) + bias + output of layer `residual`, low, high) in real units.

    It takes what the layer before gives; the first takes pixels in the network's units.
    """

    weight: Tensor
    """[outputs, inputs, k, k] float32; depthwise [channels, 1, k, k]."""
    bias: Tensor
    """[outputs] float32."""
    stride: int
    depthwise: bool
    low: float = -NO_BOUND
    high: Tensor | float = NO_BOUND
    """ReLU6's bound: 6 until channels are scaled, then [outputs]; with no activation, none."""
    residual: int = -1

    def convolve(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """[N,inputs,h,w] under this layer's geometry, without bias; `weight` stands in for its own."""
        w = self.weight if weight is None else weight
        return F.conv2d(x, w, None, self.stride, w.shape[-1] // 2, groups=len(w) if self.depthwise else 1)

    def finish(self, sums: Tensor, residual: Tensor | None) -> Tensor:
        """Convolved values -> the layer's output: bias, residual, clamp."""
        y = sums + self.bias.view(-1, 1, 1)
        if residual is not None:
            y = y + residual
        high = self.high.view(-1, 1, 1) if isinstance(self.high, Tensor) else torch.tensor(self.high)
        return y.clamp_min(self.low).minimum(high)


def encoder_layers(encoder: Encoder) -> list[Layer]:
    """The layers of `encoder.see` in order, as copies. Raises ModelError where the format has no such operation."""
    modules = nn.Sequential(encoder.backbone, encoder.project).eval()
    graph = fx.Tracer().trace(modules)
    found = dict(modules.named_modules())
    layers: list[Layer] = []
    made: dict[fx.Node, int] = {}
    """Node -> the layer whose output it is; -1 the pixels."""
    for node in graph.nodes:
        kind = found[str(node.target)] if node.op == "call_module" else node.target
        taken = [made[n] for n in node.all_input_nodes]
        alone = all(len(n.users) == 1 for n in node.all_input_nodes)
        newest = taken == [len(layers) - 1]
        linear = newest and alone and layers != [] and layers[-1].high == NO_BOUND
        if node.op == "placeholder":
            made[node] = -1
        elif isinstance(kind, nn.Conv2d) and newest:
            layers.append(_convolution(kind, str(node.target)))
            made[node] = len(layers) - 1
        elif isinstance(kind, nn.BatchNorm2d) and linear and layers[-1].residual == -1:
            _fold(layers[-1], kind)
            made[node] = taken[0]
        elif isinstance(kind, nn.ReLU6) and linear:
            layers[-1].low, layers[-1].high = 0.0, 6.0
            made[node] = taken[0]
        elif kind in (operator.add, torch.add) and len(taken) == 2 and max(taken) == len(layers) - 1:
            _add(layers, min(taken), str(node))
            made[node] = max(taken)
        elif node.op == "output" or isinstance(kind, (nn.Identity, nn.Dropout)):
            made[node] = taken[0]
        else:
            raise _unknown(str(node), kind)
    return layers


def _convolution(m: nn.Conv2d, name: str) -> Layer:
    kernel, depthwise = m.kernel_size[0], m.groups > 1
    plain = m.dilation == (1, 1) and m.padding == (kernel // 2, kernel // 2) and m.padding_mode == "zeros"
    square = m.kernel_size == (kernel, kernel) and m.stride[0] == m.stride[1] and kernel in (1, 3) and m.stride[0] < 3
    if not (plain and square) or (depthwise and not m.groups == m.in_channels == m.out_channels):
        raise _unknown(name, m)
    bias = torch.zeros(m.out_channels) if m.bias is None else m.bias.detach().clone()
    return Layer(m.weight.detach().clone(), bias, m.stride[0], depthwise)


def _fold(layer: Layer, normalisation: nn.BatchNorm2d) -> None:
    outputs, inputs, kernel, _ = layer.weight.shape
    plain = nn.Conv2d(inputs, outputs, kernel)
    plain.weight.data, plain.bias.data = layer.weight, layer.bias  # type: ignore[union-attr]
    fused = fuse_conv_bn_eval(plain.eval(), normalisation)
    assert fused.bias is not None
    layer.weight, layer.bias = fused.weight.detach(), fused.bias.detach()


def _add(layers: list[Layer], residual: int, name: str) -> None:
    last = layers[-1]
    fine = last.residual == -1 and last.high == NO_BOUND and not last.depthwise and 0 <= residual < len(layers) - 2
    if not fine or len(layers[residual].bias) != len(last.bias):
        raise _unknown(name, "an addition")
    last.residual = residual


def _unknown(name: str, kind: Any) -> ModelError:
    return ModelError(f"{name}: the .evqa format has no such operation in an encoder ({kind})")


def run(layers: list[Layer], x: Tensor) -> Tensor:
    """The last layer's output for x [N,3,S,S] in the network's units."""
    outputs: list[Tensor] = []
    for layer in layers:
        residual = outputs[layer.residual] if layer.residual >= 0 else None
        x = layer.finish(layer.convolve(x), residual)
        outputs.append(x)
    return x
