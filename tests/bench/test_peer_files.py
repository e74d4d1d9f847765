"""What is made for peers is the file's network: against the NumPy engine, and layer by layer against its weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import make_model

from bench.peers.float_network import as_float32, bounds
from bench.peers.mnn_files import head_graph
from bench.peers.ncnn_files import write_encoder, write_head
from edge_vqa.engines.reference import ReferenceEngine, encode
from edge_vqa.evqa_file import FLOAT32, INT8, NO_BOUND
from edge_vqa.evqa_tensors import EvqaModel, load_tensors, save_tensors
from edge_vqa.image import picture_pixels
from edge_vqa.model_file import find_model

IDS = (2, 3, 1, 4)
PHOTO = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))[0]
KINDS = ("mobile-attention", "mobile", "dense-attention", "odd")


def tiny(folder: Path, kind: str, precision: int) -> EvqaModel:
    return load_tensors(make_model(folder / f"{kind}.evqa", kind, seed=3, precision=precision))


def picture(model: EvqaModel) -> bytes:
    side = model.file.sizes.side
    return np.random.default_rng(5).integers(0, 256, side * side * 3, np.uint8).tobytes()


def truth(model: EvqaModel, pixels: bytes) -> tuple[Any, Any]:
    """The NumPy engine's features, [1, channels, cells, cells] in real units, and logits."""
    engine, sizes = ReferenceEngine(model), model.file.sizes
    features = engine.encode(pixels)
    real = (features.astype(np.float32) - sizes.features_zero) * np.float32(sizes.features_scale)
    return real.T.reshape(1, -1, sizes.cells, sizes.cells), np.array(engine.answer(features, IDS)[0])


def unrounded_truth(model: EvqaModel, pixels: bytes) -> Any:
    """The same features before the file's last rounding, which peers leave away."""
    sizes, last = model.file.sizes, model.file.convs[-1]
    shown = np.frombuffer(pixels, np.uint8).reshape(sizes.side, sizes.side, 3)
    seen = (encode(model, shown)[-1].astype(np.float32) - last.out_zero) * np.float32(last.out_scale)
    places = model.tensors["head.place"] * np.float32(sizes.features_scale)
    return (seen + places.reshape(seen.shape)).transpose(2, 0, 1)[None]


def decibels(wanted: Any, found: Any) -> float:
    """Signal over noise."""
    return float(10 * np.log10((wanted**2).mean() / ((found - wanted) ** 2).mean()))


@pytest.fixture(scope="module")
def bundled() -> EvqaModel:
    return load_tensors(find_model(None))


def test_the_float_network_sees_what_the_int8_one_sees(bundled, tmp_path):
    pixels = picture_pixels(PHOTO, bundled.file.sizes.side)
    plain = as_float32(bundled)
    save_tensors(tmp_path / "float.evqa", plain.file, plain.tensors)  # which checks every shape and value
    (features, logits), (real, answers) = truth(bundled, pixels), truth(load_tensors(tmp_path / "float.evqa"), pixels)
    assert decibels(real, features) > 30
    assert decibels(answers, logits) > 30
    assert as_float32(plain) is plain


def test_only_real_bounds_are_kept(tmp_path):
    conv = tiny(tmp_path, "mobile", INT8).file.convs[0]
    rounded = dataclasses.replace(conv, low=0, high=255, out_zero=0, out_scale=5.9 / 255)
    assert bounds(rounded) == (0, 6.0)
    assert bounds(dataclasses.replace(rounded, out_scale=9 / 255)) == (0, pytest.approx(9))
    assert bounds(dataclasses.replace(rounded, out_zero=99)) == (-NO_BOUND, NO_BOUND)
    assert bounds(dataclasses.replace(rounded, out_zero=100, low=90, out_scale=0.5)) == (-5, 77.5)


@pytest.mark.parametrize("kind", KINDS)
def test_torch_modules_compute_the_float_network(kind, tmp_path):
    torch = pytest.importorskip("torch")
    from bench.peers.torch_network import FloatEncoder, Head

    model = tiny(tmp_path, kind, FLOAT32)
    pixels, side = picture(model), model.file.sizes.side
    features, logits = truth(model, pixels)
    with torch.no_grad():
        seen = FloatEncoder(model)(torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(1, side, side, 3))
        told = Head(model)(seen, torch.tensor([IDS]))
    np.testing.assert_allclose(seen, features, atol=1e-4 * np.abs(features).max())
    np.testing.assert_allclose(told[0], logits, atol=1e-4 * np.abs(logits).max())


@pytest.mark.parametrize("kind", KINDS)
def test_torch_int8_modules_keep_the_values_between_layers(kind, tmp_path):
    torch = pytest.importorskip("torch")
    from bench.peers import pytorch_peer
    from bench.peers.executorch_files import QdqEncoder

    model = tiny(tmp_path, kind, INT8)
    pixels, side = picture(model), model.file.sizes.side
    features, (_, logits) = unrounded_truth(model, pixels), truth(model, pixels)
    shown = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(1, side, side, 3)
    turned = (shown ^ 128).view(torch.int8).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert decibels(features, QdqEncoder(model)(turned).numpy()) > 30, "quantize and dequantize"
    pytorch_peer.make(model, tmp_path, [len(IDS)])
    peer = pytorch_peer.PyTorchPeer(model, tmp_path, 1)
    peer.show(pixels, IDS)
    peer.encode()
    assert decibels(features, peer._features.numpy()) > 30
    peer.further()
    assert decibels(logits[:-1], np.array(peer.logits())) > 25


@pytest.mark.parametrize("kind", KINDS)
def test_heads_without_loops_compute_the_float_network(kind, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model = tiny(tmp_path, kind, FLOAT32)
    features, logits = truth(model, picture(model))
    session = runtime.InferenceSession(head_graph(model, len(IDS)), providers=["CPUExecutionProvider"])
    told = session.run(["logits"], {"features": features, "ids": np.array(IDS, np.int32)})[0]
    np.testing.assert_allclose(told[0], logits, atol=1e-4 * np.abs(logits).max())


def test_tflite_runtime_is_given_the_float_network(bundled, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    from bench.peers import tflite_runtime_peer

    tflite_runtime_peer.make(bundled, tmp_path, [len(IDS)])
    pixels, side = picture(bundled), bundled.file.sizes.side
    encoder = interpreter.Interpreter(str(tmp_path / "encoder.tflite"))
    encoder.allocate_tensors()
    assert not any(d["dtype"] == np.int8 for d in encoder.get_tensor_details())
    encoder.set_tensor(
        encoder.get_input_details()[0]["index"], np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3)
    )
    encoder.invoke()
    found = encoder.get_tensor(encoder.get_output_details()[0]["index"]).transpose(0, 3, 1, 2)
    wanted, _ = truth(as_float32(bundled), pixels)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


class Weights:
    """Reads an ncnn .bin file as its documentation says."""

    def __init__(self, path: Path) -> None:
        self._data, self._at = path.read_bytes(), 0

    def floats(self, count: int) -> Any:
        return np.frombuffer(self._take(4 * count), "<f4")

    def typed(self, count: int) -> Any:
        """Begins with its type; ends at a multiple of 4."""
        assert self._take(4) == (0x01306B47).to_bytes(4, "little"), "not float16"
        values = np.frombuffer(self._take(-(-2 * count // 4) * 4), "<f2")[:count]
        return values.astype(np.float32)

    def _take(self, count: int) -> bytes:
        self._at += count
        assert self._at <= len(self._data)
        return self._data[self._at - count : self._at]

    def at_end(self) -> bool:
        return self._at == len(self._data)


def read_layers(path: Path) -> list[tuple[str, list[str], list[str], dict[int, str]]]:
    """Kind, inputs, outputs and parameters of each layer, when every blob is made before it is used, and used once."""
    magic, counts, *lines = path.read_text().splitlines()
    layers, ready, made = [], set(), 0
    for line in lines:
        kind, _, taken, given, *rest = line.split()
        inputs, outputs = rest[: int(taken)], rest[int(taken) : int(taken) + int(given)]
        assert ready.issuperset(inputs)
        ready.difference_update(inputs)
        ready.update(outputs)
        made += len(outputs)
        parameters = dict(word.split("=") for word in rest[int(taken) + int(given) :])
        layers.append((kind, inputs, outputs, {int(key): value for key, value in parameters.items()}))
    assert (magic, counts) == ("7767517", f"{len(lines)} {made}")
    return layers


@pytest.mark.parametrize("precision", [INT8, FLOAT32])
def test_ncnn_files_hold_every_weight(precision, tmp_path):
    model = tiny(tmp_path, "mobile-attention", precision)
    plain = as_float32(model)
    write_encoder(model, tmp_path / "encoder")
    weights, number = Weights(tmp_path / "encoder.bin"), 0
    for kind, _, outputs, told in read_layers(tmp_path / "encoder.param"):
        if kind.startswith("Convolution"):
            conv, name = plain.file.convs[number], f"conv{number}"
            facts = {0: conv.outputs, 1: conv.kernel, 3: conv.stride, 4: conv.kernel // 2, 5: 1}
            assert {key: int(told[key]) for key in facts} == facts
            assert (kind == "ConvolutionDepthWise") == bool(conv.depthwise) == (told.get(7) == str(conv.inputs))
            assert outputs[0].split("_")[0] == name
            wanted = plain.tensors[f"{name}.weights"]
            wanted = wanted.transpose(2, 0, 1) if conv.depthwise else wanted.transpose(0, 3, 1, 2)
            np.testing.assert_allclose(weights.typed(int(told[6])), wanted.ravel(), rtol=1e-3, atol=1e-7)
            np.testing.assert_array_equal(weights.floats(conv.outputs), plain.tensors[f"{name}.bias"])
            number += 1
        elif kind == "MemoryData":
            np.testing.assert_array_equal(
                weights.floats(plain.tensors["head.place"].size), plain.tensors["head.place"].T.ravel()
            )
    assert number == len(plain.file.convs) and weights.at_end()


@pytest.mark.parametrize("kind", KINDS[:2])
def test_ncnn_head_is_read_whole(kind, tmp_path):
    model = tiny(tmp_path, kind, FLOAT32)
    write_head(model, tmp_path / "head")
    weights, sizes, seen = Weights(tmp_path / "head.bin"), model.file.sizes, []
    for layer, _, outputs, told in read_layers(tmp_path / "head.param"):
        if layer == "Embed":
            found = weights.typed(int(told[3]))
            np.testing.assert_allclose(found, model.tensors["head.embedding"].ravel(), rtol=1e-3, atol=1e-7)
        elif layer == "LSTM":
            assert int(told[1]) == 4 * sizes.hidden * sizes.embedding
            weights.typed(int(told[1]))
            gates = weights.typed(4 * sizes.hidden).reshape(4, -1)  # input, forget, output, candidate
            wanted = model.tensors["head.lstm_bias"].reshape(4, -1)  # forget, input, candidate, output
            np.testing.assert_allclose(gates, wanted[[1, 0, 3, 2]], rtol=1e-3, atol=1e-6)
            weights.typed(4 * sizes.hidden * sizes.hidden)
        elif layer == "InnerProduct":
            weights.typed(int(told[2]))
            np.testing.assert_array_equal(weights.floats(int(told[0])), model.tensors[f"head.{outputs[0]}_bias"])
            seen.append(outputs[0])
        elif layer == "MemoryData":
            weights.floats(int(told[0]) * int(told[1]))
    assert seen == ["scale", "shift", "question", "picture", "answer"] and weights.at_end()


@pytest.mark.parametrize("kind", KINDS[:2])
def test_ncnn_computes_the_float_network(kind, tmp_path):
    pytest.importorskip("ncnn")
    from bench.peers import ncnn_peer

    model = tiny(tmp_path, kind, FLOAT32)
    pixels = picture(model)
    _, logits = truth(model, pixels)
    ncnn_peer.make(model, tmp_path, [len(IDS)])
    peer = ncnn_peer.NcnnPeer(model, tmp_path, 1)
    peer.show(pixels, IDS)
    peer.answer()
    assert decibels(logits[:-1], np.array(peer.logits())) > 25
