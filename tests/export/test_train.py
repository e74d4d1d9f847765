"""Training: it learns, resumes to the same weights, and gives the same on two processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_data import CONFIG

from edge_vqa.errors import DataError
from export import release, train
from export.config import load_config
from export.run_folder import RunFolder

ROOT = Path(__file__).parents[2]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns_the_tiny_data_set(tiny_data: Path, tiny_config, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert (
        train.main(
            ["--model", str(tiny_config(epochs=30, dropout=0.0, crop=0.9)), "--data", str(tiny_data), "--out", str(out)]
        )
        == 0
    )
    history = RunFolder(out).history()
    assert len(history) == 30
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    # Not looking leaves at most half of the questions right: names, colours, sides and balanced có/không.
    assert history[-1]["val_accuracy"] > 0.9
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    network, vocabulary, answers, side = RunFolder(out).load()
    assert (side, len(answers), len(vocabulary)) == (64, 10, network.shape.words)


def test_an_interrupted_run_ends_with_the_same_weights(
    tiny_data: Path, tiny_config, tmp_path: Path, monkeypatch
) -> None:
    command = ["--model", str(tiny_config(epochs=3)), "--data", str(tiny_data), "--out"]
    assert train.main([*command, str(tmp_path / "whole")]) == 0

    real, epochs = train.Trainer.train_epoch, []

    def interrupted(self):
        if len(epochs) == 1:
            raise KeyboardInterrupt
        epochs.append(1)
        return real(self)

    monkeypatch.setattr(train.Trainer, "train_epoch", interrupted)
    assert train.main([*command, str(tmp_path / "parts")]) == 130
    monkeypatch.setattr(train.Trainer, "train_epoch", real)
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    assert train.main([*command, str(tmp_path / "parts")]) == 0
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert [r["epoch"] for r in RunFolder(tmp_path / "parts").history()] == [1, 2, 3]


def test_seeds_repeat_and_differ(tiny_data: Path, tiny_config, tmp_path: Path) -> None:
    command = ["--model", str(tiny_config(epochs=1)), "--data", str(tiny_data), "--steps", "2"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train.main([*command, "--seed", seed, "--out", str(tmp_path / name)]) == 0
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_two_processes_train_like_one(tiny_data: Path, tiny_config, tmp_path: Path) -> None:
    """Frozen BatchNorm statistics and no dropout: then the loss is a sum over questions, whoever computes it."""
    config = tiny_config(epochs=2, dropout=0.0, freeze="true")
    text = config.read_text(encoding="utf-8").replace("light = 0.1", "light = 0.0")
    config.write_text(text, encoding="utf-8")
    arguments = ["-m", "export.train", "--model", str(config), "--data", str(tiny_data)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    for launcher, name in (
        ([], "one"),
        (["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"], "two"),
    ):
        command = [sys.executable, *launcher, *arguments, "--out", str(tmp_path / name)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    one, two = RunFolder(tmp_path / "one").history(), RunFolder(tmp_path / "two").history()
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3)
        assert b["cover"] == pytest.approx(a["cover"], rel=1e-3)


def test_a_folder_with_other_settings_is_not_continued(tiny_data: Path, tiny_config, tmp_path: Path, capsys) -> None:
    command = [
        "--data",
        str(tiny_data),
        "--steps",
        "1",
        "--out",
        str(tmp_path / "run"),
        "--model",
        str(tiny_config(epochs=1)),
    ]
    assert train.main(command) == 0
    assert train.main([*command, "--seed", "9"]) == 1
    assert "other settings (seed)" in capsys.readouterr().err


def test_a_start_from_another_run_is_taken(tiny_data: Path, tiny_config, tmp_path: Path) -> None:
    data = ["--data", str(tiny_data)]
    assert train.main(["--model", str(tiny_config(epochs=1)), *data, "--steps", "1", "--out", str(tmp_path / "a")]) == 0
    start = tmp_path / "a" / "model.safetensors"
    plain = tiny_config("cnn-lstm", epochs=1)
    assert (
        train.main(["--model", str(plain), *data, "--start", str(start), "--steps", "1", "--out", str(tmp_path / "b")])
        == 0
    )
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    key = "encoder.backbone.0.0.weight"
    assert (a[key] - b[key]).abs().max() < 0.05
    wrong = tiny_config("mobilenetv2-lstm", epochs=1)
    assert train.main(["--model", str(wrong), *data, "--start", str(start), "--out", str(tmp_path / "c")]) == 1


def test_mistakes_are_told_in_one_line(tiny_data: Path, tiny_config, tmp_path: Path, capsys) -> None:
    good, data = str(tiny_config()), str(tiny_data)
    bad = tmp_path / "bad.toml"
    bad.write_text(Path(good).read_text(encoding="utf-8").replace("lr_head", "lr_hat"), encoding="utf-8")
    for model, where, message in (
        ("mobilenet", data, "no such configuration"),
        (good, "nowhere", "no such folder"),
        (str(bad), data, "no setting lr_hat"),
    ):
        assert train.main(["--model", model, "--data", where, "--out", str(tmp_path / "x")]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = 32", "widht = 32", "sizes has no setting widht"),
        ("side = 64\nstore", "side = 80\nstore", "side 80: .* multiple of 32"),
        ("batch = 6", "batch = 0", "batch 0: must be 1 or more"),
        ("seed = 5", "seed = five", "c.toml"),
        ("[[stage]]", "[[phase]]", "no setting phase"),
    ],
)
def test_a_configuration_is_checked(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = CONFIG.format(model="cnn-lstm", epochs=1, dropout=0.0, crop=1.0, freeze="false")
    assert old in text
    file = tmp_path / "c.toml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_config(file)


def test_a_run_that_has_not_ended_is_not_released(tiny_data: Path, tiny_config, tmp_path: Path, monkeypatch) -> None:
    config = str(tiny_config(epochs=1))
    assert train.main(["--model", config, "--data", str(tiny_data), "--steps", "1", "--out", str(tmp_path / "a")]) == 0
    (tmp_path / "a" / "model.safetensors").unlink()
    with pytest.raises(DataError, match="has not ended"):
        RunFolder(tmp_path / "a").load()
    monkeypatch.setattr(release, "RELEASED", tmp_path / "released")
    assert release.main(["--run", str(tmp_path / "a"), "--data", str(tiny_data)]) == 1
    assert not (tmp_path / "released").exists()
    with pytest.raises(DataError, match="not a training run"):
        RunFolder(tmp_path).about()


def test_a_head_may_be_tuned_after_the_last_stage(tiny_data: Path, tiny_config, tmp_path: Path) -> None:
    plain = tiny_config(epochs=1)
    tuned = tmp_path / "tuned.toml"
    tuned.write_text(plain.read_text(encoding="utf-8") + "[head]\nepochs = 2\n", encoding="utf-8")
    for file, name in ((plain, "a"), (tuned, "b")):
        assert train.main(["--model", str(file), "--data", str(tiny_data), "--out", str(tmp_path / name)]) == 0
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    changed = {k.split(".")[0] for k in a if not torch.equal(a[k], b[k])}
    assert changed == {"head"}
