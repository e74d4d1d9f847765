"""The command as a user runs it, in a process of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from edge_vqa.evqa_tensors import load_tensors
from edge_vqa.model_file import ENCODER, HEAD, WHOLE, find_model

EXAMPLES = Path(__file__).parents[2] / "examples"
CARROT = str(EXAMPLES / "ca_rot.jpg")


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    command = [sys.executable, "-m", "edge_vqa.run", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, env={"PYTHONUTF8": "1", "PATH": ""})
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err
    return done.returncode, out, err


def test_one_question_prints_one_line() -> None:
    assert run("--image", CARROT, "--q", "món này là món gì") == (0, "cà rốt\n", "")


def test_an_onnx_file_answers_whole_and_in_halves(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from edge_vqa.engines.onnx_graph import onnx_model

    model = load_tensors(find_model(None))
    for part, name in ((WHOLE, "món.onnx"), (ENCODER, "món.encoder.onnx")):
        (tmp_path / name).write_bytes(onnx_model(model, part))
    asked = ("--image", CARROT, "--q", "món này là món gì", "--model")
    assert run(*asked, str(tmp_path / "món.onnx")) == (0, "cà rốt\n", "")
    assert run(*asked, str(tmp_path / "món.onnx"), "--engine", "onnx") == (0, "cà rốt\n", "")
    code, out, err = run(*asked, str(tmp_path / "món.encoder.onnx"))
    assert (code, out) == (3, "") and "món.head.onnx" in err and err.count("\n") == 1
    (tmp_path / "món.head.onnx").write_bytes(onnx_model(model, HEAD))
    assert run(*asked, str(tmp_path / "món.encoder.onnx")) == (0, "cà rốt\n", "")
    code, _, err = run(*asked, str(tmp_path / "món.onnx"), "--engine", "native")
    assert (code, err.count("\n")) == (3, 1) and ".onnx files run on onnx" in err


def test_several_questions_and_pictures_name_both() -> None:
    code, out, _ = run(
        "--image", CARROT, "--image", str(EXAMPLES / "chuoi.jpg"), "--q", "mon nay la mon gi", "--q", "màu gì"
    )
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[0] == f"{CARROT}: mon nay la mon gi → cà rốt"


def test_a_folder_is_read_in_order(tmp_path: Path) -> None:
    for name in ("b món.jpg", "a.JPG", "c.txt"):
        shutil.copy(CARROT, tmp_path / name)
    code, out, _ = run("--image", str(tmp_path), "--q", "đây là gì")
    assert code == 0
    assert [line.split(": ")[0] for line in out.splitlines()] == [str(tmp_path / n) for n in ("a.JPG", "b món.jpg")]
    (tmp_path / "empty").mkdir()
    code, _, err = run("--image", str(tmp_path / "empty"), "--q", "đây là gì")
    assert (code, "no pictures" in err) == (1, True)


def test_json_has_everything() -> None:
    code, out, _ = run("--image", CARROT, "--q", "món này là món gì", "--json", "--top", "4")
    record = json.loads(out)
    assert code == 0
    assert record["answer"] == "cà rốt"
    assert len(record["alternatives"]) == 3
    assert set(record["timings_ms"]) == {"decode", "look", "answer"}
    assert record["understood"] is True


def test_top_prints_so_many_lines() -> None:
    code, out, _ = run("--image", CARROT, "--q", "món này là món gì", "--top", "5")
    assert code == 0
    assert len(out.splitlines()) == 5
    assert out.split()[0].endswith("%")


def test_standard_input_for_picture_and_questions() -> None:
    assert run("--image", "-", "--q", "món này là món gì", stdin=Path(CARROT).read_bytes())[:2] == (0, "cà rốt\n")
    code, out, _ = run("--image", CARROT, "--q", "-", stdin="món này là món gì\n\nmàu gì\n".encode())
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_heatmap_is_saved(tmp_path: Path) -> None:
    out = tmp_path / "nhiệt.png"
    assert run("--image", CARROT, "--q", "món này là món gì", "--heatmap", str(out))[0] == 0
    assert Image.open(out).size == Image.open(CARROT).size
    run("--image", CARROT, "--q", "màu gì", "đây là gì", "--heatmap", str(out))
    assert (tmp_path / "nhiệt-1.png").is_file()
    assert (tmp_path / "nhiệt-2.png").is_file()


def test_one_bad_picture_does_not_stop_the_others(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(Path(CARROT).read_bytes()[:5000])
    code, out, err = run("--image", str(bad), CARROT, "--q", "món này là món gì")
    assert code == 1
    assert out.endswith("cà rốt\n")
    assert "bad.jpg" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--image", "nowhere.jpg", "--q", "gì"], 1),
        (["--image", "a" * 300, "--q", "gì"], 1),
        (["--image", CARROT, "--q", "?"], 1),
        (["--image", CARROT, "--q", "-"], 1),
        (["--image", "-", "--q", "gì"], 1),
        (["--image", CARROT], 2),
        (["--q", "gì"], 2),
        (["--image", CARROT, "--q", "gì", "--top", "0"], 2),
        (["--image", CARROT, "--q", "gì", "--threads", "many"], 2),
        (["--image", "-", "--q", "-"], 2),
        (["--image", CARROT, "--q", "gì", "--model", "nothing"], 3),
        (["--image", CARROT, "--q", "gì", "--model", CARROT], 3),
        (["--image", CARROT, "--q", "gì", "--engine", "steam"], 3),
        (["--image", CARROT, "--q", "gì", "--heatmap", "/no/such/folder/x.png"], 3),
        (["--image", CARROT, "--q", "gì", "--heatmap", "out.unknown"], 3),
        (["--image", CARROT, "--q", "gì", "đây là gì", "--heatmap", "."], 3),
    ],
)
def test_mistakes_have_their_exit_code_and_one_line(arguments: list[str], code: int) -> None:
    got, _, err = run(*arguments)
    assert got == code
    assert "error: " in err


def test_answers_are_utf8_in_any_locale() -> None:
    command = [sys.executable, "-m", "edge_vqa.run", "--image", CARROT, "--q", "món này là món gì"]
    environment = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "cà rốt\n".encode(), b"")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "edge_vqa.run", "--image", CARROT, "--q", *["đây là gì"] * 50]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


def test_not_understood_is_said() -> None:
    code, out, _ = run("--image", CARROT, "--q", "thủ tướng Anh năm 1990 họ tên đầy đủ ra sao")
    assert code == 0
    assert out.startswith("không hiểu câu hỏi")
