"""What the contenders run: one network in each one's form, pictures, and questions of five words."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

from edge_vqa import EdgeVQAError
from edge_vqa.engines.onnx_graph import onnx_model
from edge_vqa.evqa_tensors import EvqaModel
from edge_vqa.image import picture_pixels
from edge_vqa.model_file import ENCODER, HEAD
from edge_vqa.question import Vocabulary

from ..peers.session import small_pictures

QUESTIONS = ("món này là món gì", "màu chủ đạo là gì")
"""Both of five words, as the peers' heads are made for them; the first is the one that is counted."""
WORDS = 5


def prepare_files(model: EvqaModel, model_path: Path, folder: Path, peers: bool) -> None:
    """Fill `folder` with what worker.py and bench.peers.first_answer read. Raises EdgeVQAError."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model_path, folder / "model.evqa")
    (folder / "answers.txt").write_text("\n".join(model.file.answers), encoding="utf-8")
    vocabulary, side = Vocabulary(model.file.words), model.file.sizes.side
    ids = [[int(i) for i in vocabulary.encode(question).ids] for question in QUESTIONS]
    if any(len(question) != WORDS for question in ids):
        raise EdgeVQAError(f"{model_path}: its vocabulary does not make {WORDS} words of each of {QUESTIONS}")
    asked = []
    for path in small_pictures(side, folder):
        pixels = path.with_suffix(".pixels")
        pixels.write_bytes(picture_pixels(path, side))
        asked += [(pixels.name, question) for question in ids]
    # Without peers there are no answers to compare.
    (folder / "asked.json").write_text(json.dumps(asked if peers else asked[:1]), encoding="utf-8")
    if peers:
        _peers_files(model, folder)


def _peers_files(model: EvqaModel, folder: Path) -> None:
    try:
        to_tflite = importlib.import_module("export.to_tflite")
        signed = signed_activations(onnx_model(model, ENCODER))
        (folder / "encoder.tflite").write_bytes(to_tflite.tflite_model(model, ENCODER))
        (folder / f"head-{WORDS}.tflite").write_bytes(to_tflite.tflite_model(model, HEAD, WORDS))
    except ImportError as error:
        raise EdgeVQAError(
            f'the peers\' files cannot be made ({error}): pip install ".[tflite]" onnx, or say --ours'
        ) from error
    (folder / "encoder.onnx").write_bytes(onnx_model(model, ENCODER))
    (folder / "encoder-s8.onnx").write_bytes(signed)
    (folder / f"head-{WORDS}.onnx").write_bytes(onnx_model(model, HEAD, int8_lstm=True))


def signed_activations(graph: bytes) -> bytes:
    """The int8 encoder of onnx_graph with activations of -128 to 127 instead of 0 to 255: the same numbers.

    Its pixels are then signed bytes, too. Raises ImportError without onnx.
    """
    onnx: Any = importlib.import_module("onnx")
    model = onnx.load_from_string(graph)
    unsigned, signed = onnx.TensorProto.UINT8, onnx.TensorProto.INT8
    for number, constant in enumerate(model.graph.initializer):
        if constant.data_type == unsigned:  # zero points, and what a Clip stops at
            values = (onnx.numpy_helper.to_array(constant) ^ 128).view("i1")
            model.graph.initializer[number].CopyFrom(onnx.numpy_helper.from_array(values, constant.name))
    for value in (*model.graph.input, *model.graph.value_info):
        if value.type.tensor_type.elem_type == unsigned:
            value.type.tensor_type.elem_type = signed
    content: bytes = model.SerializeToString()
    return content
