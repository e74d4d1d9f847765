"""bench.layers: every convolution is counted once, with its multiply-accumulates."""

import json
from pathlib import Path

import pytest
from native_library import needs_native

from bench import layers
from edge_vqa.evqa_file import read_evqa
from edge_vqa.model_file import find_model

pytestmark = needs_native


def test_every_layer_is_in_one_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "layers.json"
    assert layers.main(["--runs", "2", "--json", str(out)]) == 0
    report = json.loads(out.read_text(encoding="utf-8"))
    convs = read_evqa(find_model(None)).convs
    named = [row["layers"].split("-") for row in report["steps"] if row["layers"]]
    assert [i for a, b in named for i in range(int(a), int(b) + 1)] == list(range(len(convs)))
    macs = sum(
        c.kernel**2 * (1 if c.depthwise else c.inputs) * c.outputs * c.out_side**2 for c in convs
    )  # by hand for this network: 299.5 M of MobileNetV2 and 16.06 M of the projection
    assert sum(row["mmac"] for row in report["steps"]) == pytest.approx(macs / 1e6)
    assert macs == pytest.approx(315.5e6, rel=0.01)
    assert "of peak" in capsys.readouterr().out


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert layers.main(["--model", str(tmp_path / "none.evqa")]) == 1
    assert "none.evqa" in capsys.readouterr().err
