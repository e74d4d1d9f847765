"""The matrix of exported files and its manifest."""

import hashlib
import json
from pathlib import Path

import pytest
from tiny_data import VNFOOD, needs_vnfood

from edge_vqa import VQA
from export import all as export_all


def test_an_entry_says_what_a_file_is(tmp_path: Path) -> None:
    for name, part, kind in (
        ("cnn-lstm-int8.evqa", "whole", "evqa"),
        ("cnn-lstm-int8.onnx", "whole", "onnx"),
        ("cnn-lstm-int8.head.tflite", "head", "tflite"),
    ):
        file = tmp_path / name
        file.write_bytes(b"abc")
        entry = export_all.describe(file, "cnn-lstm", "int8")
        assert (entry["part"], entry["format"], entry["bytes"]) == (part, kind, 3)
        assert entry["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_unknown_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export_all.main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--models", "no-such"]) == 1
    assert "no-such" in capsys.readouterr().err
    assert export_all.main(["--data", str(tmp_path / "absent"), "--out", str(tmp_path / "out")]) == 1
    assert "Traceback" not in capsys.readouterr().err


@needs_vnfood
def test_one_model_in_every_format(tmp_path: Path) -> None:
    arguments = ["--data", str(VNFOOD), "--out", str(tmp_path), "--models", "cnn-lstm"]
    assert export_all.main(arguments) == 0
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    named = {e["file"]: e for e in manifest["files"]}
    assert set(named) == {f.name for f in tmp_path.iterdir()} - {"manifest.json"}
    forms = [".evqa", *(f"{part}{kind}" for part in ("", ".encoder", ".head") for kind in (".onnx", ".tflite"))]
    assert set(named) == {f"cnn-lstm-{precision}{form}" for precision in ("int8", "float32") for form in forms}
    for name, entry in named.items():
        content = (tmp_path / name).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert manifest["models"]["cnn-lstm"]["accuracy"] == pytest.approx(0.6656, abs=0.001)
    picture = Path(__file__).parents[2] / "examples" / "ca_rot.jpg"
    answers = {
        (file, engine): VQA(tmp_path / file, engine).ask(picture, "màu chủ đạo là gì").text
        for file, engine in (
            ("cnn-lstm-int8.evqa", "native"),
            ("cnn-lstm-float32.evqa", "native"),
            ("cnn-lstm-int8.onnx", "onnx"),
            ("cnn-lstm-float32.head.onnx", "onnx"),
        )
    }
    assert len(set(answers.values())) == 1, answers
