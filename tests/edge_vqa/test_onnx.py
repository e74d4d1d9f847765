"""ONNX graphs made of .evqa files, through onnxruntime, against the arithmetic in NumPy."""

import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tiny_model import KINDS, make_model

from edge_vqa import VQA, EdgeVQAError, EngineError, ModelError
from edge_vqa.engines import open_engine, reference
from edge_vqa.engines.onnx_graph import onnx_model
from edge_vqa.evqa_file import FLOAT32, INT8
from edge_vqa.evqa_tensors import Array, EvqaModel, load_tensors
from edge_vqa.model_file import ENCODER, HEAD, PARTS, WHOLE, load_model
from edge_vqa.onnx_file import cut

onnx = pytest.importorskip("onnx", reason="needs the official checker (pip install onnx)")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")
LENGTHS = np.array([5, 1, 3])


class Made(NamedTuple):
    evqa: Path
    model: EvqaModel
    graphs: dict[str, bytes]
    pixels: Array
    """Uint8 [3, side, side, 3]"""
    ids: Array
    """Int64 [3, 5], 0 after each question's last word"""
    seen: list[Array]
    """What the reference's encoder gives for each picture, [cells^2, channels]"""
    features: Array
    """The same as real numbers, [3, channels, cells, cells]"""


@pytest.fixture(scope="module", params=[(k, p) for p in (INT8, FLOAT32) for k in KINDS], ids=lambda p: f"{p[0]}-{p[1]}")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    kind, precision = request.param
    return make(tmp_path_factory.mktemp("mô hình"), kind, precision)


def make(folder: Path, kind: str, precision: int) -> Made:
    evqa = make_model(folder / "nhỏ.evqa", kind, precision=precision)
    model = load_tensors(evqa)
    sizes, rng = model.file.sizes, np.random.default_rng(5)
    pixels = rng.integers(0, 256, (3, sizes.side, sizes.side, 3), dtype=np.uint8)
    ids = np.where(np.arange(5) < LENGTHS[:, None], rng.integers(1, sizes.words, (3, 5)), 0)
    engine = reference.ReferenceEngine(model)
    seen = [engine.encode(picture.tobytes()) for picture in pixels]
    real = (np.stack(seen).astype(np.float32) - sizes.features_zero) * np.float32(sizes.features_scale)
    features = real.reshape(3, sizes.cells, sizes.cells, -1).transpose(0, 3, 1, 2)
    return Made(evqa, model, {part: onnx_model(model, part) for part in PARTS}, pixels, ids, seen, features)


def run(graph: bytes, **inputs: Array) -> dict[str, Array]:
    session = onnxruntime.InferenceSession(graph)
    return dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs)))


def answers(made: Made, seen: list[Array]) -> tuple[Array, Array]:
    """The reference's logits and attention for each question about each picture seen."""
    engine = reference.ReferenceEngine(made.model)
    pairs = [engine.answer(s, made.ids[i, :n].tolist()) for i, (s, n) in enumerate(zip(seen, LENGTHS))]
    cells = made.model.file.sizes.cells
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]).reshape(-1, cells, cells)


def test_the_official_checker_accepts_every_graph(made: Made) -> None:
    for graph in made.graphs.values():
        onnx.checker.check_model(graph, full_check=True)
        loaded = onnx.load_from_string(graph)
        assert {entry.domain for entry in loaded.opset_import} == {node.domain for node in loaded.graph.node} == {""}
        assert not {"If", "Loop", "Scan"} & {node.op_type for node in loaded.graph.node}
        assert (loaded.producer_name, bool(loaded.doc_string)) == ("edge_vqa", True)
        assert {"key": "model_license", "value": "MIT"} in [
            {"key": p.key, "value": p.value} for p in loaded.metadata_props
        ]


def test_the_encoder_computes_what_the_format_says(made: Made) -> None:
    got = run(made.graphs[ENCODER], pixels=made.pixels)["features"]
    steps = np.abs(got - made.features) / made.model.file.sizes.features_scale
    if made.model.file.sizes.precision == FLOAT32:
        assert steps.max() < 1e-4
    elif any(conv.residual >= 0 for conv in made.model.file.convs):  # whose sums the graph rounds once more
        assert steps.max() < 2.01 and (steps > 0.01).mean() < 0.3
    else:
        assert steps.max() < 1.01 and (steps > 0.01).mean() < 0.002


def test_every_convolution_up_to_the_first_residual_is_as_the_format_says(made: Made) -> None:
    graph = onnx.load_from_string(made.graphs[ENCODER])
    convs = made.model.file.convs
    plain = next((n for n, conv in enumerate(convs) if conv.residual >= 0), len(convs) - 1)
    for number in range(plain):
        graph.graph.output.append(onnx.helper.make_tensor_value_info(f"conv{number}", onnx.TensorProto.FLOAT, None))
    got = run(graph.SerializeToString(), pixels=made.pixels[:1])
    for number, wanted in enumerate(reference.encode(made.model, made.pixels[0])[:plain]):
        conv = convs[number]
        real = (wanted.astype(np.float32) - conv.out_zero) * np.float32(conv.out_scale)
        apart = np.abs(got[f"conv{number}"][0].transpose(1, 2, 0) - real) / conv.out_scale
        exact = made.model.file.sizes.precision == INT8
        assert (apart > (0.01 if exact else 1e-4)).mean() < 0.001, number


def test_the_head_answers_questions_of_any_lengths_about_as_many_pictures_or_one(made: Made) -> None:
    near = 1e-5 if made.model.file.sizes.precision == FLOAT32 else 0.03  # the LSTM's state is rounded less often
    for features, seen in ((made.features, made.seen), (made.features[:1], made.seen[:1] * 3)):
        got = run(made.graphs[HEAD], features=features, ids=made.ids, lengths=LENGTHS)
        logits, attention = answers(made, seen)
        np.testing.assert_allclose(got["logits"], logits, atol=near)
        np.testing.assert_allclose(got["attention"], attention, atol=near / 10)


def test_what_stands_beside_a_question_does_not_change_its_answer(made: Made) -> None:
    batch = run(made.graphs[WHOLE], pixels=made.pixels, ids=made.ids, lengths=LENGTHS)
    for i, length in enumerate(LENGTHS):
        one = slice(i, i + 1)
        alone = run(made.graphs[WHOLE], pixels=made.pixels[one], ids=made.ids[one, :length], lengths=LENGTHS[one])
        for name in ("logits", "attention"):
            np.testing.assert_allclose(alone[name], batch[name][one], atol=1e-5)


def test_the_whole_is_its_halves(made: Made) -> None:
    whole = run(made.graphs[WHOLE], pixels=made.pixels, ids=made.ids, lengths=LENGTHS)
    features = run(made.graphs[ENCODER], pixels=made.pixels)
    halves = run(made.graphs[HEAD], **features, ids=made.ids, lengths=LENGTHS)
    encoder, head = cut("whole", made.graphs[WHOLE], "features", ("logits", "attention"))
    for half in (encoder, head):
        onnx.checker.check_model(half, full_check=True)
    again = run(head, **run(encoder, pixels=made.pixels), ids=made.ids, lengths=LENGTHS)
    for name in ("logits", "attention"):
        np.testing.assert_array_equal(whole[name], halves[name])
        np.testing.assert_array_equal(whole[name], again[name])
    assert len(encoder) + len(head) < len(made.graphs[WHOLE]) * 1.1 + 4000, "constants are in the half that needs them"


def write(made: Made, folder: Path) -> dict[str, Path]:
    paths = {part: folder / ("a.onnx" if part == WHOLE else f"a.{part}.onnx") for part in PARTS}
    for part, path in paths.items():
        path.write_bytes(made.graphs[part])
    return paths


def test_the_engine_answers_alike_from_every_file(made: Made, tmp_path: Path) -> None:
    files = [made.evqa, *write(made, tmp_path).values()]
    engines = [open_engine("onnx", load_model(file)) for file in files]
    seen = [engine.encode(made.pixels[0].tobytes()) for engine in engines]
    for ids in ([1], [1, 2, 1, 2], [2] * 20):
        found = [engine.answer(features, ids) for engine, features in zip(engines, seen)]
        assert all(f == found[0] for f in found), ids
        logits, _ = reference.ReferenceEngine(made.model).answer(made.seen[0], ids)
        # Features may be a step apart here and there, see above.
        np.testing.assert_allclose(found[0][0], logits, atol=1e-4 if made.model.file.sizes.precision else 0.15)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("small"), "odd-attention", INT8)


def test_wrong_use_is_a_typed_error(small: Made) -> None:
    engine = open_engine("onnx", load_model(small.evqa))
    with pytest.raises(EngineError, match="bytes of pixels"):
        engine.encode(b"abc")
    with pytest.raises(EngineError, match="onnxruntime failed"):
        engine.answer(engine.encode(small.pixels[0].tobytes()), [999])


@pytest.mark.parametrize(
    "change, match",
    [
        ({"answers": ("a", "b", "c")}, "logits of its head"),
        ({"cells": 6}, "features of its encoder"),
        ({"side": 44}, "pixels of its encoder"),
    ],
)
def test_a_graph_that_does_not_fit_its_description_is_refused(small: Made, change: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        open_engine("onnx", load_model(small.evqa)._replace(**change))


def unsealed(graph: bytes) -> bytes:
    """The same file without a digest that must fit."""
    return graph.replace(b"edge_vqa_sha256", b"another_comment")


def test_a_graph_with_other_inputs_is_refused(small: Made, tmp_path: Path) -> None:
    path = write(small, tmp_path)[WHOLE]
    path.write_bytes(unsealed(small.graphs[WHOLE]).replace(b"lengths", b"strange"))
    with pytest.raises(ModelError, match="takes or gives .*strange"):
        open_engine("onnx", load_model(path))
    path.write_bytes(unsealed(small.graphs[WHOLE]).replace(b"features", b"futures!"))
    with pytest.raises(ModelError, match="cannot be cut at 'features'"):
        open_engine("onnx", load_model(path))


def test_a_half_in_the_place_of_the_other_is_refused(small: Made, tmp_path: Path) -> None:
    paths = write(small, tmp_path)
    model = load_model(paths[HEAD])
    paths[ENCODER].write_bytes(small.graphs[HEAD])
    with pytest.raises(ModelError, match="takes or gives"):
        open_engine("onnx", model)


def test_a_byte_that_changed_is_noticed(small: Made, tmp_path: Path) -> None:
    rng = random.Random(7)
    path, data = write(small, tmp_path)[WHOLE], small.graphs[WHOLE]
    digest = data.index(b"edge_vqa_sha256") - 5  # a file that has no such entry any more passes
    for at in [*range(200), *(rng.randrange(digest) for _ in range(200)), *range(len(data) - 64, len(data))]:
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        with pytest.raises(ModelError):
            load_model(path)


def test_truncated_and_changed_files_are_typed_errors_or_harmless(small: Made, tmp_path: Path) -> None:
    rng = random.Random(11)
    paths = write(small, tmp_path)
    for part in (WHOLE, HEAD):
        data = unsealed(small.graphs[part])  # so that what follows the check of the digest is tested
        damaged = [data[: rng.randrange(len(data))] for _ in range(40)]
        for _ in range(80):
            content = bytearray(data)
            for _ in range(rng.choice((1, 1, 4))):
                content[rng.randrange(len(content))] = rng.randrange(256)
            damaged.append(bytes(content))
        for content in damaged:
            paths[part].write_bytes(content)
            try:
                vqa = VQA(paths[part], "onnx", threads=1)
                vqa.look(small.pixels[0]).ask("co tom")
            except EdgeVQAError:
                continue
