"""bench.accuracy: its figures against ones worked out by hand, its layers against what a layer is."""

import hashlib
import json
import math
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="bench.accuracy needs torch (pip install '.[export]')")

import numpy as np
import torch

from bench.accuracy import figures, layers
from bench.accuracy.__main__ import ROOT, main
from bench.accuracy.checks import check_manifest
from bench.accuracy.report import agreement_text, effects_table
from bench.accuracy.session import last_line, worst
from bench.accuracy.signature import fit
from edge_vqa.errors import DataError, EngineError
from export.data import Example
from export.models import Network, Shape

ANSWERS = ["có", "không", "cơm"]
EXAMPLES = [
    Example("0", "a.jpg", "có tôm không", "có", "presence"),
    Example("1", "a.jpg", "có cá không", "không", "presence"),
    Example("2", "b.jpg", "món gì", "cơm", "name"),
    Example("3", "b.jpg", "món gì đây", "phở", "name"),  # an answer that the model lacks
]
FULL = np.log(
    np.array([[6, 3, 1, 100], [8, 1, 1, 1], [1, 1, 8, 1], [2, 1, 1, 1]], np.float32)
)  # the last logit stands for no answer, and never wins
INT8 = np.log(np.array([[3, 6, 1, 100], [1, 8, 1, 1], [1, 1, 8, 4], [1, 2, 1, 1]], np.float32))


def test_accuracy_and_loss_by_hand() -> None:
    found = figures.judge(EXAMPLES, ANSWERS, FULL, 1.0)
    assert found["accuracy"] == pytest.approx(2 / 4)  # the first and the third
    assert found["accuracy_by_kind"] == {"name": 0.5, "presence": 0.5}
    assert found["loss"] == pytest.approx(-(math.log(0.6) + math.log(0.1) + math.log(0.8)) / 3, rel=1e-5)
    # At temperature 1/2 odds are squared: 36:9:1, 64:1:1 and 1:1:64.
    sharper = -(math.log(36 / 46) + math.log(1 / 66) + math.log(64 / 66)) / 3
    assert figures.judge(EXAMPLES, ANSWERS, FULL, 0.5)["loss"] == pytest.approx(sharper, rel=1e-5)


def test_agreement_by_hand() -> None:
    found = figures.compare(EXAMPLES, INT8, FULL)
    assert found["agreement"] == 0.25
    assert found["agreement_by_kind"] == {"name": 0.5, "presence": 0.0}
    assert found["largest_difference"] == pytest.approx(math.log(8), rel=1e-6)
    other = FULL.copy()
    other[2, -1] += 9  # no answer: shows in the difference, not in the agreement
    assert figures.compare(EXAMPLES, other, FULL)["agreement"] == 1
    assert figures.compare(EXAMPLES, other, FULL)["largest_difference"] == pytest.approx(9)


def test_engines_agree_where_all_three_do() -> None:
    native, onnx, tflite = FULL.copy(), FULL.copy(), FULL.copy()
    onnx[0], tflite[3] = INT8[0], INT8[3]
    assert figures.all_agree([native, onnx, tflite]).tolist() == [False, True, True, False]
    assert figures.all_agree([native, native + 1]).tolist() == [True] * 4


def test_verdict_by_hand() -> None:
    found = figures.verdict(FULL[0], ANSWERS, 1.0)
    assert found["answer"] == "có"
    assert (found["probability"], found["margin"]) == pytest.approx((0.6, 0.3))
    sharper = figures.verdict(FULL[0], ANSWERS, 0.5)
    assert (sharper["probability"], sharper["margin"]) == pytest.approx((36 / 46, 27 / 46))
    only = figures.verdict(np.array([1.0, 5.0], np.float32), ["có"], 1.0)
    assert (only["answer"], only["probability"], only["margin"]) == ("có", 1, 1)


def test_differences_are_listed_surest_first_with_their_effect() -> None:
    found = figures.differences(EXAMPLES, ANSWERS, FULL, {"int8.evqa": INT8, "float32.evqa": FULL}, 1.0)
    assert [d["question"] for d in found] == ["có cá không", "có tôm không", "món gì đây"]  # leads 0.7, 0.3, 0.25
    assert [figures.effect(d, "int8.evqa") for d in found] == ["won", "lost", "neither"]
    assert {figures.effect(d, "float32.evqa") for d in found} == {"same"}
    assert found[1]["picture"] == "a.jpg"
    assert found[1]["expected"] == "có"
    assert found[1]["files"]["int8.evqa"]["answer"] == "không"


def test_effects_are_counted() -> None:
    found = figures.differences(EXAMPLES, ANSWERS, FULL, {"int8.evqa": INT8}, 1.0)
    table = effects_table({"cnn": {"files": {"int8.evqa": {}}, "differences": found}})
    assert table.splitlines()[-1] == "| `cnn` | int8.evqa | 3 | 1 | 1 | 1 | 0.300 |"


def test_runtimes_apart_are_shown() -> None:
    other = FULL.copy()
    other[0] = INT8[0]
    files = {"int8.evqa": FULL, "int8.onnx": FULL, "int8.tflite": other, "float32.evqa": INT8}
    found = figures.differences(EXAMPLES, ANSWERS, FULL, files, 1.0)
    assert len(found) == 3
    text = agreement_text({"cnn": {"engines_agree": 0.75, "differences": found}})
    assert "| `cnn` | 75.00 | 1 |" in text
    assert text.count("a.jpg") == 1
    assert "có (0.60, +0.30) | có (0.60, +0.30) | không (0.60, +0.30) |" in text


def test_worst_and_last_line() -> None:
    models = {
        "a": {
            "files": {
                "int8.evqa": {"points_lost": -0.04, "agreement": 0.9876},
                "int8.onnx": {"points_lost": 0.126, "agreement": 0.99},
                "float32.onnx": {"points_lost": 5.0, "agreement": 0.5},
            },
            "engines_agree": 0.999,
        },
        "b": {"files": {"int8.evqa": {"points_lost": 0.02, "agreement": 0.995}}, "engines_agree": None},
    }
    line = "worst_int8_loss=0.13 worst_agreement=98.76 engines_agree=99.90"
    assert last_line(worst(models)) == line
    assert last_line(worst({})) == "worst_int8_loss=nan worst_agreement=nan engines_agree=nan"


def test_sqnr_by_hand() -> None:
    expected = [{"conv0": np.array([[[3.0, 4.0]]], np.float32), "logits": np.array([10.0], np.float32)}] * 2
    measured = [
        {"conv0": np.array([[[3.5, 4.0]]], np.float32), "logits": np.array([9.0], np.float32)},
        {"conv0": np.array([[[3.0, 4.5]]], np.float32), "logits": np.array([10.0], np.float32)},
    ]
    found = layers.compare_layers(expected, measured)
    assert found["conv0"] == pytest.approx(20)  # 2 * 25 over 2 * 0.25
    assert found["logits"] == pytest.approx(10 * math.log10(200))
    assert layers.worst(found) == ("conv0", pytest.approx(20))
    assert layers.compare_layers(expected, expected) == {"conv0": layers.MOST_DB, "logits": layers.MOST_DB}
    assert layers.sqnr(0.0, 1.0) == -layers.MOST_DB


def test_layers_must_be_there_and_fit() -> None:
    expected = [{"conv1": np.zeros((2, 2, 3), np.float32)}]
    with pytest.raises(EngineError, match="no tensor conv1"):
        layers.compare_layers(expected, [{}])
    with pytest.raises(EngineError, match=r"conv1 is \[2, 3, 2\], not \[2, 2, 3\]"):
        layers.compare_layers(expected, [{"conv1": np.zeros((2, 3, 2), np.float32)}])


def test_hooks_hear_every_convolution_after_residual_and_clamp() -> None:
    torch.manual_seed(0)
    shape = Shape("mobilenetv2-lstm-attention", words=9, answers=3, width=8, embedding=4, hidden=6, joint=5)
    network = Network(shape).eval()
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = layers.TorchLayers(network)(pixels, [2, 5, 3])
    assert list(found) == [*(f"conv{n}" for n in range(53)), "features", "state", "logits"]
    # Block 3 (convolutions 6 to 8) widens, filters and narrows 24 channels, and adds what came in: convolution 5.
    widen, filter_, narrow, norm = network.encoder.backbone[3].conv
    taken = torch.from_numpy(found["conv5"]).permute(2, 0, 1)[None]
    with torch.no_grad():
        inner = filter_(widen(taken))
        block = norm(narrow(inner)) + taken
    np.testing.assert_allclose(found["conv7"], inner[0].permute(1, 2, 0), atol=1e-6)
    np.testing.assert_allclose(found["conv8"], block[0].permute(1, 2, 0), atol=1e-6)
    assert found["conv7"].min() == 0
    assert found["conv8"].min() < 0
    with torch.no_grad():
        whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        logits, _ = network(whole, torch.tensor([[2, 5, 3, 0]]), torch.tensor([3]))
    np.testing.assert_allclose(found["logits"], logits[0], atol=1e-5)
    assert found["state"].shape == (6,)


def test_inputs_fit_signatures() -> None:
    ids = np.array([[4, 5, 6]])
    fixed = fit(ids, {"shape": np.array([1, 5]), "dtype": np.int32})
    assert fixed.dtype == np.int32
    assert fixed.tolist() == [[4, 5, 6, 0, 0]]
    assert fit(ids, {"shape": np.array([1, 1]), "dtype": np.int64}).tolist() == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--files", "{tmp}/nowhere"], "nowhere: no such folder"),
        (["--files", "{tmp}"], "holds none of the exported files"),
        (["--files", "{tmp}", "--formats", "evqa,pt"], "pt: known are evqa,onnx,tflite"),
        (["--files", "{tmp}", "--questions", "0"], "1 or more"),
        (["--files", "{tmp}", "--out", f"{ROOT}/docs"], "lies within the project"),
        (["--files", "{tmp}", "--fill", f"{ROOT}/README.md"], "has no block between <!-- accuracy -->"),
        (["--files", "{tmp}", "--fill", "{tmp}/none.md"], "has no block between <!-- accuracy -->"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [a.format(tmp=tmp_path) for a in arguments]
    out = [] if "--out" in given else ["--out", str(tmp_path / "out")]
    assert main([*given, "--data", str(tmp_path), *out]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_files_must_be_those_of_the_manifest(tmp_path: Path) -> None:
    names = ["a-int8.evqa", "a-int8.onnx", "a-float32.evqa", "b-int8.evqa"]
    listed = [{"file": n, "model": n[0], "sha256": hashlib.sha256(n.encode()).hexdigest()} for n in names]
    assert check_manifest(tmp_path, ["a", "b"]) == []
    (tmp_path / "manifest.json").write_text(json.dumps({"files": listed}), encoding="utf-8")
    (tmp_path / "a-int8.evqa").write_text("a-int8.evqa")
    (tmp_path / "a-int8.onnx").write_text("changed")
    assert check_manifest(tmp_path, ["a"]) == [
        "a-int8.onnx: not the file that manifest.json lists (another SHA-256)",
        "a-float32.evqa: listed in manifest.json, but not there",
    ]
    (tmp_path / "manifest.json").write_text('{"files": [{}]}', encoding="utf-8")
    with pytest.raises(DataError, match="manifest.json: damaged"):
        check_manifest(tmp_path, ["a"])
