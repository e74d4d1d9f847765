"""python -m edge_vqa.doctor: silent faults become loud ones."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from native_library import needs_native
from tiny_model import make_model

from edge_vqa import __version__, doctor
from edge_vqa.engines import native
from edge_vqa.evqa_tensors import load_tensors
from edge_vqa.model_file import WHOLE, find_model


@pytest.fixture(autouse=True)
def fresh_library() -> None:
    native._load.cache_clear()


def examined(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    code = doctor.main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@needs_native
def test_all_is_well_here(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys)
    assert (found["faults"], found["well"], code) == ([], True, 0)
    assert found["edge_vqa"] == found["native"]["version"] == __version__
    assert found["native"]["level"] in found["native"]["levels"]
    assert set(found["self_test"]) == set(found["native"]["levels"])
    assert set(found["self_test"].values()) == {"3 of 3 bit for bit"}
    assert len(found["model"]["sha256"]) == 64
    assert doctor.main([]) == 0
    out = capsys.readouterr().out
    assert out.endswith("all is well\n")
    assert "verified" in out and "not installed" not in out.split("onnx")[0]


@needs_native
def test_the_level_chosen_is_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_VQA_ISA", "scalar")
    code, found = examined(capsys)
    assert (code, found["native"]["level"]) == (0, "scalar")


@needs_native
def test_a_level_that_is_none_is_a_fault(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_VQA_ISA", "mmx")
    code, found = examined(capsys)
    assert code == 1
    assert "EDGE_VQA_ISA=mmx" in " ".join(found["faults"])


def test_a_damaged_model_is_a_fault(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    damaged = Path(shutil.copy(find_model(None), tmp_path / "hỏng.evqa"))
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    code, found = examined(capsys, "--model", str(damaged))
    assert (code, found["model"], "self_test" in found) == (1, None, False)
    assert any("hỏng.evqa" in fault and "CRC-32" in fault for fault in found["faults"])
    code, found = examined(capsys, "--model", str(tmp_path / "không có.evqa"))
    assert (code, found["well"]) == (1, False)


def test_a_missing_library_is_a_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGE_VQA_LIBRARY", str(tmp_path / "gone.so"))
    code, found = examined(capsys)
    assert (code, found["native"]) == (1, None)
    assert any("gone.so" in fault for fault in found["faults"])


def test_without_a_compiled_engine_another_one_is_tested(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "find_library", lambda: None)
    code, found = examined(capsys)
    assert code == 1
    assert list(found["self_test"]) == ["onnx"]
    assert [fault for fault in found["faults"] if "no native engine" not in fault] == []
    doctor.main([])
    assert "FAULT      no native engine: install a C++ compiler" in capsys.readouterr().out


@needs_native
def test_wrong_answers_are_a_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = json.loads(Path(doctor.KNOWN).read_text(encoding="utf-8"))
    known["answers"][1]["sha256"] = "0" * 64
    (tmp_path / "known.json").write_text(json.dumps(known), encoding="utf-8")
    monkeypatch.setattr(doctor, "KNOWN", str(tmp_path / "known.json"))
    code, found = examined(capsys)
    assert code == 1
    assert any("1 of 3 answers wrongly" in fault for fault in found["faults"])
    monkeypatch.setattr(doctor, "KNOWN", str(tmp_path / "gone.json"))
    assert examined(capsys)[0] == 1


@needs_native
def test_a_model_of_ones_own_is_compared_between_levels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = make_model(tmp_path / "tiny.evqa", "odd-attention")
    code, found = examined(capsys, "--model", str(model))
    assert (code, found["model"]["name"]) == (0, "tiny-odd-attention")
    assert set(found["self_test"].values()) == {"3 of 3"}


@needs_native
def test_a_model_in_another_format_is_tested_on_its_engine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from edge_vqa.engines.onnx_graph import onnx_model

    path = tmp_path / "tiny.onnx"
    path.write_bytes(onnx_model(load_tensors(make_model(tmp_path / "tiny.evqa", "odd")), WHOLE))
    code, found = examined(capsys, "--model", str(path))
    assert (code, found["model"]["name"], found["self_test"]) == (0, "tiny-odd", {"onnx": "3 of 3"})
    assert found["model"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-1])
    code, found = examined(capsys, "--model", str(path))
    assert code == 1 and any("tiny.onnx" in fault for fault in found["faults"])
