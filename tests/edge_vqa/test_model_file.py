"""A model file is checked before it is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import make_model

from edge_vqa import VQA
from edge_vqa.engines.native import find_library
from edge_vqa.errors import ModelError
from edge_vqa.evqa_file import read_evqa
from edge_vqa.model_file import BUNDLED, ENCODER, EVQA, HEAD, ONNX, WHOLE, describe, find_model, load_model
from edge_vqa.onnx_file import field

FIELDS = {
    "format": "edge_vqa", "version": 2, "part": "whole", "name": "tiny", "precision": "int8", "side": 64, "cells": 2,
    "attention": True, "temperature": 1.5, "pixel_zero": 128, "pixel_scale": 1 / 127.5, "words": ["mon", "gi"],
    "answers": ["có", "không"], "licence": "MIT", "figures": {"accuracy": 0.5},
}  # fmt: skip


def write(path: Path, text: str | bytes) -> Path:
    """An ONNX file with an empty graph that says `text` of itself."""
    path.write_bytes(field(1, 7) + field(14, field(1, "edge_vqa") + field(2, text)) + field(7, field(2, "empty")))
    return path


def describe_as(path: Path, **changes: object) -> Path:
    return write(path, json.dumps({**FIELDS, **changes}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return describe_as(tmp_path / "mô hình.onnx")


def test_what_a_file_says_of_itself_is_read(file: Path) -> None:
    model = load_model(file)
    assert (model.path, model.kind, model.files) == (str(file), ONNX, {WHOLE: str(file)})
    assert (model.name, model.precision, model.side, model.cells, model.temperature) == ("tiny", "int8", 64, 2, 1.5)
    assert (model.attention, model.answers, model.vocabulary.words) == (True, ("có", "không"), ("mon", "gi"))
    assert model.about == {"licence": "MIT", "figures": {"accuracy": 0.5}}


@pytest.mark.parametrize("name", list(FIELDS)[:-2])
def test_every_field_is_needed(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.onnx", json.dumps({k: v for k, v in FIELDS.items() if k != name}))
    with pytest.raises(ModelError, match="format version|not a model of edge_vqa|does not say its"):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"}, {"version": 99}, {"version": "2"}, {"part": "tail"}, {"part": 1}, {"precision": "int4"},
        {"name": None}, {"answers": []}, {"answers": "abc"}, {"answers": ["a", ""]}, {"answers": ["a\nb"]},
        {"answers": {"a": 1}}, {"words": [1, 2]}, {"words": ["a", "a"]}, {"words": None}, {"words": [[]]},
        {"words": ["\ud800"]}, {"side": "large"}, {"side": 10**9}, {"side": 0}, {"side": True}, {"side": 64.0},
        {"cells": 0}, {"cells": 65}, {"attention": 1}, {"temperature": None}, {"temperature": 0.0},
        {"temperature": 10**400}, {"temperature": float("nan")}, {"temperature": "1"}, {"pixel_scale": -1},
        {"pixel_zero": 256}, {"pixel_zero": -1}, {"pixel_zero": 1.5},
    ],
)  # fmt: skip
def test_a_description_that_makes_no_sense_is_a_typed_error(tmp_path: Path, change: dict) -> None:
    with pytest.raises(ModelError, match="a.onnx"):
        load_model(describe_as(tmp_path / "a.onnx", **change))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, "1" * 5000, b"\xff\xfe{}", '{"format": "edge_vqa"}']
)
def test_a_description_that_is_no_json_object_is_a_typed_error(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ModelError, match="a.onnx"):
        load_model(write(tmp_path / "a.onnx", text))


def test_what_is_no_model_of_ours_is_a_typed_error(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04 an archive", bytes(100), field(7, field(2, "graph")), b"\x89EVQA\r\n"):
        path = tmp_path / "a.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="a.onnx"):
            load_model(path)


def test_either_half_finds_the_other(tmp_path: Path) -> None:
    files = {part: describe_as(tmp_path / f"a.b.{part}.onnx", part=part) for part in (ENCODER, HEAD)}
    for part, path in files.items():
        model = load_model(path)
        assert (model.path, model.files) == (str(path), {name: str(file) for name, file in files.items()}), part


def test_a_half_without_its_fitting_other_half_is_refused(tmp_path: Path) -> None:
    encoder, head = tmp_path / "a.encoder.onnx", tmp_path / "a.head.onnx"
    describe_as(encoder, part="encoder")
    with pytest.raises(ModelError, match=r"a.encoder.onnx.*missing: .*a.head.onnx"):
        load_model(encoder)
    changes = {"name": "b", "precision": "float32", "words": ["mon"], "answers": ["a"], "side": 32, "temperature": 2.0}
    for name, value in changes.items():
        describe_as(head, part="head", **{name: value})
        with pytest.raises(ModelError, match=rf"a.head.onnx: not the head .* differ in {name}"):
            load_model(encoder)
    for part in ("encoder", "whole"):
        describe_as(head, part=part)
        with pytest.raises(ModelError, match=rf"a.head.onnx: .*says that it is its {part}"):
            load_model(encoder)
    with pytest.raises(ModelError, match=r"call it NAME.encoder.onnx"):
        load_model(describe_as(tmp_path / "other.onnx", part="encoder"))


def test_every_truncation_and_flipped_byte_is_a_typed_error_or_harmless(file: Path) -> None:
    data = file.read_bytes()
    for length in range(len(data)):
        file.write_bytes(data[:length])
        try:
            load_model(file)
        except ModelError:
            continue
        assert b'"MIT"' in data[:length], length
    for at in range(len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        try:
            load_model(file)
        except ModelError:
            continue


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
    assert (model.path, model.kind, model.files) == (str(evqa), EVQA, {WHOLE: str(evqa)})
    assert (model.name, model.precision, model.about) == ("tiny-odd-attention", "int8", {"licence": "MIT"})
    assert (model.side, model.attention, model.temperature) == (45, True, 1.25)
    assert model.answers == ("có",)
    assert model.vocabulary.words == ("co", "tom", "ca", "rot")


def test_a_graph_is_described_as_the_file_that_it_is_made_of(evqa: Path) -> None:
    made, source = load_model(write(evqa.with_suffix(".onnx"), describe(read_evqa(evqa), WHOLE))), load_model(evqa)
    assert made._replace(vocabulary=None, path="", kind="", files={}, details=b"") == source._replace(
        vocabulary=None, path="", kind="", files={}, details=b""
    )
    assert (made.name, made.precision, made.about, made.vocabulary.words) == (
        source.name, source.precision, source.about, source.vocabulary.words,
    )  # fmt: skip


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
