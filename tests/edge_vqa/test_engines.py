"""Which engine runs which file, and what is said where none does."""

import sys
from pathlib import Path

import pytest
from native_library import needs_native
from tiny_model import make_model

from edge_vqa import EngineError, ModelError
from edge_vqa.engines import ENGINES, open_engine
from edge_vqa.model_file import DEFAULT, EVQA, ONNX, TFLITE, ModelFile, load_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return load_model(make_model(tmp_path_factory.mktemp("mô hình") / "nhỏ.evqa", "mobile-attention"))


def without(monkeypatch: pytest.MonkeyPatch, *engines: str) -> None:
    for name in engines:
        monkeypatch.setitem(sys.modules, f"edge_vqa.engines.{name}", None)


@needs_native
def test_the_native_engine_comes_first(tiny: ModelFile) -> None:
    assert list(ENGINES) == ["native", "onnx", "tflite", "reference"]
    assert open_engine(None, tiny).name == "native"


def test_without_a_compiled_engine_the_next_ones_answer(tiny: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "native")
    assert open_engine(None, tiny).name == "onnx"
    without(monkeypatch, "onnx")
    assert open_engine(None, tiny).name == "reference"
    without(monkeypatch, "reference")
    with pytest.raises(EngineError, match=r"no engine is installed .*compiler.*pip install onnxruntime"):
        open_engine(None, tiny)


def test_an_engine_asked_for_is_not_replaced(tiny: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "native")
    with pytest.raises(EngineError, match="native is not there: install a C.. compiler"):
        open_engine("native", tiny)


@pytest.mark.parametrize(
    "name, kind, match",
    [
        ("native", ONNX, r".onnx files run on onnx; python -m export.to_evqa makes .evqa"),
        ("reference", TFLITE, r".tflite files run on tflite; python -m export.to_evqa makes .evqa"),
        ("onnx", TFLITE, r".tflite files run on tflite; python -m export.to_evqa makes .evqa"),
        ("tflite", EVQA, r".evqa files run on native or onnx or reference; python -m export.to_tflite makes .tflite"),
    ],
)
def test_an_engine_that_cannot_run_the_file_says_what_to_do(tiny: ModelFile, name: str, kind: str, match: str) -> None:
    with pytest.raises(EngineError, match=f"the engine {name} cannot run .*{match}"):
        open_engine(name, tiny._replace(kind=kind))


def test_without_its_runtime_a_file_of_another_format_says_what_to_install(
    tiny: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "onnx", "tflite")
    for kind, package in ((ONNX, "onnxruntime"), (TFLITE, "ai-edge-litert")):
        with pytest.raises(EngineError, match=f"runs {kind} files: pip install {package}"):
            open_engine(None, tiny._replace(kind=kind))


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_threads_have_bounds(tiny: ModelFile, threads: int) -> None:
    with pytest.raises(EngineError, match="threads"):
        open_engine(None, tiny, threads)


def test_the_bundled_model_is_found_by_name_and_ending(tmp_path: Path) -> None:
    assert load_model(DEFAULT).kind == EVQA
    assert load_model(DEFAULT + EVQA).path == load_model().path
    with pytest.raises(ModelError):
        load_model(tmp_path)
