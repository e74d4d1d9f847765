"""The engine tflite and the files it runs, against the arithmetic in NumPy."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tiny_model import KINDS, make_model

from edge_vqa import VQA, EngineError, ModelError, QuestionError
from edge_vqa.engines import open_engine, reference
from edge_vqa.evqa_file import FLOAT32, INT8, PRECISIONS
from edge_vqa.evqa_tensors import Array, EvqaModel, load_tensors
from edge_vqa.model_file import HEAD, load_model
from edge_vqa.question import MAX_WORDS
from edge_vqa.tflite_file import signed

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs LiteRT (pip install ai-edge-litert)")
from export.to_tflite import tflite_model, write_tflite  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = range(1, MAX_WORDS + 1)


class Made(NamedTuple):
    model: EvqaModel
    whole: Path
    encoder: Path
    head: Path
    pixels: Array
    """uint8 [3, side, side, 3]"""
    ids: Array
    """int32 [20, 20], 0 after each question's last word; question i has i + 1 words"""
    seen: list[Array]
    """What the reference's encoder gives for each picture, [cells^2, channels]"""
    features: Array
    """The same as real numbers, [3, cells, cells, channels]"""
    logits: Array
    """The reference's answer to question i about picture i % 3, [20, answers + 1]"""
    attention: Array
    """[20, cells, cells]"""

    @property
    def exact(self) -> bool:
        return self.model.file.sizes.precision == FLOAT32


@pytest.fixture(scope="module", params=[(k, p) for p in (INT8, FLOAT32) for k in KINDS], ids=lambda p: f"{p[0]}-{p[1]}")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("mô hình"), *request.param)


def make(folder: Path, kind: str, precision: int) -> Made:
    evqa = make_model(folder / "nhỏ.evqa", kind, precision=precision)
    model = load_tensors(evqa)
    sizes, rng = model.file.sizes, np.random.default_rng(5)
    pixels = rng.integers(0, 256, (3, sizes.side, sizes.side, 3), dtype=np.uint8)
    lengths = np.array(LENGTHS)
    ids = rng.integers(1, sizes.words, (MAX_WORDS, MAX_WORDS), dtype=np.int32)
    ids = np.where(np.arange(MAX_WORDS) < lengths[:, None], ids, 0).astype(np.int32)
    engine = reference.ReferenceEngine(model)
    seen = [engine.encode(picture.tobytes()) for picture in pixels]
    real = (np.stack(seen).astype(np.float32) - sizes.features_zero) * np.float32(sizes.features_scale)
    answers = [engine.answer(seen[i % 3], ids[i, : i + 1].tolist()) for i in range(MAX_WORDS)]
    logits, attention = (np.array([answer[i] for answer in answers], np.float32) for i in (0, 1))
    map_ = (-1, sizes.cells, sizes.cells)
    files = write_tflite(evqa, folder)
    return Made(model, *files, pixels, ids, seen, real.reshape(*map_, sizes.channels), logits, attention.reshape(map_))


def run(path: Path, signature: str, **inputs: Any) -> dict[str, Array]:
    interpreter = litert.Interpreter(str(path), num_threads=1)
    outputs: dict[str, Array] = interpreter.get_signature_runner(signature)(**inputs)
    return outputs


def lengths() -> Array:
    return np.array(LENGTHS, np.int32)


def check_features(made: Made, features: Array) -> None:
    """int8 values may differ by a step where rounding does, and by another where such a one was an input."""
    apart = np.abs(features - made.features)
    if made.exact:
        assert apart.max() < 1e-4
    else:
        step = made.model.file.sizes.features_scale
        assert apart.max() < 2.5 * step
        assert np.sqrt((apart**2).mean()) < 0.6 * step


def check_answers(made: Made, found: dict[str, Array], tolerance: float, which: Array | slice = slice(None)) -> None:
    logits, attention = made.logits[which], made.attention[which]
    assert found["logits"].shape == logits.shape
    assert found["attention"].shape == attention.shape
    tolerance = 1e-4 if made.exact else tolerance
    assert np.abs(found["logits"] - logits).max() < tolerance * np.abs(logits).max() + 1e-5
    assert np.abs(found["attention"] - attention).max() < tolerance
    assert np.abs(found["attention"].sum((1, 2)) - 1).max() < 1e-4


def test_the_encoder_sees_what_the_reference_sees(made: Made) -> None:
    one_by_one = [run(made.encoder, "encode", pixels=picture[None])["features"] for picture in made.pixels]
    check_features(made, np.concatenate(one_by_one))


def test_several_pictures_at_once(made: Made) -> None:
    check_features(made, run(made.encoder, "encode", pixels=made.pixels)["features"])


def test_questions_of_every_length(made: Made) -> None:
    """The head alone, on the reference's features, so that nothing but its own rounding differs."""
    interpreter = litert.Interpreter(str(made.head), num_threads=1)
    runner = interpreter.get_signature_runner("answer")
    found = []
    for i, length in enumerate(LENGTHS):
        inputs = {"ids": made.ids[i : i + 1], "lengths": np.array([length], np.int32)}
        found.append(runner(features=made.features[i % 3][None], **inputs))
    check_answers(made, {name: np.concatenate([f[name] for f in found]) for name in found[0]}, 0.03)


def test_what_follows_the_last_word_does_not_matter(made: Made) -> None:
    filled = np.where(made.ids == 0, made.model.file.sizes.words - 1, made.ids).astype(np.int32)
    features = made.features[:1]
    padded = run(made.head, "answer", features=features, ids=made.ids, lengths=lengths())
    assert np.array_equal(
        padded["logits"], run(made.head, "answer", features=features, ids=filled, lengths=lengths())["logits"]
    )


def test_many_questions_about_many_pictures_or_about_one(made: Made) -> None:
    pictures = np.arange(MAX_WORDS) % 3
    found = run(made.head, "answer", features=made.features[pictures], ids=made.ids, lengths=lengths())
    check_answers(made, found, 0.03)
    first = pictures == 0
    inputs = {"ids": made.ids[first], "lengths": lengths()[first]}
    check_answers(made, run(made.head, "answer", features=made.features[:1], **inputs), 0.03, first)


def test_the_whole_file_answers_at_once_and_again_from_the_features(made: Made) -> None:
    pictures = np.arange(MAX_WORDS) % 3
    question = {"ids": made.ids, "lengths": lengths()}
    found = run(made.whole, "ask", pixels=made.pixels[pictures], **question)
    check_features(made, found["features"][:3])
    check_answers(made, found, 0.06)
    again = run(made.whole, "answer", features=found["features"], **question)
    check_answers(made, again, 0.06)


def test_without_xnnpack_the_answers_are_the_same(made: Made) -> None:
    """What runs where the delegate is not built in; the kernels round sums of int8 in another way."""
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(str(made.whole), num_threads=1, experimental_op_resolver_type=plain)
    question = {"ids": made.ids[2::3], "lengths": lengths()[2::3]}
    found = interpreter.get_signature_runner("ask")(pixels=made.pixels[[2] * 6], **question)
    check_features_of = made.features[2]
    assert np.abs(found["features"][0] - check_features_of).max() < (1e-4 if made.exact else 0.2)
    check_answers(made, found, 0.06, slice(2, None, 3))


@pytest.mark.parametrize("part", ["whole", "encoder", "head"])
def test_the_engine_answers_as_the_reference(made: Made, part: str) -> None:
    engine = open_engine("tflite", load_model(getattr(made, part)))
    for i in range(0, MAX_WORDS, 4):
        features = engine.encode(made.pixels[i % 3].tobytes())
        logits, attention = engine.answer(features, made.ids[i, : i + 1].tolist())
        sizes = made.model.file.sizes
        found = {
            "logits": np.array([logits], np.float32),
            "attention": np.array(attention, np.float32).reshape(1, sizes.cells, sizes.cells),
        }
        check_answers(made, found, 0.06, slice(i, i + 1))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("một"), "dense-attention", INT8)


def test_what_does_not_fit_is_refused(small: Made) -> None:
    engine = open_engine("tflite", load_model(small.whole))
    pixels = small.pixels[0].tobytes()
    with pytest.raises(EngineError, match="bytes of pixels"):
        engine.encode(pixels[:-1])
    features = engine.encode(pixels)
    for ids in ([], [1] * 21, [-1], [small.model.file.sizes.words]):
        with pytest.raises(EngineError, match="word ids"):
            engine.answer(features, ids)
    with pytest.raises(EngineError, match="runtime failed"):
        engine.answer(features[:, :1], [1])
    with pytest.raises(QuestionError):
        VQA(small.whole, engine="tflite").ask(np.zeros((9, 9, 3), np.uint8), "?")


def test_several_threads_at_once(small: Made) -> None:
    engine = open_engine("tflite", load_model(small.whole), 2)
    pictures = [picture.tobytes() for picture in small.pixels]
    questions = [small.ids[i, : i + 1].tolist() for i in range(MAX_WORDS)]
    alone = [engine.answer(engine.encode(pictures[i % 3]), questions[i]) for i in range(MAX_WORDS)]
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(40):
            i = rng.randrange(MAX_WORDS)
            if engine.answer(engine.encode(pictures[i % 3]), questions[i]) != alone[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_head_that_reads_another_number_of_words_is_refused(small: Made, tmp_path: Path) -> None:
    for path in (small.encoder, small.head):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    head = tmp_path / small.head.name
    head.write_bytes(tflite_model(small.model, HEAD, words=5))
    with pytest.raises(ModelError, match="takes or gives"):
        open_engine("tflite", load_model(head))


def test_a_head_for_a_fixed_number_of_words(small: Made, tmp_path: Path) -> None:
    path = tmp_path / "five.tflite"
    path.write_bytes(tflite_model(small.model, HEAD, words=5))
    found = run(path, "answer", features=small.features[1][None], ids=small.ids[4:5, :5])
    check_answers(small, found, 0.03, slice(4, 5))


def test_damaged_files_are_refused_before_the_runtime_sees_them(small: Made, tmp_path: Path) -> None:
    good, rng = small.whole.read_bytes(), random.Random(3)
    path = tmp_path / "bad.tflite"
    for i in range(60):
        data = bytearray(good)
        if i % 3:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"bad\.tflite"):
            load_model(path)


_OPEN = """
import sys
from edge_vqa import VQA, ModelError
try:
    VQA(sys.argv[1], engine="tflite")
except ModelError as error:
    print(error)
"""


def test_files_changed_and_signed_anew_are_refused_by_the_runtime(small: Made, tmp_path: Path) -> None:
    """LiteRT verifies the FlatBuffer; here its list of operations points out of the file."""
    data = bytearray(small.whole.read_bytes())
    root = int.from_bytes(data[:4], "little")
    vtable = root - int.from_bytes(data[root : root + 4], "little", signed=True)
    graphs = root + int.from_bytes(data[vtable + 8 : vtable + 10], "little")
    data[graphs : graphs + 4] = (0x7FFFFFF0).to_bytes(4, "little")
    path = tmp_path / "x.tflite"
    path.write_bytes(signed(bytes(data)))
    load_model(path)
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, str(path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "the TFLite runtime cannot load it" in done.stdout


def test_the_command(small: Made, tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "ảnh.png"
    Image.fromarray(small.pixels[0]).save(picture)
    command = [sys.executable, "-m", "edge_vqa.run", "--image", str(picture), "--q", "mon nay gi", "--json"]
    answers = {}
    for name, model, engine in (("whole", small.whole, "tflite"), ("evqa", small.model.file.path, "reference")):
        more = ["--model", str(model), "--engine", engine]
        done = subprocess.run([*command, *more], capture_output=True, check=False, cwd=ROOT, env={**os.environ})
        assert (done.returncode, done.stderr) == (0, b"")
        answers[name] = json.loads(done.stdout)
    assert answers["whole"]["engine"] == "tflite"
    assert answers["whole"]["answer"] == answers["evqa"]["answer"]
    assert answers["whole"]["confidence"] == pytest.approx(answers["evqa"]["confidence"], abs=0.01)


def test_a_model_says_its_precision(made: Made) -> None:
    assert load_model(made.head).precision == PRECISIONS[made.model.file.sizes.precision]
