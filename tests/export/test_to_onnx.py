"""What leaves PyTorch computes the same."""

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from edge_vqa import VQA
from edge_vqa.errors import ModelError
from export import evaluate, heads, to_onnx, train
from export.models import NAMES, PIXEL_SCALE, PIXEL_ZERO, Network, Shape
from export.run_folder import RunFolder


def randomised(name: str) -> Network:
    """A network whose BatchNorm statistics are not the trivial ones."""
    torch.manual_seed(3)
    network = Network(Shape(name, words=30, answers=9)).eval()
    for m in network.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.uniform_(-0.2, 0.2)
            m.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(m.weight, 0.7, 1.4)
            torch.nn.init.uniform_(m.bias, -0.3, 0.3)
    return network


@pytest.mark.parametrize("name", NAMES)
def test_float_graphs_equal_pytorch(name: str) -> None:
    network = randomised(name)
    encoder, head = to_onnx.export_graphs(to_onnx.fold_batchnorm(network), 64)
    encoder = to_onnx.take_pixels(encoder)
    pixels = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    ids, lengths = torch.randint(2, 30, (3, 7)), torch.tensor([7, 2, 5])
    with torch.no_grad():
        features = network.encoder(pixels.permute(0, 3, 1, 2).float())
        logits, looked = network.head(features, ids, lengths)
    got = onnxruntime.InferenceSession(encoder.SerializeToString()).run(None, {"pixels": pixels.numpy()})[0]
    np.testing.assert_allclose(got, features.numpy(), atol=1e-4)
    feed = {"features": got, "ids": ids.numpy(), "lengths": lengths.numpy()}
    got_logits, got_looked = onnxruntime.InferenceSession(head.SerializeToString()).run(["logits", "attention"], feed)
    np.testing.assert_allclose(got_logits, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(got_looked, looked.numpy(), atol=1e-4)


def test_a_quantized_encoder_takes_raw_pixels_and_stays_close() -> None:
    network = randomised("cnn-lstm-attention")
    encoder, _ = to_onnx.export_graphs(to_onnx.fold_batchnorm(network), 64)
    pictures = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    quantized = to_onnx.take_pixels(to_onnx.quantize_encoder(encoder, pictures))
    assert not any(n.op_type == "QuantizeLinear" and "pixels" in n.input[0] for n in quantized.graph.node)
    session = onnxruntime.InferenceSession(quantized.SerializeToString())
    assert session.get_inputs()[0].type == "tensor(uint8)"
    got = session.run(None, {"pixels": pictures.permute(0, 2, 3, 1).numpy()})[0]
    with torch.no_grad():
        expected = network.encoder(pictures.float()).numpy()
    noise = 10 * np.log10((expected**2).sum() / ((got - expected) ** 2).sum())
    assert noise > 20, f"{noise:.1f} dB"


def test_bias_correction_makes_up_for_rounding_the_weights() -> None:
    """With exact inputs and weights rounded to int8, the mean output of each layer comes back to the exact one.

    The second layer has the case that matters: a channel that does not vary under a huge folded weight.
    """
    network = to_onnx.fold_batchnorm(randomised("cnn-lstm"))
    first, second = network.encoder.backbone[0][0], network.encoder.backbone[1][0]
    pictures = torch.randint(0, 160, (4, 3, 224, 224), dtype=torch.uint8)  # dark: no mean is near zero
    with torch.no_grad():
        first.weight[0] = 0
        first.bias[0] = 1.0
        second.weight[:, 0] = torch.rand(3, 3) * 40 + 3
        second.bias -= second.weight[:, 0].sum((1, 2))
    corrected = copy.deepcopy(network)
    to_onnx.correct_bias(corrected.encoder, pictures)
    inputs: dict[str, torch.Tensor] = {}
    convolutions = {n: m for n, m in network.encoder.named_modules() if isinstance(m, torch.nn.Conv2d)}
    for name, m in convolutions.items():
        m.register_forward_pre_hook(lambda _, given, name=name: inputs.update({name: given[0]}))
    with torch.no_grad():
        network.encoder(pictures.float())

    def shift(name: str, bias: torch.Tensor) -> float:
        """Mean over output channels of how far the channel's mean moves, borders left out (their padding is exact)."""
        m = convolutions[name]
        step = (m.weight.abs().amax((1, 2, 3), keepdim=True) / 127).clamp_min(1e-12)
        rounded = torch.round(m.weight / step) * step
        with torch.no_grad():
            exact = F.conv2d(inputs[name], m.weight, m.bias, m.stride)
            return float((F.conv2d(inputs[name], rounded, bias, m.stride) - exact).mean((0, 2, 3)).abs().mean())

    found = dict(corrected.encoder.named_modules())
    for name, m in convolutions.items():
        before, after = shift(name, m.bias), shift(name, found[name].bias)
        assert after < 0.2 * before, f"{name}: {before:.2e} -> {after:.2e}"


def test_the_last_matrix_of_a_quantized_head_stays_float() -> None:
    _, head = to_onnx.export_graphs(to_onnx.fold_batchnorm(randomised("cnn-lstm-attention")), 64)
    types = {t.name: t.data_type for t in to_onnx.quantize_head(head).graph.initializer}
    assert [t for name, t in types.items() if name.startswith("answer.weight")] == [onnx.TensorProto.FLOAT]
    assert onnx.TensorProto.INT8 in [t for name, t in types.items() if name.startswith("join_picture.weight")]


def test_pixel_zero_is_a_value_a_pixel_can_have() -> None:
    assert PIXEL_ZERO == 128
    assert pytest.approx(1 / 127.5) == PIXEL_SCALE


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data: Path) -> Path:
    from tiny_data import CONFIG

    folder = tmp_path_factory.mktemp("trained")
    config = folder / "c.toml"
    config.write_text(
        CONFIG.format(model="cnn-lstm-attention", epochs=24, dropout=0.0, crop=0.9, freeze="false"), encoding="utf-8"
    )
    assert train.main(["--model", str(config), "--data", str(tiny_data), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_model_file_answers_like_the_network(trained: Path, tiny_data: Path, precision: str) -> None:
    file = trained / f"{precision}.vqa.zip"
    assert (
        to_onnx.main(["--run", str(trained), "--data", str(tiny_data), "--precision", precision, "--out", str(file)])
        == 0
    )
    from export.data import load_dataset

    dataset = load_dataset(tiny_data)
    _, predictions = evaluate.evaluate(RunFolder(trained), dataset, "val", trained)
    result = evaluate.evaluate_model_file(file, "onnx", dataset, predictions)
    assert result["agreement"] >= (1.0 if precision == "float32" else 0.9)
    assert VQA(file).model.precision == precision


def test_evaluation_writes_its_results(trained: Path, tiny_data: Path, tmp_path: Path, capsys) -> None:
    command = ["--run", str(trained), "--data", str(tiny_data), "--split", "val", "--out", str(tmp_path)]
    assert evaluate.main(command) == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "val.json",
        "val-confusion.png",
        "val-kinds.png",
        "val-calibration.png",
    }
    assert evaluate.main([*command[:-4], "--split", "test"]) == 1
    assert "no test.csv" in capsys.readouterr().err


def test_heads_of_several_seeds(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    command = [
        "--run",
        str(trained),
        "--data",
        str(tiny_data),
        "--seeds",
        "1",
        "2",
        "--epochs",
        "30",
        "--out",
        str(tmp_path),
    ]
    assert heads.main([*command, "--views", "2"]) == 0
    result = json.loads((tmp_path / "heads.json").read_text(encoding="utf-8"))
    assert [r["seed"] for r in result["seeds"]] == [1, 2]
    values = [r["val"] for r in result["seeds"]]
    assert min(values) > 0.6
    assert result["val"]["mean"] == pytest.approx(sum(values) / 2)
    assert "test" not in result


def test_mistakes(trained: Path, tmp_path: Path, capsys) -> None:
    assert to_onnx.main(["--run", str(trained)]) == 1
    assert "int8 needs --data" in capsys.readouterr().err
    assert to_onnx.main(["--run", str(tmp_path), "--precision", "float32"]) == 1
    with pytest.raises(ModelError):
        VQA(trained / "model.safetensors")
