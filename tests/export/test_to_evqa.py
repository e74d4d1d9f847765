"""From a run's folder to an .evqa file, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_network import ANSWERS, SIDE, WORDS, network

from edge_vqa.engines import open_engine
from edge_vqa.errors import DataError
from edge_vqa.model_file import load_model
from export import to_evqa
from export.data import load_dataset
from export.run_folder import RunFolder

NAME = "cnn-lstm-attention"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended, with random weights."""
    path = tmp_path_factory.mktemp("đã học xong")
    made = network(NAME)
    about = {
        "shape": made.shape.to_dict(),
        "side": SIDE,
        "vocabulary": ["mon", "nay", "la", *(f"w{i}" for i in range(WORDS - 5))],
        "answers": ["có", "không", "đỏ", *(f"a{i}" for i in range(ANSWERS - 3))],
    }
    (path / "run.json").write_text(json.dumps(about), encoding="utf-8")
    RunFolder(path).save_weights(made)
    return path


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_run_becomes_a_file(folder: Path, tiny_data: Path, tmp_path: Path, precision: str) -> None:
    about = tmp_path / "about.json"
    about.write_text(json.dumps({"licence": "MIT", "model_card": "# Thẻ", "name": "mine"}), encoding="utf-8")
    out = tmp_path / "new" / "m.evqa"
    command = ["--run", str(folder), "--data", str(tiny_data), "--precision", precision, "--out", str(out)]
    assert to_evqa.main([*command, "--about", str(about)]) == 0
    model = load_model(out)
    assert (model.name, model.precision, model.side, model.cells) == ("mine", precision, SIDE, SIDE // 32)
    assert model.about["licence"] == "MIT"
    assert model.about["model_card"] == "# Thẻ"
    assert ("quantization" in model.about) == (precision == "int8")
    assert model.temperature != 1.0  # fitted on val
    run, _, answers, _ = RunFolder(folder).load()
    assert list(model.answers) == answers
    engine = open_engine("reference", model)
    seen = engine.encode(bytes(range(256)) * (SIDE * SIDE * 3 // 256))
    logits, _ = engine.answer(seen, [2, 3, 4])
    shown = torch.arange(SIDE * SIDE * 3).remainder(256).view(1, SIDE, SIDE, 3).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected, _ = run.head(run.encoder(shown), torch.tensor([[2, 3, 4]]), torch.tensor([3]))
    error = (torch.tensor(logits) - expected[0]).abs().max()
    assert error < (1e-4 if precision == "float32" else 0.2 * expected.abs().max())


def test_the_same_run_gives_the_same_bytes(folder: Path, tiny_data: Path, tmp_path: Path) -> None:
    dataset = load_dataset(tiny_data)
    files = [tmp_path / "a.evqa", tmp_path / "b.evqa"]
    for file in files:
        to_evqa.export_evqa(RunFolder(folder), dataset, file, "int8", {})
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_default_name_and_no_data(folder: Path) -> None:
    assert to_evqa.main(["--run", str(folder), "--precision", "float32"]) == 0
    made = folder / f"{NAME}-float32.evqa"
    assert load_model(made).temperature == 1.0
    made.unlink()


def test_calibration_pictures_are_spread_over_train(tiny_data: Path) -> None:
    dataset = load_dataset(tiny_data)
    names = dataset.images("train")
    every = to_evqa.calibration_pictures(dataset, 32, 1000)
    three = to_evqa.calibration_pictures(dataset, 32, 3)
    assert len(every) == len(names)
    assert torch.equal(three, every[[0, (len(names) - 1) // 2, len(names) - 1]])


def test_mistakes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert to_evqa.main(["--run", str(folder)]) == 1
    assert "int8 needs the data set" in capsys.readouterr().err
    assert to_evqa.main(["--run", str(tmp_path), "--precision", "float32"]) == 1
    assert "not a training run" in capsys.readouterr().err
    about = tmp_path / "about.json"
    for content in ("[1]", "{"):
        about.write_text(content, encoding="utf-8")
        command = ["--run", str(folder), "--precision", "float32", "--about", str(about)]
        assert to_evqa.main([*command, "--out", str(tmp_path / "m.evqa")]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(DataError, match="precision"):
        to_evqa.export_evqa(RunFolder(folder), None, tmp_path / "m.evqa", "int4", {})
