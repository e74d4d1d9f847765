"""ONNX files made of .evqa files. What is in them is tested in tests/edge_vqa/test_onnx.py."""

import shutil
from pathlib import Path

import onnx
import onnxruntime
import pytest
from tiny_model import make_model

from edge_vqa import VQA
from edge_vqa.errors import ModelError
from edge_vqa.evqa_file import FLOAT32, INT8
from edge_vqa.model_file import ENCODER, HEAD, PARTS, WHOLE, load_model
from export import to_onnx
from export.to_onnx import write_onnx

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(params=[INT8, FLOAT32], ids=["int8", "float32"])
def evqa(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_model(tmp_path / "mô hình.v1.evqa", "mobile-attention", precision=request.param)


def test_three_files_are_written_that_load(evqa: Path, tmp_path: Path) -> None:
    out = tmp_path / "ra" / "đây"
    written = write_onnx(evqa, out)
    assert [path.name for path in written] == ["mô hình.v1.onnx", "mô hình.v1.encoder.onnx", "mô hình.v1.head.onnx"]
    assert sorted(out.iterdir()) == sorted(written), "nothing half-written stays"
    source = load_model(evqa)
    for path in written:
        model = load_model(path)
        assert (model.name, model.precision, model.about) == (source.name, source.precision, source.about)
        assert (model.answers, model.side, model.attention) == (source.answers, source.side, source.attention)
        assert set(model.files) == ({WHOLE} if path == written[0] else {ENCODER, HEAD})
        VQA(path, "onnx", threads=1)


def test_inputs_and_outputs_are_as_documented(evqa: Path, tmp_path: Path) -> None:
    features = ("features", "tensor(float)", ["pictures", 56, 2, 2])
    questions = [("ids", "tensor(int64)", ["questions", "words"]), ("lengths", "tensor(int64)", ["questions"])]
    answers = [("logits", "tensor(float)", ["questions", 4]), ("attention", "tensor(float)", ["questions", 2, 2])]

    def of_one_batch(values: list) -> list:
        return [(name, type_, ["batch" if d == "questions" else d for d in shape]) for name, type_, shape in values]

    pixels = ("pixels", "tensor(uint8)", ["batch", 64, 64, 3])
    wanted = {
        WHOLE: ([pixels, *of_one_batch(questions)], of_one_batch(answers)),
        ENCODER: ([pixels], [("features", "tensor(float)", ["batch", 56, 2, 2])]),
        HEAD: ([features, *questions], answers),
    }
    for part, path in zip(PARTS, write_onnx(evqa, tmp_path)):
        session = onnxruntime.InferenceSession(path)
        found = [[(v.name, v.type, v.shape) for v in side] for side in (session.get_inputs(), session.get_outputs())]
        assert tuple(found) == wanted[part]


def test_weights_of_an_int8_model_take_a_byte_each(tmp_path: Path) -> None:
    evqa = make_model(tmp_path / "a.evqa", "dense-attention")
    for path in write_onnx(evqa, tmp_path):
        for tensor in onnx.load(path).graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            kept = ("head.place", "head.score", "head.answer")  # float32 in the .evqa file, too
            assert values.itemsize == 1 or values.ndim < 2 or tensor.name in kept or 1 in values.shape, tensor.name


def test_the_same_model_gives_the_same_bytes(evqa: Path, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_onnx(evqa, tmp_path / "a")]
    assert first == [path.read_bytes() for path in write_onnx(evqa, tmp_path / "b")]


def test_what_the_checker_refuses_is_not_written(evqa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = onnx.helper.make_graph([onnx.helper.make_node("Exp", ["x"], ["y"])], "broken", [], [])
    monkeypatch.setattr(to_onnx, "onnx_model", lambda *_: onnx.helper.make_model(broken).SerializeToString())
    with pytest.raises(ModelError, match=r"mô hình.v1.onnx: the checker refuses"):
        write_onnx(evqa, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_writes_and_says_what_is_wrong(evqa: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert to_onnx.main(["--model", str(evqa)]) == 0
    assert capsys.readouterr().out.count("MB") == 3
    assert evqa.with_name("mô hình.v1.head.onnx").is_file()
    evqa.write_bytes(evqa.read_bytes()[:5000])
    assert to_onnx.main(["--model", str(evqa)]) == 1
    assert to_onnx.main(["--model", str(evqa.with_name("gone.evqa"))]) == 1
    assert to_onnx.main(["--run", str(evqa.parent)]) == 1
    errors = capsys.readouterr().err
    assert errors.count("error: ") == errors.count("\n") == 3
    assert "truncated" in errors and "gone.evqa" in errors and "needs --data" in errors
    with pytest.raises(SystemExit, match="2"):
        to_onnx.main([])


def test_the_documented_program_gives_the_packages_answer(
    evqa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(EXAMPLES / "ca_rot.jpg", tmp_path / "photo.jpg")
    write_onnx(evqa, tmp_path)[0].rename(tmp_path / "mobilenetv2-lstm-attention-int8.onnx")
    monkeypatch.chdir(tmp_path)
    program = (
        (EXAMPLES.parent / "docs" / "formats.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    )
    exec(program, {})
    answer = VQA("mobilenetv2-lstm-attention-int8.onnx", "onnx").ask("photo.jpg", "Món này là món gì?")
    assert capsys.readouterr().out == f"{answer.text}\n"
