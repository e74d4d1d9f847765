"""The int8 ONNX files of all four networks become .evqa files that compute the same. No data is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from edge_vqa import VQA
from edge_vqa.engines.onnx import OnnxEngine
from edge_vqa.engines.reference import ReferenceEngine, accumulate
from edge_vqa.errors import ModelError
from edge_vqa.evqa_file import Conv
from edge_vqa.evqa_tensors import accumulator_bound, load_tensors
from edge_vqa.model_file import load_model, save_model
from export import to_evqa, to_onnx
from export.models import NAMES, Network, Shape

SIDE, WORDS, ANSWERS = 64, 30, 9
MANIFEST = {
    "precision": "int8", "side": SIDE, "cells": SIDE // 32, "temperature": 1.5, "licence": "MIT",
    "words": [f"w{i}" for i in range(WORDS - 2)], "answers": [f"a{i}" for i in range(ANSWERS)],
}  # fmt: skip


def noise(got: np.ndarray, expected: np.ndarray) -> float:
    """Signal to quantization noise in dB."""
    return float(10 * np.log10((expected**2).sum() / max(((got - expected) ** 2).sum(), 1e-30)))


def pictures(count: int, seed: int) -> torch.Tensor:
    """[count,3,SIDE,SIDE] uint8: patches of colour. Plain noise looks all the same to a network without training, and
    what its BatchNorm then magnifies is rounding.
    """
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    return (torch.nn.functional.interpolate(coarse, SIDE, mode="bilinear") * 255).round().to(torch.uint8)


def network(name: str) -> Network:
    """Random, with activations that neither vanish nor saturate and that a rounding does not throw far off.

    Trained networks are so by themselves. Here BatchNorm keeps most values in the straight part of ReLU6.
    """
    torch.manual_seed(3)
    made = Network(Shape(name, WORDS, ANSWERS, width=40, embedding=24, hidden=32, joint=48))
    for m in made.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(m.weight, 0.4, 0.8)
            torch.nn.init.uniform_(m.bias, 2, 4)
            m.momentum = None  # the statistics are the mean over what is shown
        elif isinstance(m, torch.nn.Conv2d) and m.groups > 1:
            m.weight.data.abs_()
    with torch.no_grad():
        made.train().encoder(pictures(16, 100).float())
    return made.eval()


def close(source: Path) -> float:
    """Least SQNR in dB. MobileNetV2 in ONNX rounds once more before each of its ten residuals; the CNN has none."""
    return 23 if load_model(source).name.startswith("mobilenetv2") else 60


@pytest.fixture(scope="module", params=NAMES)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An int8 .vqa.zip and the .evqa made of it."""
    folder = tmp_path_factory.mktemp("chuyển đổi")
    folded = to_onnx.fold_batchnorm(network(request.param))
    encoder, head = to_onnx.export_graphs(folded, SIDE)
    encoder = to_onnx.take_pixels(to_onnx.quantize_encoder(encoder, pictures(16, 100)))
    graphs = {
        "encoder.onnx": encoder.SerializeToString(),
        "head.onnx": to_onnx.quantize_head(head).SerializeToString(),
    }
    source, out = folder / "model.vqa.zip", folder / "out" / "model.evqa"
    save_model(source, {**MANIFEST, "name": request.param, "attention": folded.shape.attention}, graphs)
    about = folder / "about.json"
    about.write_text('{"made_by": "a test"}', encoding="utf-8")
    assert to_evqa.main(["--model", str(source), "--out", str(out), "--about", str(about)]) == 0
    return source, out


def pixels(seed: int) -> bytes:
    return pictures(1, seed)[0].permute(1, 2, 0).numpy().tobytes()


def ids(seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, WORDS, rng.integers(1, 12)).tolist()


def for_onnx(features: np.ndarray) -> np.ndarray:
    """[cells * cells, channels] -> [1, channels, cells, cells]."""
    return np.ascontiguousarray(features.T.reshape(1, -1, SIDE // 32, SIDE // 32))


def test_what_the_file_says(files: tuple[Path, Path]) -> None:
    source, made = load_model(files[0]), load_model(files[1])
    assert made.about == {"licence": "MIT", "made_by": "a test"}
    for field in ("name", "precision", "side", "cells", "attention", "temperature", "answers"):
        assert getattr(made, field) == getattr(source, field)
    assert made.vocabulary.words == source.vocabulary.words


def test_the_reference_computes_what_onnxruntime_does(files: tuple[Path, Path]) -> None:
    source, reference = OnnxEngine(load_model(files[0]), 1), ReferenceEngine(load_tensors(files[1]))
    sizes = reference.model.file.sizes
    for seed in range(4):
        expected = source.encode(pixels(seed))
        got = reference.encode(pixels(seed))
        dequantized = (got.astype(np.float32) - sizes.features_zero) * np.float32(sizes.features_scale)
        assert noise(dequantized, expected[0].reshape(sizes.channels, -1).T) > close(files[0])
        for question in range(5):  # about the same features, so that only the head is compared
            (logits, look), (own, own_look) = (
                engine.answer(features, ids(question))
                for engine, features in ((source, for_onnx(dequantized)), (reference, got))
            )
            assert noise(np.array(own), np.array(logits)) > 30
            np.testing.assert_allclose(own_look, look, atol=0.02)


def test_every_weight_is_the_same(files: tuple[Path, Path]) -> None:
    """One quantization serves both formats: the int8 matrices hold the same numbers, whatever their layout."""
    source, made = load_model(files[0]), load_tensors(files[1])

    def sums(arrays: list[np.ndarray]) -> list[tuple[int, int, int]]:
        return sorted((a.size, int(a.astype(np.int64).sum()), int(np.abs(a.astype(np.int64)).sum())) for a in arrays)

    stored = [
        numpy_helper.to_array(tensor)
        for graph in ("encoder.onnx", "head.onnx")
        for tensor in onnx.load_from_string(source.graph(graph)).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and not tensor.name.endswith("zero_point")
    ]
    own = [a for a in made.tensors.values() if a.dtype == np.int8]
    assert sums([a for a in stored if a.ndim != 3 or a.shape[2] != 1]) == sums(own)  # scores are float32 in .evqa


def test_residuals_and_bounds(files: tuple[Path, Path]) -> None:
    made = load_tensors(files[1]).file
    mobile = load_model(files[0]).name.startswith("mobilenetv2")
    assert len(made.convs) == (53 if mobile else 9)
    assert sum(conv.residual >= 0 for conv in made.convs) == (10 if mobile else 0)
    assert sum(conv.depthwise for conv in made.convs) == (17 if mobile else 0)


def test_onnxruntime_runs_the_evqa_file_too(files: tuple[Path, Path]) -> None:
    engine, reference = OnnxEngine(load_model(files[1]), 1), ReferenceEngine(load_tensors(files[1]))
    sizes = reference.model.file.sizes
    for seed in range(3):
        got, own = engine.encode(pixels(seed)), reference.encode(pixels(seed))
        dequantized = (own.astype(np.float32) - sizes.features_zero) * np.float32(sizes.features_scale)
        assert noise(got[0].reshape(sizes.channels, -1).T, dequantized) > close(files[0])
        (logits, look), (own_logits, own_look) = (
            engine.answer(for_onnx(dequantized), ids(seed)),
            reference.answer(own, ids(seed)),
        )
        assert noise(np.array(logits), np.array(own_logits)) > 30
        np.testing.assert_allclose(look, own_look, atol=0.02)


def test_the_graphs_made_for_onnxruntime_are_valid(files: tuple[Path, Path]) -> None:
    from edge_vqa.engines.onnx_graph import encoder_graph, head_graph

    model = load_tensors(files[1])
    for graph in (encoder_graph(model), head_graph(model)):
        onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)


def test_a_clip_that_is_left_becomes_the_bounds(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Newer exporters keep the Clip of a ReLU6; the same bounds then stand in the record."""
    source = load_model(files[0])
    model = onnx.load_from_string(source.graph("encoder.onnx"))
    graph = model.graph
    for name, value in (("zero", 0.0), ("six", 6.0)):
        graph.initializer.append(helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value]))
    last = [n for n in graph.node if n.op_type == "Conv"][-1]
    at = list(graph.node).index(last) + 1
    clip = helper.make_node("Clip", ["unclipped", "zero", "six"], [last.output[0]])
    last.output[0] = "unclipped"
    graph.node.insert(at, clip)
    scale = next(n.input[1] for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == clip.output[0])
    next(t for t in graph.initializer if t.name == scale).CopyFrom(
        helper.make_tensor(scale, onnx.TensorProto.FLOAT, [], [0.05])
    )
    changed = tmp_path / "clipped.vqa.zip"
    fields = {**MANIFEST, "name": source.name, "attention": source.attention}
    save_model(changed, fields, {**source.graphs, "encoder.onnx": model.SerializeToString()})
    to_evqa.convert(changed, tmp_path / "a.evqa", {})
    conv = load_tensors(tmp_path / "a.evqa").file.convs[-1]
    assert (conv.low, conv.high) == (conv.out_zero, conv.out_zero + 120)


@pytest.mark.parametrize("depthwise", [0, 1])
def test_a_bias_that_could_overflow_gets_coarser_steps(depthwise: int) -> None:
    conv = Conv(depthwise, 3, 1, 3, 3, 8, 8, 0, 0, 0, 255)
    weights = np.random.default_rng(0).integers(-127, 128, (3, 3, 3) if depthwise else (3, 3, 3, 3)).astype(np.int8)
    bias, scale = np.array([5, (1 << 31) - 1, -(1 << 30)], np.int32), np.array([1e-3, 1e-7, 1e-7])
    fitted = to_evqa.fit_sums(conv, weights, bias, scale)
    assert (accumulator_bound(conv, *fitted[:2]) < 1 << 30).all()
    assert fitted[2] / scale == pytest.approx([1, 4, 2])
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    before, after = (
        (accumulate(conv, pixels, w, np.zeros(3, np.int32)) + b.astype(np.float64)) * s
        for w, b, s in ((weights, bias, scale), fitted)
    )
    np.testing.assert_allclose(after, before, atol=0.02)


def rejected(folder: Path, graphs: dict[str, bytes], match: str, **fields: object) -> None:
    source, out = folder / "bad.vqa.zip", folder / "bad.evqa"
    save_model(source, {**MANIFEST, "name": "cnn-lstm", "attention": False, **fields}, graphs)
    with pytest.raises(ModelError, match=match):
        to_evqa.convert(source, out, {})
    assert not out.exists()


def test_files_that_cannot_be_converted(files: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    graphs = load_model(files[0]).graphs
    identity = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["pixels"], ["features"])],
            "g",
            [helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [1])],
        )
    ).SerializeToString()
    rejected(tmp_path, graphs, "float32; only int8", precision="float32")
    rejected(tmp_path, {**graphs, "encoder.onnx": identity}, "encoder.onnx is not a graph that export.to_onnx")
    rejected(tmp_path, {**graphs, "head.onnx": identity}, "head.onnx is not a graph that export.to_onnx")
    rejected(tmp_path, {**graphs, "head.onnx": b"no graph"}, "head.onnx is not an ONNX graph")
    rejected(tmp_path, {"encoder.onnx": graphs["encoder.onnx"]}, "holds no head.onnx")
    rejected(tmp_path, graphs, "head.answer is missing or not of shape", answers=["a"])
    out = str(tmp_path / "x.evqa")
    assert to_evqa.main(["--model", str(tmp_path / "none"), "--out", out]) == 1
    assert to_evqa.main(["--model", str(files[0]), "--out", out, "--about", str(tmp_path / "none")]) == 1
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    assert to_evqa.main(["--model", str(files[0]), "--out", out, "--about", str(tmp_path / "list.json")]) == 1
    assert to_evqa.main(["--model", str(files[1]), "--out", out]) == 1
    assert capsys.readouterr().err.count("error: ") == 4


def test_float_graphs_are_refused(tmp_path: Path) -> None:
    encoder, head = to_onnx.export_graphs(to_onnx.fold_batchnorm(network("cnn-lstm")), SIDE)
    graphs = {"encoder.onnx": encoder.SerializeToString(), "head.onnx": head.SerializeToString()}
    rejected(tmp_path, graphs, "encoder.onnx is not a graph that export.to_onnx quantizes to int8")


def test_the_shipped_files_are_one_model(tmp_path: Path) -> None:
    from edge_vqa.model_file import BUNDLED, DEFAULT

    to_evqa.convert(BUNDLED / f"{DEFAULT}.vqa.zip", tmp_path / "again.evqa", {})
    assert (tmp_path / "again.evqa").read_bytes() == (BUNDLED / f"{DEFAULT}.evqa").read_bytes()
    assert VQA(tmp_path / "again.evqa", "reference").model.name == DEFAULT
