"""python -m export.to_tflite --model FILE.evqa [--out FOLDER]
python -m export.to_tflite --run runs/NAME --data FOLDER [--precision int8|float32] [--out FOLDER]

Writes a model for LiteRT (TensorFlow Lite): FILE.tflite (whole), FILE.encoder.tflite and FILE.head.tflite.
docs/formats.md says what is in them. `--words N ...` adds FILE.head-N.tflite for questions of exactly N words.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edge_vqa.errors import ModelError
from edge_vqa.evqa_tensors import EvqaModel, load_tensors
from edge_vqa.model_file import ENCODER, EVQA, HEAD, PARTS, TFLITE, WHOLE, describe, part_name
from edge_vqa.question import MAX_WORDS
from edge_vqa.tflite_file import read_metadata

from .graph_command import run_command
from .tflite_encoder import add_encoder, add_pixels
from .tflite_head import add_features, add_head, add_question
from .tflite_writer import TfliteWriter

_ITEM_BYTES = {"FLOAT32": 4, "INT32": 4, "INT8": 1, "UINT8": 1}


def write_tflite(evqa: Path, folder: Path, words: Sequence[int] = ()) -> list[Path]:
    """Write the three files of an .evqa model, and a head for each of `words`.

    Each is written whole or not at all, and passed by `verify`. Raises ModelError when the .evqa file is damaged,
    OSError when a file cannot be written.
    """
    model = load_tensors(evqa)
    folder.mkdir(parents=True, exist_ok=True)
    name = evqa.name.removesuffix(EVQA)
    made = {part_name(name, part, TFLITE): (part, 0) for part in PARTS}
    made |= {f"{name}.{HEAD}-{n}{TFLITE}": (HEAD, n) for n in words}
    for file, (part, n) in made.items():
        scratch = folder / f"{file}.part"
        scratch.write_bytes(tflite_model(model, part, n or None))
        verify(scratch)
        scratch.replace(folder / file)
    return [folder / file for file in made]


def tflite_model(model: EvqaModel, part: str, words: int | None = None) -> bytes:
    """The file of WHOLE, ENCODER or HEAD.

    `words`: questions of exactly so many words and no others, for those who time nothing else.
    """
    writer = TfliteWriter()
    if part == WHOLE:
        _add_ask(writer, model, words)
    if part == ENCODER:
        _add_encode(writer, model)
    else:
        _add_answer(writer, model, words)
    return writer.finish(describe(model.file, part))


def _add_ask(writer: TfliteWriter, model: EvqaModel, words: int | None) -> None:
    graph = writer.graph("ask")
    pixels, question = add_pixels(graph, model), add_question(graph, words or MAX_WORDS, words is None)
    features = add_encoder(graph, model, pixels)
    # With the features a further question needs only the other signature.
    graph.finish({"pixels": pixels, **question}, {**add_head(graph, model, features, question), "features": features})


def _add_encode(writer: TfliteWriter, model: EvqaModel) -> None:
    graph = writer.graph("encode")
    pixels = add_pixels(graph, model)
    graph.finish({"pixels": pixels}, {"features": add_encoder(graph, model, pixels)})


def _add_answer(writer: TfliteWriter, model: EvqaModel, words: int | None) -> None:
    graph = writer.graph("answer")
    features, question = add_features(graph, model), add_question(graph, words or MAX_WORDS, words is None)
    graph.finish({"features": features, **question}, add_head(graph, model, features, question))


def verify(path: Path) -> None:
    """Checks a file that write_tflite wrote: its SHA-256; that every constant has the bytes that its shape needs; that
    LiteRT, whose loader verifies the flatbuffer, takes it; that every signature runs and gives finite numbers.

    Raises ModelError.
    """
    read_metadata(path)
    _check_constants(path)
    interpreter = importlib.import_module("ai_edge_litert.interpreter")
    try:
        opened = interpreter.Interpreter(str(path), num_threads=1)
        opened.allocate_tensors()
        for name in opened.get_signature_list():
            runner = opened.get_signature_runner(name)
            inputs = {key: np.ones(d["shape"], d["dtype"]) for key, d in runner.get_input_details().items()}
            for output, values in runner(**inputs).items():
                if not np.isfinite(values).all():
                    raise ModelError(f"{path}: {output} of {name} holds values that are not numbers")
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: LiteRT refuses it ({error})") from error


def _check_constants(path: Path) -> None:
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    types = {number: name for name, number in vars(schema.TensorType).items() if name in _ITEM_BYTES}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data) != math.prod(tensor.shape) * _ITEM_BYTES[types[tensor.type]]:
                raise ModelError(f"{path}: {tensor.name.decode()} has {len(data)} bytes, not as many as its shape")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    own = argparse.ArgumentParser(prog="python -m export.to_tflite", add_help=False)
    own.add_argument(
        "--words", type=int, nargs="+", default=(), choices=range(1, MAX_WORDS + 1), metavar="N",
        help="also write heads for questions of exactly N words",
    )  # fmt: skip
    words = own.parse_known_args(arguments)[0].words
    return run_command("export.to_tflite", "TFLite", partial(write_tflite, words=words), arguments, [own])


if __name__ == "__main__":
    sys.exit(main())
