"""The comparison is fair and adds up; who is how fast, no test asks."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import make_model

from bench.peers import __main__ as command
from bench.peers import cold_start, environments, measure, pictures, pinning, plan, session
from bench.peers.cold_start import Start, measure_starts
from bench.peers.contender import PeerError
from bench.peers.environments import Environment
from bench.peers.photo_paths import decoder
from bench.peers.roster import OWN, PEERS, Entry
from bench.peers.worker import find
from bench.peers.workers import WorkerProcess
from edge_vqa.engines import native, reference
from edge_vqa.evqa_file import FLOAT32, INT8
from edge_vqa.evqa_tensors import load_tensors

FAKE = Path(__file__).with_name("fake_worker.py")
NUMBER = r"(\d+\.\d\d|n/a)"
LAST_LINE = " ".join(f"{column}={NUMBER}" for column in (
    "encoder", "answer", "further_question", "cold_start", "memory", "jpeg_12mp", "threads2", "installed_size",
))  # fmt: skip


def entry(name: str) -> Entry:
    return Entry(name, (name,), f"{name}:Peer", f"{name}:program", ())


@pytest.fixture
def faked(monkeypatch):
    """The whole comparison with fake workers, named for what they do; "gone" cannot be installed."""
    peers = [entry(n) for n in ("good", "wrong", "failing", "dying", "garbage", "no-scaled", "blurred", "gone")]
    monkeypatch.setattr(session, "PEERS", peers)

    def prepare(folder: Path, *_: Any) -> Environment:
        if folder.name == "gone":
            raise PeerError("pip install failed: ERROR: No matching distribution found for gone")
        return Environment("ours" if folder.name == OWN.key else folder.name, "3.11.7", {"numpy": "2"}, 40_000_000, "")

    def start(python: str, folder: Path, _: Any) -> WorkerProcess:
        return WorkerProcess([sys.executable, str(FAKE), python], folder)

    def starts(commands: dict[str, Any], *_: Any) -> Any:
        return {name: [Start(9, 10, 50, "cà rốt")] * 3 for name in commands}, {}

    monkeypatch.setattr(environments, "prepare", prepare)
    monkeypatch.setattr(WorkerProcess, "start", start)
    monkeypatch.setattr(cold_start, "measure_starts", starts)
    monkeypatch.setattr(pinning.os, "sched_getaffinity", lambda _: {2, 3})
    monkeypatch.setattr(pinning.os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(pictures, "SIZES", {"0.05mp": (64, 48), "12mp": (80, 60)})
    monkeypatch.setattr(plan.Plan, "be_quick", be_quicker)


def be_quicker(self: plan.Plan) -> None:
    self.rounds, self.starts, self.photo_rounds = 3, 2, {"0.05mp": 2, "12mp": 2}


def test_they_take_turns_and_the_first_place_moves_on() -> None:
    order: list[str] = []
    turns = {n: lambda n=n: (order.append(n), [float(len(order))])[1] for n in "abc"}
    times, failed = measure.take_turns(turns, rounds=3)
    assert "".join(order) == "abc" + "bca" + "cab" and not failed
    assert times["a"] == [[1.0], [6.0], [8.0]]


def test_one_that_fails_misses_its_later_turns_only() -> None:
    def fails() -> list[float]:
        if len(order) > 3:
            raise PeerError("no more")
        order.append("b")
        return [1.0]

    order: list[str] = []
    turns = {"a": lambda: (order.append("a"), [1.0])[1], "b": fails, "c": lambda: (order.append("c"), [1.0])[1]}
    times, failed = measure.take_turns(turns, rounds=3)
    assert failed == {"b": "no more"} and {name: len(t) for name, t in times.items()} == {"a": 3, "c": 3}


def test_the_summary_is_that_of_the_values() -> None:
    got = measure.summary([[5.0, 1.0], [2.0, 4.0], [3.0]])
    assert got == {"median": 3.0, "p95": pytest.approx(4.8), "least": 1.0, "runs": 5, "blocks": [3.0, 3.0, 3.0]}
    many = measure.summary([[float(i)] for i in range(25)])  # stretches of 2 and 3 turns
    assert many["blocks"] == [0.5, 3.0, 5.5, 8.0, 10.5, 13.0, 15.5, 18.0, 20.5, 23.0]


def test_each_ratio_is_the_best_peers_over_ours_with_its_spread() -> None:
    """Ours is 2 in both stretches; "mixed" 2.5 and 3.5, 3 in all: 1.5, and 1.25 to 1.75."""
    own = {c: measure.summary([[2.0], [2.0]]) for c in ("encoder", "jpeg_12mp")}
    slow = {"encoder": measure.summary([[9.0], [9.0]])}
    mixed = {
        "encoder": measure.summary([[2.5], [3.5]]), "jpeg_12mp_scaled": measure.summary([[1.0], [1.0]]),
        "threads2": measure.summary([[1.0]]),
    }  # fmt: skip
    found = measure.ratios(own, {"slow": slow, "mixed": mixed})
    assert found["encoder"] == {"ratio": 1.5, "low": 1.25, "high": 1.75, "best_peer": "mixed"}
    assert found["jpeg_12mp_scaled"]["ratio"] == 0.5  # over ours, which has one path only
    assert set(found) == {"encoder", "jpeg_12mp_scaled"}
    line = measure.last_line(found)
    assert line.startswith("encoder=1.50 answer=n/a ") and re.fullmatch(LAST_LINE, line)


def test_without_peers_there_is_no_ratio() -> None:
    line = measure.last_line(measure.ratios({"encoder": measure.summary([[2.0]])}, {}))
    assert re.fullmatch(LAST_LINE.replace(NUMBER, "n/a"), line)


def test_the_whole_comparison_leaves_out_what_fails_and_says_why(faked, tmp_path: Path, capsys) -> None:
    out = tmp_path / "result.json"
    assert command.main(["--quick", "--json", str(out)]) == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert list(result["contenders"]) == ["ours", "good", "no-scaled", "blurred"]
    assert result["left_out"] == {
        "gone": "pip install failed: ERROR: No matching distribution found for gone",
        "failing": "illegal instruction",
        "garbage": "answered open with b'I am no JSON'",
        "wrong": "answers only 0 of 20 questions as we do",
        "dying": "its process ended with status 1: out of memory",
    }
    good = result["contenders"]["good"]
    assert good["agreement"]["same"] == 20 and good["packages"] == {"numpy": "2"} and good["version"] == "1.0"
    assert good["columns"]["answer"]["median"] == 5.0 and good["columns"]["answer"]["runs"] == 15
    assert {"encoder", "answer", "further_question", "cold_start", "memory", "installed_size", "threads2",
            "threads2_encoder", "jpeg_0.05mp", "jpeg_12mp", "jpeg_12mp_scaled"} < set(good["columns"])  # fmt: skip
    assert result["ratios"]["jpeg_12mp"]["ratio"] == 2.5 and result["ratios"]["cold_start"]["ratio"] == 1
    assert (result["own"], result["threads"], set(result["photos"])) == ("ours", [1, 2], {"0.05mp", "12mp"})
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(LAST_LINE, printed[-1])
    assert sum(re.fullmatch(LAST_LINE, line) is not None for line in printed) == 1
    assert any(line.startswith("gone: left out") for line in printed)
    assert command.main(["--from", str(out), "--markdown"]) == 0
    assert "| good 1.0 | 5.00 (5.00) |" in capsys.readouterr().out


def test_a_way_from_a_photo_counts_only_where_it_gives_our_answers(faked, tmp_path: Path) -> None:
    assert command.main(["--json", str(tmp_path / "r"), "--quick", "--only", "edge_vqa", "--threads", "1"]) == 0
    only = json.loads((tmp_path / "r").read_text(encoding="utf-8"))
    assert list(only["contenders"]) == ["ours"] and not only["ratios"]
    wanted = plan.Plan(only=("no-scaled", "blurred"), threads=(1,))
    be_quicker(wanted)
    found = session.run(wanted, made(tmp_path / "w"), lambda _: None)
    missing, blurred = found["contenders"]["no-scaled"], found["contenders"]["blurred"]
    assert "jpeg_12mp" in missing["columns"] and "jpeg_12mp_scaled" not in missing["columns"]
    assert any("simplejpeg" in remark for remark in missing["remarks"])
    assert "jpeg_12mp" not in blurred["columns"] and "jpeg_12mp_scaled" in blurred["columns"]
    assert "usual path of 12mp left out: 0 of 4 answers as ours" in blurred["remarks"]


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.skipif(not native.find_library(), reason="the engine in C++ is not installed")
def test_a_real_run_of_two(monkeypatch, tmp_path: Path) -> None:
    """Real workers and programs, in the environment of the tests."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(pictures, "SIZES", {"0.05mp": (256, 192), "12mp": (640, 480)})
    monkeypatch.setattr(plan.Plan, "be_quick", be_quicker)
    pythons = [f"{name}={sys.executable}" for name in ("edge_vqa", "onnxruntime")]
    out = tmp_path / "result"
    options = [
        "--quick",
        "--only",
        "onnxruntime",
        "--threads",
        "1",
        "--json",
        str(out),
        "--environments",
        str(tmp_path),
    ]
    assert command.main([*options, "--python", *pythons]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert list(found["contenders"]) == ["edge_vqa native", "onnxruntime"] and not found["left_out"]
    for column in ("encoder", "answer", "further_question", "cold_start", "memory", "jpeg_0.05mp", "jpeg_12mp"):
        assert all(one["columns"][column]["least"] > 0 for one in found["contenders"].values())
        assert found["ratios"][column]["best_peer"] == "onnxruntime"
    assert "installed_size" not in found["ratios"]  # of an interpreter that somebody else filled, nobody knows


def test_an_interpreter_may_be_named_from_where_one_stands(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    wanted = ("litert", str(tmp_path / "python"))
    assert command._named_python("LiteRT=./python") == wanted == command._named_python(f"litert={tmp_path}/python")


def test_our_own_failure_is_an_error(faked, monkeypatch, capsys) -> None:
    place = Environment("failing", "3.11.7", {}, 1, "")
    monkeypatch.setattr(environments, "given", lambda _: place)
    assert command.main(["--python", "edge_vqa=/x", "--only", "edge_vqa"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: edge_vqa: illegal instruction"


def test_mistakes_are_told(faked, tmp_path: Path, capsys) -> None:
    assert command.main(["--peers-model", str(tmp_path / "no.evqa")]) == 1
    assert "no.evqa" in capsys.readouterr().err
    assert command.main(["--threads", "2", "2"]) == 1
    assert "--threads" in capsys.readouterr().err
    assert command.main(["--threads", "9"]) == 1
    assert "9 processors" in capsys.readouterr().err
    for wrong in (["--only", "nobody"], ["--python", "nobody=/bin/x"], ["--python", "litert"]):
        with pytest.raises(SystemExit):
            command.main(wrong)


def test_processes_are_started_in_turns_and_answer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import sys; open(sys.argv[1], 'a').write(sys.argv[2]); print('cơm tấm', sys.argv[2])"
    commands = {n: [sys.executable, "-c", program, str(log), n] for n in "ab"}
    found, failed = measure_starts(commands, rounds=2, folder=tmp_path)
    assert log.read_text() == "ab" + "ba" + "ab" and not failed
    assert [s.answer for s in found["b"]] == ["cơm tấm b"] * 2
    assert all(0 < s.answered_ms <= s.ended_ms and s.memory_mb > 1 for s in found["a"])


def test_memory_is_the_processes_own_not_that_of_who_measures(tmp_path: Path) -> None:
    held = np.ones(200_000_000, np.uint8)
    found, _ = measure_starts({"small": [sys.executable, "-S", "-c", "print(1)"]}, rounds=1, folder=tmp_path)
    assert found["small"][0].memory_mb < held.nbytes / 1e6


def test_a_process_that_fails_or_hangs_is_told_and_the_others_go_on(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(cold_start, "SECONDS", 1)
    programs = {"x": "raise SystemExit('no such model')", "y": "import time; time.sleep(60)", "z": "print(1)", "e": ""}
    commands = {name: [sys.executable, "-S", "-c", program] for name, program in programs.items()}
    found, failed = measure_starts(commands, rounds=2, folder=tmp_path)
    assert [s.answer for s in found["z"]] == ["1", "1"] and set(found) == {"z"}
    assert failed["x"].endswith("no answer: no such model") and set(failed) == {"x", "y", "e"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_it_is_pinned_to_as_many_processors_as_threads(monkeypatch) -> None:
    chosen: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: chosen.append(list(cpus)))
    for threads, first in ((1, None), (2, None), (1, 2)):
        with pinning.pinned(pinning.processors(threads, first)):
            pass
    assert chosen == [[5], [2, 3, 5], [3, 5], [2, 3, 5], [2], [2, 3, 5]]
    for threads, first in ((4, None), (2, 5), (1, 4)):
        with pytest.raises(ValueError, match="processors"):
            pinning.processors(threads, first)


def test_photographs_are_the_same_each_time_and_of_the_stated_sizes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "SIZES", {"0.05mp": (256, 192)})
    (once,), (again,) = (pictures.photographs(made(tmp_path / name)) for name in "ab")
    assert once.path.read_bytes() == again.path.read_bytes()
    with Image.open(once.path) as opened:
        assert opened.size == (256, 192) == (once.width, once.height) and opened.format == "JPEG"


def test_the_ways_to_pixels_show_the_same_picture(tmp_path: Path, monkeypatch) -> None:
    """The usual way is Pillow's own; the scaled one stays near it."""
    monkeypatch.setattr(pictures, "SIZES", {"1mp": (1152, 864)})
    (photo,) = pictures.photographs(tmp_path)
    usual = decoder("usual", 1)(photo.path.read_bytes(), 64)
    with Image.open(photo.path) as opened:
        np.testing.assert_array_equal(usual, np.asarray(opened.resize((64, 64), Image.Resampling.BILINEAR)))
    for package in ("simplejpeg", "cv2"):
        pytest.importorskip(package)
    scaled = decoder("scaled", 1)(photo.path.read_bytes(), 64)
    assert scaled.shape == (64, 64, 3) and scaled.dtype == np.uint8
    assert np.abs(scaled.astype(int) - usual).mean() < 6


def test_every_line_of_the_roster_names_code_that_is_there() -> None:
    for line in (OWN, *PEERS):
        for name in (line.adapter, line.program, line.make):
            module, _, wanted = name.partition(":")
            if name:
                source = (Path(session.__file__).parent / f"{module}.py").read_text(encoding="utf-8")
                assert re.search(rf"^(class|def) {wanted}\b", source, re.MULTILINE), name
    assert len({line.key for line in (OWN, *PEERS)}) == 1 + len(PEERS)


@pytest.mark.parametrize("kind, precision", [("mobile-attention", INT8), ("dense", INT8), ("dense-attention", FLOAT32)])
@pytest.mark.parametrize("name", ["onnxruntime", "OpenVINO", "LiteRT"])
def test_a_peer_gives_the_references_answers(kind: str, precision: int, name: str, tmp_path: Path) -> None:
    pytest.importorskip({"onnxruntime": "onnxruntime", "OpenVINO": "openvino", "LiteRT": "ai_edge_litert"}[name])
    model = load_tensors(make_model(tmp_path / "a.evqa", kind, precision=precision))
    sizes, engine = model.file.sizes, reference.ReferenceEngine(model)
    first, then = np.random.default_rng(2).integers(0, 256, (2, sizes.side, sizes.side, 3), dtype=np.uint8)
    (line,) = [line for line in PEERS if line.name == name]
    if line.make:
        find(line.make)(model, tmp_path, [1, 5])
    peer = find(line.adapter)(model, tmp_path, 1)
    for ids in ([1, 2, 3, 4, 2], [2]):
        peer.show(first.tobytes(), ids)
        for pixels in (first, then):
            peer.put(pixels)
            peer.answer()
            logits, _ = engine.answer(engine.encode(pixels.tobytes()), ids)
            np.testing.assert_allclose(peer.logits(), logits[:-1], atol=0.15 if precision == INT8 else 0.03)
