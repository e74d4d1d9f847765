"""python -m export.to_onnx --run runs/NAME --data FOLDER [--out FILE] [--precision int8|float32]

Writes a trained run as one model file of edge_vqa: encoder.onnx and head.onnx in a ZIP archive with a manifest.

int8: the encoder is quantized statically (weights per channel, activations uint8 per tensor, ranges from training
pictures); the head's LSTM and matrices dynamically, all but the last, whose rounding would make answers tie.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from onnx import TensorProto, helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_vqa.errors import DataError, EdgeVQAError
from edge_vqa.model_file import SUFFIX, save_model

from .data import Dataset, load_dataset
from .metrics import fit_temperature
from .models import PIXEL_SCALE, PIXEL_ZERO, Encoder, Network
from .run_folder import RunFolder
from .scoring import predict
from .views import Pictures

OPSET = 18
_FOLDED_BYTES = 1 << 26
CALIBRATION_PICTURES = 64
"""Spread evenly over the training pictures, in the data set's order."""
CALIBRATION_PERCENTILE = 99.99
"""Of each activation's values; the few beyond are clipped. Measured on the shipped model, against the smallest and
largest value: 99.7 instead of 99.5 % the same answers as full precision, a quarter less divergence of probabilities."""


def fold_batchnorm(network: Network) -> Network:
    """A copy in evaluation mode whose BatchNorm layers are folded into the convolutions before them."""
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                convolution, normalisation = module[i], module[i + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(convolution, normalisation), nn.Identity()
    return folded


@torch.inference_mode()
def correct_bias(encoder: Encoder, pictures: Tensor) -> None:
    """Make up, in each convolution's bias, for what rounding its weights to int8 changes on average.

    b += sum_i,k (W - round(W))_oik E[x_i] (Nagel et al. 2019, "Data-free quantization", with measured means). It
    matters most where a channel hardly varies and BatchNorm, once folded in, has made its weights huge.
    `encoder` is changed; its BatchNorm is folded; `pictures` [N,3,S,S] uint8 give the means.
    """
    means: dict[nn.Module, Tensor] = {}

    def remember(module: nn.Module, inputs: tuple[Tensor]) -> None:
        mean = inputs[0].mean((0, 2, 3))
        means[module] = means[module] + mean if module in means else mean

    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    hooks = [m.register_forward_pre_hook(remember) for m in convolutions]
    batches = pictures.split(32)
    for batch in batches:
        encoder.see(batch.float())
    for hook in hooks:
        hook.remove()
    for m in convolutions:
        assert m.bias is not None
        step = (m.weight.abs().amax((1, 2, 3), keepdim=True) / 127).clamp_min(1e-12)
        error = (m.weight - (m.weight / step).round() * step).sum((2, 3))
        mean = means[m] / len(batches)
        m.bias += error[:, 0] * mean if m.groups > 1 else error @ mean


class _EncoderGraph(nn.Module):
    """The encoder after pixel scaling: x [B,3,S,S] float -> features [B,C,h,w]."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder.place(self.encoder.project(self.encoder.backbone(x)))


def export_graphs(network: Network, side: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Float encoder (x -> features) and head (features, ids, lengths -> logits, attention), dynamic batch.

    `network` comes from fold_batchnorm.
    """
    batch, questions, words = (
        torch.export.Dim("batch"),
        torch.export.Dim("questions"),
        torch.export.Dim("words", max=64),
    )
    x = torch.randn(2, 3, side, side)
    encoder = _export(_EncoderGraph(network.encoder), (x,), ["x"], ["features"], ({0: batch},))
    features = network.encoder(x)
    ids, lengths = torch.ones(2, 5, dtype=torch.int64), torch.tensor([5, 3])
    shapes = ({0: questions}, {0: questions, 1: words}, {0: questions})
    head = _export(
        network.head, (features.detach(), ids, lengths), ["features", "ids", "lengths"], ["logits", "attention"], shapes
    )
    return encoder, head


def _export(
    module: nn.Module, args: tuple[Tensor, ...], inputs: list[str], outputs: list[str], shapes: tuple[Any, ...]
) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            args,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    # The LSTM's gates are put into ONNX's order when the graph is written, not each time it is loaded.
    folded = onnxscript.optimizer.optimize(
        program.model_proto, input_size_limit=_FOLDED_BYTES, output_size_limit=_FOLDED_BYTES
    )
    model = onnx.load_from_string(folded.SerializeToString())
    onnx.checker.check_model(model, full_check=True)
    return model


def take_pixels(encoder: onnx.ModelProto) -> onnx.ModelProto:
    """Change the input from x [B,3,S,S] float to pixels [B,S,S,3] uint8; scaling happens in DequantizeLinear.

    Where a quantized graph begins by quantizing x with just that scale and zero point, the pair cancels out.
    """
    graph = encoder.graph
    old = graph.input[0]
    dims = [d.dim_param or d.dim_value for d in old.type.tensor_type.shape.dim]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [dims[0], dims[2], dims[3], dims[1]])
    transpose = helper.make_node("Transpose", ["pixels"], ["pixels_nchw"], perm=[0, 3, 1, 2])
    quantizer = next((n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == old.name), None)
    if quantizer is not None:
        transpose.output[0] = quantizer.output[0]
        graph.node.remove(quantizer)
        added = [transpose]
    else:
        graph.initializer.append(helper.make_tensor("pixel_scale", TensorProto.FLOAT, [], [PIXEL_SCALE]))
        graph.initializer.append(helper.make_tensor("pixel_zero", TensorProto.UINT8, [], [PIXEL_ZERO]))
        added = [
            transpose,
            helper.make_node("DequantizeLinear", ["pixels_nchw", "pixel_scale", "pixel_zero"], [old.name]),
        ]
    nodes = [*added, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(pixels)
    onnx.checker.check_model(encoder, full_check=True)
    return encoder


class _Reader(CalibrationDataReader):
    def __init__(self, pictures: Tensor) -> None:
        self._batches: Iterator[dict[str, np.ndarray]] = (
            {"x": ((p.float() - PIXEL_ZERO) * PIXEL_SCALE).numpy()} for p in pictures.split(1)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def quantize_encoder(encoder: onnx.ModelProto, pictures: Tensor) -> onnx.ModelProto:
    """Static int8. `pictures` [N,3,S,S] uint8 set the activations' ranges."""
    pixel = {"scale": np.array(PIXEL_SCALE, np.float32), "zero_point": np.array(PIXEL_ZERO, np.uint8)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(encoder, source)
        with contextlib.redirect_stdout(io.StringIO()):  # the calibrator prints its progress
            quantize_static(
                source,
                target,
                _Reader(pictures),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={"TensorQuantOverrides": {"x": [pixel]}, "CalibPercentile": CALIBRATION_PERCENTILE},
            )
        return onnx.load(target)


def quantize_head(head: onnx.ModelProto) -> onnx.ModelProto:
    """Dynamic int8 for every matrix and the LSTM, except the last matrix."""
    last = [n.name for n in head.graph.node if n.op_type in ("Gemm", "MatMul")][-1]
    excluded = [last, f"{last}_MatMul"]  # the quantizer splits Gemm and gives the half with the weights this name
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(head, source)
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=excluded)
        return onnx.load(target)


def calibration_pictures(dataset: Dataset, side: int) -> Tensor:
    """[N,3,side,side] uint8, as the network is served them."""
    names = dataset.images("train")
    chosen = torch.linspace(0, len(names) - 1, min(CALIBRATION_PICTURES, len(names))).long().tolist()
    return Pictures(dataset.image_paths, [names[i] for i in chosen], side).pixels


def export_model(run: RunFolder, dataset: Dataset | None, out: Path, precision: str, about: dict[str, Any]) -> None:
    """Write the model file `out`. `about` goes into the manifest.

    `dataset` is needed for int8; its val split, where there is one, also sets the softmax temperature.
    """
    network, vocabulary, answers, side = run.load()
    temperature = 1.0
    if dataset is not None and dataset.splits["val"]:
        temperature = fit_temperature(predict(network, dataset, "val", vocabulary, answers, side))
    network = fold_batchnorm(network)
    if precision == "int8":
        assert dataset is not None
        pictures = calibration_pictures(dataset, side)
        correct_bias(network.encoder, pictures)
        encoder, head = export_graphs(network, side)
        encoder, head = quantize_encoder(encoder, pictures), quantize_head(head)
    else:
        encoder, head = export_graphs(network, side)
    encoder = take_pixels(encoder)
    onnx.checker.check_model(head, full_check=True)
    manifest = {
        "name": network.shape.name, "precision": precision, "side": side, "cells": side // 32,
        "attention": network.shape.attention, "temperature": temperature, **about,
        "words": list(vocabulary.words), "answers": answers,
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    save_model(out, manifest, {"encoder.onnx": encoder.SerializeToString(), "head.onnx": head.SerializeToString()})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m export.to_onnx", description="Write a trained run as a model file."
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder of export.train")
    parser.add_argument("--data", help="the data set it was trained on (int8 sets its ranges from training pictures)")
    parser.add_argument("--precision", choices=("int8", "float32"), default="int8")
    parser.add_argument("--out", type=Path, help=f"default RUN/NAME-PRECISION{SUFFIX}")
    parser.add_argument("--about", type=Path, help="JSON file whose fields go into the manifest (licence, ...)")
    options = parser.parse_args(arguments)
    logging.getLogger().setLevel(logging.ERROR)
    try:
        if options.precision == "int8" and not options.data:
            raise DataError("int8 needs --data")
        run = RunFolder(options.run)
        about = json.loads(options.about.read_text(encoding="utf-8")) if options.about else {}
        out = options.out or options.run / f"{run.about()['shape']['name']}-{options.precision}{SUFFIX}"
        export_model(run, load_dataset(options.data) if options.data else None, out, options.precision, about)
        print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")
    except (EdgeVQAError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
