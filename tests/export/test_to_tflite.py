"""What is in the .tflite files: names, types, scales, sizes, metadata, layer by layer; and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import make_model

from edge_vqa.engines import reference
from edge_vqa.errors import ModelError
from edge_vqa.evqa_file import FLOAT32, INT8, NO_BOUND, Conv
from edge_vqa.evqa_tensors import EvqaModel, load_tensors, save_tensors
from edge_vqa.model_file import ENCODER, HEAD, PARTS, WHOLE
from edge_vqa.tflite_file import read_metadata, signed

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs LiteRT (pip install ai-edge-litert)")
from ai_edge_litert import schema_py_generated as schema  # noqa: E402

from bench.delegated import count  # noqa: E402
from export.tflite_writer import TfliteWriter  # noqa: E402
from export.to_tflite import main, tflite_model, verify, write_tflite  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=[INT8, FLOAT32], ids=["int8", "float32"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EvqaModel:
    path = tmp_path_factory.mktemp("tiny") / "nhỏ.evqa"
    return load_tensors(make_model(path, "mobile-attention", precision=request.param))


def opened(path: Path, content: bytes, **options: Any) -> Any:
    path.write_bytes(content)
    return litert.Interpreter(str(path), num_threads=1, **options)


def parsed(content: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(content, 0)


def test_three_files_that_say_what_they_are(model: EvqaModel, tmp_path: Path) -> None:
    written = write_tflite(model.file.path, tmp_path / "ra")
    assert [path.name for path in written] == ["nhỏ.tflite", "nhỏ.encoder.tflite", "nhỏ.head.tflite"]
    assert sorted((tmp_path / "ra").iterdir()) == sorted(written)
    for path, part in zip(written, PARTS):
        said = json.loads(read_metadata(path))
        assert (said["format"], said["version"], said["part"]) == ("edge_vqa", 2, part)
        assert said["words"] == list(model.file.words)
        assert said["licence"] == "MIT"


def test_the_same_model_gives_the_same_bytes(model: EvqaModel) -> None:
    for part in PARTS:
        assert tflite_model(model, part) == tflite_model(load_tensors(model.file.path), part)


def test_inputs_and_outputs_of_each_signature(model: EvqaModel, tmp_path: Path) -> None:
    sizes = model.file.sizes
    pixels = {"pixels": (np.uint8, [-1, sizes.side, sizes.side, 3])}
    features = {"features": (np.float32, [-1, sizes.cells, sizes.cells, sizes.channels])}
    question = {"ids": (np.int32, [-1, 20]), "lengths": (np.int32, [-1])}
    answers = {
        "logits": (np.float32, [-1, sizes.answers + 1]),
        "attention": (np.float32, [-1, sizes.cells, sizes.cells]),
    }
    wanted = {
        WHOLE: {"ask": (pixels | question, answers | features), "answer": (features | question, answers)},
        ENCODER: {"encode": (pixels, features)},
        HEAD: {"answer": (features | question, answers)},
    }
    for part, signatures in wanted.items():
        interpreter = opened(tmp_path / f"{part}.tflite", tflite_model(model, part))
        assert set(interpreter.get_signature_list()) == set(signatures)
        for name, sides in signatures.items():
            runner = interpreter.get_signature_runner(name)
            for side, details in zip(sides, (runner.get_input_details(), runner.get_output_details())):
                found = {key: (d["dtype"], d["shape_signature"].tolist()) for key, d in details.items()}
                assert found == side
                assert [d["name"] for d in details.values()] == list(details)


def test_int8_keeps_the_steps_of_the_evqa_file(tmp_path: Path) -> None:
    model = load_tensors(make_model(tmp_path / "x.evqa", "mobile-attention"))
    tensors = {t.name.decode(): t for t in parsed(tflite_model(model, ENCODER)).subgraphs[0].tensors}
    before = np.float32(model.file.sizes.pixel_scale)
    assert tensors["pixels"].quantization.scale == [before]
    for number, conv in enumerate(model.file.convs):
        steps, weights = (tensors[f"conv{number}{part}"].quantization for part in ("", "_weights"))
        assert steps.scale == [np.float32(conv.out_scale)]
        assert steps.zeroPoint == [conv.out_zero - 128]
        # scale turns sums into steps of the output: weight step * input step / output step.
        scale = model.tensors[f"conv{number}.scale"]
        assert weights.scale * before / np.float32(conv.out_scale) == pytest.approx(scale, rel=1e-6)
        bias = tensors[f"conv{number}_bias"].quantization
        assert bias.scale == pytest.approx(weights.scale * before, rel=1e-6)
        before = np.float32(conv.out_scale)


def test_constants_lie_at_multiples_of_16_bytes_and_once(model: EvqaModel) -> None:
    content = tflite_model(model, WHOLE)
    buffers = [b.data.tobytes() for b in parsed(content).buffers if b.data is not None]
    large = [data for data in buffers if len(data) >= 64]
    assert len(large) == len(set(large))
    for data in large:
        assert content.count(data) == 1
        assert content.index(data) % 16 == 0
    apart = len(tflite_model(model, ENCODER)) + len(tflite_model(model, HEAD))
    assert len(content) < apart + 100_000  # the operations of the head a second time


def test_every_layer_is_the_references(model: EvqaModel, tmp_path: Path) -> None:
    sizes, rng = model.file.sizes, np.random.default_rng(1)
    picture = rng.integers(0, 256, (sizes.side, sizes.side, 3), dtype=np.uint8)
    interpreter = opened(
        tmp_path / "x.tflite", tflite_model(model, ENCODER), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    interpreter.get_signature_runner()(pixels=picture[None])
    details = {d["name"]: d for d in interpreter.get_tensor_details()}
    for number, wanted in enumerate(reference.encode(model, picture)):
        found = interpreter.get_tensor(details[f"conv{number}"]["index"])[0]
        if sizes.precision == FLOAT32:
            assert np.abs(found - wanted).max() < 1e-4, f"convolution {number}"
        else:
            apart = np.abs(found.astype(np.int32) + 128 - wanted)
            assert apart.max() <= 3, f"convolution {number}"
            assert apart.mean() < 0.4, f"convolution {number}"


def conv_with(model: EvqaModel, number: int, path: Path, **changes: Any) -> EvqaModel:
    convs = list(model.file.convs)
    convs[number] = replace(convs[number], **changes)
    save_tensors(path, replace(model.file, convs=tuple(convs)), model.tensors)
    return load_tensors(path)


def kinds(content: bytes) -> list[str]:
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    file = parsed(content)
    return [names[file.operatorCodes[o.opcodeIndex].builtinCode] for o in file.subgraphs[0].operators]


def activation_of_first(content: bytes) -> int:
    file = parsed(content)
    convs = [o for o in file.subgraphs[0].operators if type(o.builtinOptions).__name__ == "Conv2DOptionsT"]
    number: int = convs[0].builtinOptions.fusedActivationFunction
    return number


@pytest.mark.parametrize(
    "precision, bounds, activation, extra",
    [
        (INT8, {"low": 0.0, "high": 255.0, "out_zero": 0, "out_scale": 0.01}, 1, []),
        (INT8, {"low": 0.0, "high": 240.0, "out_zero": 0, "out_scale": 0.025}, 3, []),
        (INT8, {"low": 0.0, "high": 199.0, "out_zero": 0, "out_scale": 0.025}, 0, ["MINIMUM"]),
        (INT8, {"low": 3.0, "high": 199.0, "out_zero": 0, "out_scale": 0.025}, 0, ["MAXIMUM", "MINIMUM"]),
        (FLOAT32, {"low": 0.0, "high": 6.0}, 3, []),
        (FLOAT32, {"low": 0.0, "high": NO_BOUND}, 1, []),
        (FLOAT32, {"low": -NO_BOUND, "high": NO_BOUND}, 0, []),
        (FLOAT32, {"low": -1.0, "high": 2.0}, 0, ["MAXIMUM", "MINIMUM"]),
    ],
)
def test_bounds_become_activations_where_one_fits(
    tmp_path: Path, precision: int, bounds: dict[str, float], activation: int, extra: list[str]
) -> None:
    """1: RELU, 3: RELU6. What is clamped is compared with the reference, too."""
    model = load_tensors(make_model(tmp_path / "a.evqa", "dense", precision=precision))
    plain = kinds(tflite_model(model, ENCODER))
    model = conv_with(model, 0, tmp_path / "b.evqa", **bounds)
    content = tflite_model(model, ENCODER)
    assert activation_of_first(content) == activation
    for kind in ("MAXIMUM", "MINIMUM"):
        others = plain.count(kind) - (precision == INT8 and kind == "MINIMUM")  # the tiny model's first has one
        assert kinds(content).count(kind) - others == extra.count(kind)
    picture = np.random.default_rng(2).integers(0, 256, (model.file.sizes.side,) * 2 + (3,), dtype=np.uint8)
    interpreter = opened(tmp_path / "x.tflite", content)
    found = interpreter.get_signature_runner()(pixels=picture[None])["features"][0]
    sizes = model.file.sizes
    seen = reference.place(model, reference.encode(model, picture)[-1]).astype(np.float32)
    wanted = (seen - sizes.features_zero) * np.float32(sizes.features_scale)
    assert np.abs(found.reshape(wanted.shape) - wanted).max() < (1e-4 if precision == FLOAT32 else 0.15)


def test_sums_that_may_be_negative_before_something_is_added(tmp_path: Path) -> None:
    """The convolution alone gives less than 0 almost everywhere, the sum does not; its output has no room below 0."""
    model = load_tensors(make_model(tmp_path / "a.evqa", "odd-attention"))
    number = next(i for i, conv in enumerate(model.file.convs) if conv.residual >= 0)
    conv: Conv = model.file.convs[number]
    shift = np.rint(40 / model.tensors[f"conv{number}.scale"]).astype(np.int32)
    tensors = {**model.tensors, f"conv{number}.bias": model.tensors[f"conv{number}.bias"] - shift}
    convs = list(model.file.convs)
    convs[number] = replace(conv, out_zero=0)
    convs[number + 1] = replace(convs[number + 1], in_zero=0)
    if convs[-1].residual == number:
        convs[-1] = replace(convs[-1], residual_zero=0)
    file = replace(model.file, convs=tuple(convs))
    save_tensors(tmp_path / "b.evqa", file, tensors)
    model = load_tensors(tmp_path / "b.evqa")
    picture = np.random.default_rng(2).integers(0, 256, (45, 45, 3), dtype=np.uint8)
    wanted = reference.encode(model, picture)[number]
    assert (wanted > 0).mean() > 0.1
    interpreter = opened(
        tmp_path / "x.tflite", tflite_model(model, ENCODER), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    interpreter.get_signature_runner()(pixels=picture[None])
    at = next(d["index"] for d in interpreter.get_tensor_details() if d["name"] == f"conv{number}")
    assert np.abs(interpreter.get_tensor(at)[0].astype(np.int32) + 128 - wanted).max() <= 3


def test_xnnpack_takes_everything_but_looking_up_words(tmp_path: Path) -> None:
    model = load_tensors(make_model(tmp_path / "x.evqa", "mobile-attention", precision=FLOAT32))
    for part, outside in ((ENCODER, {}), (HEAD, {"GATHER": 1, "CAST": 1}), (WHOLE, {"GATHER": 1, "CAST": 1})):
        interpreter = opened(tmp_path / "x.tflite", tflite_model(model, part))
        interpreter.allocate_tensors()
        found = count(interpreter)
        if not found.groups:
            pytest.skip("this build of LiteRT has no XNNPACK")
        assert found.operations > 30
        assert found.outside == outside


def test_xnnpack_takes_every_int8_operation_that_trained_models_have(tmp_path: Path) -> None:
    """Tiny models have bounds that no activation has; trained ones have none but the ends of uint8."""
    model = load_tensors(make_model(tmp_path / "x.evqa", "mobile-attention"))
    convs = tuple(replace(conv, high=255.0) for conv in model.file.convs)
    interpreter = opened(
        tmp_path / "x.tflite", tflite_model(replace(model, file=replace(model.file, convs=convs)), WHOLE)
    )
    interpreter.allocate_tensors()
    found = count(interpreter)
    if not found.groups:
        pytest.skip("this build of LiteRT has no XNNPACK")
    assert found.outside == {"GATHER": 1, "CAST": 1}


def test_without_delegates_every_operation_counts_as_outside(tmp_path: Path) -> None:
    model = load_tensors(make_model(tmp_path / "x.evqa", "dense", precision=FLOAT32))
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = opened(tmp_path / "x.tflite", tflite_model(model, ENCODER), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    found = count(interpreter)
    assert (found.groups, found.outside.total()) == (0, found.operations)


def test_verify_refuses_what_is_damaged_or_makes_no_sense(model: EvqaModel, tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    good = tflite_model(model, HEAD)
    path.write_bytes(good)
    verify(path)
    path.write_bytes(good[:-1])
    with pytest.raises(ModelError):
        verify(path)
    flatbuffers = pytest.importorskip("flatbuffers")

    def changed(change: Any) -> None:
        file = parsed(good)
        change(file)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(file.Pack(builder), b"TFL3")
        path.write_bytes(signed(bytes(builder.Output())))

    def shape(file: Any) -> None:
        constant = next(t for t in file.subgraphs[0].tensors if t.name == b"answer_weights")
        constant.shape = constant.shape + 1

    changed(shape)
    with pytest.raises(ModelError, match="answer_weights"):
        verify(path)

    def wiring(file: Any) -> None:
        file.subgraphs[0].operators[0].inputs = np.array([9999, 0], np.int32)

    changed(wiring)
    with pytest.raises(ModelError, match="LiteRT refuses it"):
        verify(path)

    def values(file: Any) -> None:
        constant = next(t for t in file.subgraphs[0].tensors if t.name == b"answer_bias")
        data = file.buffers[constant.buffer].data.copy()
        data[:4] = np.frombuffer(np.float32("nan").tobytes(), np.uint8)
        file.buffers[constant.buffer].data = data

    changed(values)
    with pytest.raises(ModelError, match="not numbers"):
        verify(path)


def test_a_name_stands_for_one_constant() -> None:
    writer = TfliteWriter()
    first, second = writer.graph("a"), writer.graph("b")
    first.constant("c", np.zeros(3, np.float32))
    second.constant("c", np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="other values"):
        writer.graph("c").constant("c", np.ones(3, np.float32))


def test_the_command(model: EvqaModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(model.file.path), "--out", str(tmp_path / "ra")]) == 0
    assert [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(tmp_path / "ra" / name) for name in ("nhỏ.tflite", "nhỏ.encoder.tflite", "nhỏ.head.tflite")
    ]
    assert main(["--model", str(model.file.path), "--out", str(tmp_path), "--words", "1", "20"]) == 0
    for words in (1, 20):
        interpreter = litert.Interpreter(str(tmp_path / f"nhỏ.head-{words}.tflite"))
        shapes = {d["name"]: d["shape"].tolist() for d in interpreter.get_input_details()}
        assert shapes["ids"] == [1, words]
        assert "lengths" not in shapes
    with pytest.raises(SystemExit):
        main(["--model", str(model.file.path), "--words", "21"])
    capsys.readouterr()
    bad = tmp_path / "bad.evqa"
    bad.write_bytes(model.file.path.read_bytes()[:-1])
    assert main(["--model", str(bad)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {bad}: ")
    assert not list(tmp_path.glob("bad*.tflite*"))


def test_counting_from_the_command_line(model: EvqaModel, tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(tflite_model(model, HEAD))
    command = [sys.executable, "-m", "bench.delegated", str(path), "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("x.tflite: ")
    path.write_bytes(b"no")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
