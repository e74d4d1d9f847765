"""A model file is checked before it is believed."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from tiny_model import make_model

from edge_vqa import VQA
from edge_vqa.engines.native import find_library
from edge_vqa.errors import ModelError
from edge_vqa.model_file import BUNDLED, EVQA, ZIP, find_model, load_model, save_model

ABOUT = {
    "name": "tiny", "precision": "int8", "side": 64, "cells": 2, "attention": True, "temperature": 1.5,
    "words": ["mon", "gi"], "answers": ["có", "không"], "licence": "MIT",
}  # fmt: skip
GRAPHS = {"encoder.onnx": b"e" * 1000, "head.onnx": b"h" * 500}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mô hình.vqa.zip"
    save_model(path, ABOUT, GRAPHS)
    return path


def rewrite(path: Path, manifest: dict | None = None, **members: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {i.filename: archive.read(i) for i in archive.infolist()}
    if manifest is not None:
        content["manifest.json"] = json.dumps({**json.loads(content["manifest.json"]), **manifest}).encode()
    content |= {name.replace("_onnx", ".onnx"): data for name, data in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_what_is_saved_is_loaded(file: Path) -> None:
    model = load_model(file)
    assert (model.path, model.kind) == (str(file), ZIP)
    assert (model.name, model.side, model.cells, model.temperature) == ("tiny", 64, 2, 1.5)
    assert model.answers == ("có", "không")
    assert model.vocabulary.words == ("mon", "gi")
    assert model.graph("head.onnx") == GRAPHS["head.onnx"]
    assert model.about == {"licence": "MIT"}
    with pytest.raises(ModelError, match=r"another engine"):
        model.graph("model.evqa")


def test_the_same_model_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "b.zip", ABOUT, GRAPHS)
    assert (tmp_path / "b.zip").read_bytes() == file.read_bytes()


def test_a_changed_graph_is_noticed(file: Path) -> None:
    rewrite(file, head_onnx=b"H" + b"h" * 499)
    with pytest.raises(ModelError, match=r"head.onnx is damaged"):
        load_model(file)


def test_a_missing_or_added_member_is_noticed(file: Path) -> None:
    original = file.read_bytes()
    rewrite(file, extra_onnx=b"x")
    with pytest.raises(ModelError, match=r"do not match .*extra.onnx"):
        load_model(file)
    file.write_bytes(original)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in GRAPHS.items()}
    rewrite(file, manifest={"sha256": {**sums, "gone.onnx": "0"}})
    with pytest.raises(ModelError, match=r"do not match .*gone.onnx"):
        load_model(file)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"}, {"version": 99}, {"answers": []}, {"answers": "abc"}, {"words": [1, 2]},
        {"words": ["a", "a"]},
        {"side": "large"}, {"side": 10**9}, {"cells": 0}, {"temperature": None}, {"temperature": 0.0}, {"sha256": None},
    ],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_a_typed_error(file: Path, change: dict) -> None:
    rewrite(file, manifest=change)
    with pytest.raises(ModelError):
        load_model(file)


def test_every_truncation_is_a_typed_error(file: Path) -> None:
    data = file.read_bytes()
    for length in range(0, len(data), 97):
        file.write_bytes(data[:length])
        with pytest.raises(ModelError):
            load_model(file)


def test_every_flipped_byte_is_noticed_or_harmless(file: Path) -> None:
    data = file.read_bytes()
    for at in range(len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        try:
            model = load_model(file)
        except ModelError:
            continue
        assert model.graphs == GRAPHS


def test_an_unknown_name_lists_what_is_bundled() -> None:
    with pytest.raises(ModelError, match=r"bundled: .*mobilenetv2-lstm-attention"):
        find_model("no-such-model")
    for name in ("../../etc/passwd-not-there", "a" * 300, "a\0b"):
        with pytest.raises(ModelError):
            find_model(name)


@pytest.fixture
def evqa(tmp_path: Path) -> Path:
    return make_model(tmp_path / "mô hình.evqa", "odd-attention")


def test_an_evqa_file_is_described(evqa: Path) -> None:
    model = load_model(evqa)
    assert (model.path, model.kind, model.graphs) == (str(evqa), EVQA, {})
    assert (model.name, model.precision, model.about) == ("tiny-odd-attention", "int8", {"licence": "MIT"})
    assert (model.side, model.attention, model.temperature) == (45, True, 1.25)
    assert model.answers == ("có",)
    assert model.vocabulary.words == ("co", "tom", "ca", "rot")
    with pytest.raises(ModelError, match=r"another engine"):
        model.graph("head.onnx")


def test_every_truncated_evqa_file_is_a_typed_error(evqa: Path) -> None:
    data = evqa.read_bytes()
    for length in [*range(0, 800, 7), *range(800, len(data), 997)]:
        evqa.write_bytes(data[:length])
        with pytest.raises(ModelError):
            load_model(evqa)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_every_flipped_byte_of_an_evqa_file_is_noticed(evqa: Path, engine: str) -> None:
    if engine == "native" and find_library() is None:
        pytest.skip("the engine in C++ is not compiled")
    data = evqa.read_bytes()
    for at in [*range(700), *range(700, len(data), 499)]:
        evqa.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        with pytest.raises(ModelError):
            VQA(evqa, engine)


def test_the_folder_of_bundled_models_is_a_path() -> None:
    assert isinstance(BUNDLED, Path)
    assert (BUNDLED / "MODEL_CARD.md").is_file()
