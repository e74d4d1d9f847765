"""Each export held against PyTorch layer by layer: SQNR, the signal's energy over that of the difference, in dB.

Layers are conv0, conv1, ... (after residual and clamp), features, state (the LSTM's last), logits. Every function here
that gives layers maps these names to float32 arrays: maps [h, w, channels], vectors [n].
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge_vqa.errors import EngineError
from export.models import Network

from .signature import ask_signature, fit

Array = np.ndarray[Any, Any]
Layers = dict[str, Array]
Run = Callable[[Array, Sequence[int]], Layers]
"""Pixels uint8 [side, side, 3] and word ids -> layers."""

MOST_DB = 200.0
"""Stands for no difference at all."""


def sqnr(signal: float, noise: float) -> float:
    """Decibels, 10 log10(signal / noise), at most MOST_DB and at least its negative; both are sums of squares."""
    if noise == 0:
        return MOST_DB
    return max(-MOST_DB, min(MOST_DB, 10 * math.log10(signal / noise))) if signal else -MOST_DB


def compare_layers(expected: Iterable[Layers], measured: Iterable[Layers]) -> dict[str, float]:
    """SQNR by layer, energies summed over several inputs, in the order of the first input's expected layers.

    Raises EngineError when a layer is missing or of another shape.
    """
    sums: dict[str, tuple[float, float]] = {}
    for whole, found in zip(expected, measured, strict=True):
        for name, reference in whole.items():
            if name not in found:
                raise EngineError(f"the file has no tensor {name}")
            if found[name].shape != reference.shape:
                raise EngineError(f"{name} is {list(found[name].shape)}, not {list(reference.shape)}")
            exact = reference.astype(np.float64)
            signal, noise = sums.get(name, (0.0, 0.0))
            sums[name] = (
                signal + float((exact**2).sum()),
                noise + float(((found[name].astype(np.float64) - exact) ** 2).sum()),
            )
    return {name: sqnr(*energies) for name, energies in sums.items()}


def worst(ratios: dict[str, float]) -> tuple[str, float]:
    """The layer of the lowest SQNR."""
    return min(ratios.items(), key=lambda pair: pair[1])


class TorchLayers:
    """The trained network as it is, BatchNorm and all, overheard by hooks."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @torch.inference_mode()
    def __call__(self, pixels: Array, ids: Sequence[int]) -> Layers:
        """See Run.

        What the last module gives before the next convolution begins is that convolution's output: its activation's, or
        that of the block that adds the residual.
        """
        maps: list[Array] = []

        def remember(module: nn.Module, _: Any, out: torch.Tensor) -> None:
            if out.ndim != 4:
                return
            if isinstance(module, nn.Conv2d):
                maps.append(_hwc(out))
            elif maps:
                maps[-1] = _hwc(out)

        encoder, head = self._network.encoder, self._network.head
        hooks = [m.register_forward_hook(remember) for m in encoder.modules() if m is not encoder]
        try:
            features = encoder(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
        finally:
            for hook in hooks:
                hook.remove()
        words, lengths = torch.tensor([list(ids)]), torch.tensor([len(ids)])
        return {
            **{f"conv{n}": values for n, values in enumerate(maps)},
            "features": _hwc(features),
            "state": head.read(words, lengths)[0].numpy(),
            "logits": head(features, words, lengths)[0][0].numpy(),
        }


def _hwc(maps: torch.Tensor) -> Array:
    """[1, c, h, w] -> [h, w, c], a copy: modules may work in place."""
    values: Array = maps[0].permute(1, 2, 0).numpy().copy()
    return values


def onnx_layers(path: Path) -> Run:
    """A whole .onnx file, its inner tensors made outputs. Raises EngineError when it has no such tensors."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    made = {name for node in model.graph.node for name in node.output}
    convs = _conv_names(made)
    outputs = [*convs, "features", "state", "logits"]
    missing = [name for name in outputs if name not in made]
    if missing or not convs:
        raise EngineError(f"{path}: has no tensor {', '.join(missing) or 'conv0'}")
    declared = {output.name for output in model.graph.output}
    for name in outputs:
        if name not in declared:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(pixels: Array, ids: Sequence[int]) -> Layers:
        inputs = {
            "pixels": pixels[None], "ids": np.array([list(ids)], np.int64), "lengths": np.array([len(ids)], np.int64),
        }  # fmt: skip
        values = dict(zip(outputs, session.run(outputs, inputs)))
        return {
            name: value[0].transpose(1, 2, 0) if value.ndim == 4 else value.reshape(-1)
            for name, value in values.items()
        }

    return run


def _conv_names(names: Iterable[str]) -> list[str]:
    """conv0, conv1, ... as far as they go without a gap."""
    known = set(names)
    found: list[str] = []
    while f"conv{len(found)}" in known:
        found.append(f"conv{len(found)}")
    return found


def tflite_layers(path: Path) -> Run:
    """A whole .tflite file, every tensor kept. Raises EngineError when it has no such tensors."""
    litert = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        model_path=str(path),
        experimental_preserve_all_tensors=True,
        # XNNPACK computes groups of operators whose inner tensors are nowhere to be read.
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        num_threads=1,
    )
    runner = ask_signature(interpreter)
    numbers = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
    inner = [*_conv_names(numbers), "features", "state"]
    missing = [name for name in inner if name not in numbers]
    if missing or len(inner) == 2:
        raise EngineError(f"{path}: has no tensor {', '.join(missing) or 'conv0'}")

    def run(pixels: Array, ids: Sequence[int]) -> Layers:
        given = {"pixels": pixels[None], "ids": np.array([list(ids)]), "lengths": np.array([len(ids)])}
        details = runner.get_input_details()
        outputs = runner(**{name: fit(given[name], details[name]) for name in details})
        values = {name: _value(interpreter, numbers[name]) for name in inner} | {"logits": outputs["logits"]}
        return {name: value[0] if value.ndim == 4 else value.reshape(-1) for name, value in values.items()}

    return run


def _value(interpreter: Any, number: int) -> Array:
    """A tensor's values in real units."""
    values: Array = interpreter.get_tensor(number)
    if values.dtype.kind == "f":
        return values
    detail = next(d for d in interpreter.get_tensor_details() if d["index"] == number)
    scale, zero = detail["quantization"]
    return (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
