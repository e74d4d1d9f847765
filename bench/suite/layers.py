"""The layers of layers.txt, and the networks they are lines of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_vqa.evqa_file import Conv

FILE = Path(__file__).with_name("layers.txt")
KINDS = ("stem", "block", "conv", "point")


@dataclass(frozen=True)
class Filter:
    """One convolution: what of it does not follow from the one before."""

    depthwise: bool
    kernel: int
    stride: int
    outputs: int
    back: int = 0
    """Adds the output of the convolution so many before it; 0: adds nothing."""


@dataclass(frozen=True)
class Layer:
    """One line of layers.txt, which documents the columns."""

    name: str
    kind: str
    height: int
    width: int
    inputs: int
    expanded: int
    """0 where nothing is expanded."""
    outputs: int
    stride: int
    residual: bool

    def filters(self) -> tuple[Filter, ...]:
        """Its convolutions, first to last."""
        narrow = Filter(False, 1, 1, self.outputs, 3 if self.residual else 0)
        if self.kind == "stem":
            return (
                Filter(False, 3, self.stride, self.expanded),
                Filter(True, 3, 1, self.expanded),
                narrow,
            )
        if self.kind == "block":
            return (Filter(False, 1, 1, self.expanded), Filter(True, 3, self.stride, self.expanded), narrow)
        return (Filter(False, 3 if self.kind == "conv" else 1, self.stride, self.outputs),)

    def macs(self) -> int:
        """Multiply-accumulates."""
        total, side, inputs = 0, self.height, self.inputs
        for f in self.filters():
            side = -(-side // f.stride)
            total += side * side * f.outputs * f.kernel**2 * (1 if f.depthwise else inputs)
            inputs = f.outputs
        return total


def read_layers(path: Path = FILE) -> list[Layer]:
    """Every line that is neither empty nor a comment. Raises ValueError, naming the line that cannot be read."""
    found: list[Layer] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        cells = line.split("#")[0].split()
        if not cells:
            continue
        try:
            found.append(_layer(cells))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    names = [layer.name for layer in found]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: a name comes twice")
    return found


def _layer(cells: Sequence[str]) -> Layer:
    if len(cells) != 9:
        raise ValueError(f"{len(cells)} columns; 9 are needed")
    name, kind, *numbers, residual = cells
    height, width, inputs, expanded, outputs, stride = (0 if n == "-" else int(n) for n in numbers)
    if kind not in KINDS:
        raise ValueError(f"kind {kind}; known: {', '.join(KINDS)}")
    if residual not in ("yes", "no"):
        raise ValueError(f"residual {residual}; yes or no")
    if height != width:
        raise ValueError(f"{height} x {width}: the engine's maps are square")
    if min(height, inputs, outputs) < 1 or stride not in (1, 2) or (expanded > 0) != (kind in ("stem", "block")):
        raise ValueError("a size is missing, impossible, or of no use in this kind")
    if residual == "yes" and (kind != "block" or stride != 1 or inputs != outputs):
        raise ValueError("only a block of stride 1 that gives what it takes can add what it took")
    return Layer(name, kind, height, width, inputs, expanded, outputs, stride, residual == "yes")


def layers_of(convs: Sequence[Conv], prefix: str) -> list[Layer]:
    """A model's convolutions as lines; what the engine runs as one step is one line."""
    found: list[Layer] = []
    at = 0
    while at < len(convs):
        c = convs[at]
        grouped = at + 2 < len(convs) and not c.depthwise and convs[at + 1].depthwise
        last = convs[at + 2] if grouped else c
        kind = ("block" if c.kernel == 1 else "stem") if grouped else ("point" if c.kernel == 1 else "conv")
        stride = convs[at + 1].stride if kind == "block" else c.stride
        found.append(
            Layer(
                f"{prefix}-{len(found):02}", kind, c.in_side, c.in_side, c.inputs, c.outputs if grouped else 0,
                last.outputs, stride, last.residual >= 0,
            )
        )  # fmt: skip
        at += 3 if grouped else 1
    return found


def as_line(layer: Layer) -> str:
    """As it stands in layers.txt."""
    return (
        f"{layer.name:<14} {layer.kind:<6} {layer.height:>6} {layer.width:>6} {layer.inputs:>6} "
        f"{layer.expanded or '-':>8} {layer.outputs:>6} {layer.stride:>6}   {'yes' if layer.residual else 'no'}"
    )


_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""MobileNetV2: expansion, channels, blocks, stride of the first (Sandler et al. 2018, table 2)."""


def mobilenet_v2(multiplier: float, last: int = 256) -> list[Filter]:
    """MobileNetV2's convolutions at this width, and a last one to `last` channels, the projection of our models."""
    before = multiple_of_8(32 * multiplier)
    filters = [Filter(False, 3, 2, before)]
    for expansion, channels, blocks, first_stride in _STAGES:
        outputs = multiple_of_8(channels * multiplier)
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            wide = before * expansion
            if expansion > 1:
                filters.append(Filter(False, 1, 1, wide))
            adds = stride == 1 and before == outputs and block > 0
            filters += [Filter(True, 3, stride, wide), Filter(False, 1, 1, outputs, 3 if adds else 0)]
            before = outputs
    return [*filters, Filter(False, 1, 1, multiple_of_8(1280 * max(1.0, multiplier))), Filter(False, 1, 1, last)]


def multiple_of_8(channels: float) -> int:
    """The nearest one, but at least 8 and not under nine tenths of `channels`: how MobileNets round."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8
