"""bench.accuracy as a command, on small untrained networks in every format."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from native_library import needs_native
from tiny_data import CONFIG, make_dataset

pytest.importorskip("torch", reason="bench.accuracy needs torch (pip install '.[export]')")
pytest.importorskip("onnx", reason="bench.accuracy needs onnx (pip install '.[export]')")
pytest.importorskip("onnxruntime", reason="bench.accuracy needs onnxruntime (pip install '.[onnx]')")
pytest.importorskip("ai_edge_litert", reason="bench.accuracy needs LiteRT (pip install '.[tflite]')")

import torch

from bench.accuracy import full_precision
from bench.accuracy.__main__ import main
from edge_vqa.question import Vocabulary, split_words
from export.config import load_config
from export.data import Dataset, load_dataset
from export.evaluate import evaluate_model_file
from export.models import Network, Shape
from export.run_folder import RunFolder
from export.scoring import predict
from export.to_evqa import export_evqa
from export.to_onnx import write_onnx
from export.to_tflite import write_tflite
from export.views import Labels

pytestmark = needs_native

NAME = "cnn-lstm-attention"
KEYS = ["int8.evqa", "int8.evqa on onnx", "int8.onnx", "int8.tflite", "float32.evqa", "float32.onnx", "float32.tflite"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in data/, a run in runs/NAME/, its exported files in files/."""
    folder = tmp_path_factory.mktemp("nơi")
    dataset = load_dataset(make_dataset(folder / "data", 24))
    make_run(folder, dataset)
    for precision in ("int8", "float32"):
        evqa = folder / "files" / f"{NAME}-{precision}.evqa"
        export_evqa(RunFolder(folder / "runs" / NAME), dataset, evqa, precision, {})
        write_onnx(evqa, evqa.parent)
        write_tflite(evqa, evqa.parent)
    return folder


def make_run(folder: Path, dataset: Dataset) -> None:
    file = folder / "tiny.toml"
    file.write_text(CONFIG.format(model=NAME, epochs=1, dropout=0.1, crop=0.8, freeze="false"), encoding="utf-8")
    config = load_config(file)
    words = sorted({word for e in dataset.splits["train"] for word in split_words(e.question)})
    vocabulary, answers = Vocabulary(words), dataset.answers()
    torch.manual_seed(1)
    network = Network(Shape(NAME, len(vocabulary), len(answers), **config.sizes))
    with torch.no_grad():  # untrained signals fade from layer to layer; these do not, so that pictures differ
        for module in network.encoder.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.mul_(2.5)
        network.head.answer.weight.mul_(8)
    run = RunFolder(folder / "runs" / NAME)
    run.begin(config, network.shape, vocabulary, answers, Labels.of(dataset))
    run.save_weights(network)


def measure(place: Path, *more: str, out: str = "out", files: str = "files") -> tuple[int, dict[str, Any]]:
    code = main([
        "--files", str(place / files), "--data", str(place / "data"), "--runs", str(place / "runs"), "--models", NAME,
        "--split", "val", "--out", str(place / out), *more,
    ])  # fmt: skip
    return code, json.loads((place / out / "accuracy.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result(place: Path) -> dict[str, Any]:
    """All files, all questions; the tables are in accuracy.md."""
    (place / "accuracy.md").write_text("before\n<!-- accuracy -->\nold\n<!-- /accuracy -->\nafter\n", encoding="utf-8")
    code, found = measure(place, "--fill", str(place / "accuracy.md"))
    assert (code, found["problems"]) == (0, [])
    return found


def test_every_file_is_measured_as_users_have_it(place: Path, result: dict[str, Any]) -> None:
    files = result["models"][NAME]["files"]
    assert list(files) == KEYS
    # The same, asked through VQA with the pictures' files and texts.
    dataset = load_dataset(place / "data")
    network, vocabulary, answers, side = RunFolder(place / "runs" / NAME).load()
    full = predict(network, dataset, "val", vocabulary, answers, side)
    assert len(set(full.logits.argmax(-1).tolist())) > 1
    for key, found in files.items():
        asked = evaluate_model_file(place / "files" / found["file"], found["engine"], dataset, full)
        for figure in ("accuracy", "points_lost", "agreement"):
            assert found[figure] == pytest.approx(asked[figure], abs=1e-5), (key, figure)
        assert found["bytes"] == asked["file_bytes"]
        if key.startswith("float32"):
            assert found["largest_difference"] < 1e-3


def test_the_document_gets_tables_and_plot(place: Path, result: dict[str, Any]) -> None:
    text = (place / "accuracy.md").read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- accuracy -->\n36 questions about 6 pictures")
    assert text.endswith("\n<!-- /accuracy -->\nafter\n")
    assert "old" not in text
    for key in KEYS:
        assert f"| {key} |" in text
    assert (place / "accuracy-layers.png").stat().st_size > 1000


def test_layers_halves_and_checks(result: dict[str, Any]) -> None:
    model = result["models"][NAME]
    assert sorted(model["layers"]) == sorted(key for key in KEYS if " " not in key)
    for key, found in model["layers"].items():
        assert list(found["sqnr"]) == [*(f"conv{n}" for n in range(9)), "features", "state", "logits"]
        lowest = min(found["sqnr"].values())
        assert found["sqnr"][found["worst"]] == lowest
        assert lowest > (80 if key.startswith("float32") else 10), (key, found)
    assert len(model["checks"]) == 12
    graphs = {"int8.onnx", "float32.onnx", "int8.tflite", "float32.tflite"}
    for way in ("halves", "uncut"):
        assert set(model[way]) == graphs
        assert all(found["same"] == found["questions"] == 36 for found in model[way].values())
        assert all(found["largest_difference"] < 1e-3 for found in model[way].values())


def test_pytorch_answers_once(
    place: Path, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(full_precision, "predict", None)  # its answers are still there
    code, again = measure(place, "--formats", "evqa")
    assert code == 0
    assert again["models"][NAME]["pytorch"] == result["models"][NAME]["pytorch"]
    line = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"worst_int8_loss=-?\d+\.\d\d worst_agreement=\d+\.\d\d engines_agree=nan", line)


def test_a_file_that_fails_leaves_the_others(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "broken").mkdir()
    for file in (place / "files").glob("*.onnx"):
        (place / "broken" / file.name).write_bytes(file.read_bytes())
    (place / "broken" / f"{NAME}-int8.onnx").write_bytes(b"not ONNX")
    (place / "broken" / f"{NAME}-float32.head.onnx").unlink()
    code, result = measure(place, "--formats", "onnx", "--questions", "12", out="broken-out", files="broken")
    assert code == 1
    assert list(result["models"][NAME]["files"]) == ["float32.onnx"]
    assert result["questions"] == 12
    named = {problem.split(": ")[0] for problem in result["problems"]}
    assert named == {f"{NAME}-int8.onnx", f"{NAME}-float32.onnx", f"{NAME}-float32.head.onnx"}
    shown = capsys.readouterr()
    assert f"error: {NAME}-int8.onnx: " in shown.err
    assert "Traceback" not in shown.err
    assert shown.out.splitlines()[-1] == "worst_int8_loss=nan worst_agreement=nan engines_agree=nan"


def test_a_file_of_another_network_is_refused(place: Path) -> None:
    (place / "other").mkdir()
    other = place / "other" / f"{NAME}-int8.evqa"
    other.write_bytes((Path(__file__).parents[2] / "edge_vqa/models/mobilenetv2-lstm-attention.evqa").read_bytes())
    code, result = measure(place, "--formats", "evqa", "--questions", "3", out="other-out", files="other")
    assert code == 1
    assert any("not those of the trained network" in problem for problem in result["problems"])
