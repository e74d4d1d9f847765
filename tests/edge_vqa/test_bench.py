"""python -m edge_vqa.bench as a user runs it; how fast anything is, no test asks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from native_library import needs_native
from PIL import Image
from tiny_model import make_model

from edge_vqa.bench import __main__ as command
from edge_vqa.bench import measure, start
from edge_vqa.bench.plan import Plan
from edge_vqa.bench.timing import fixed
from edge_vqa.errors import EngineError

QUICK = ("--quick", "--runs", "1", "--q", "mon nay gi")
KEYS = [
    "cold_start.answer", "cold_start.end", "cold_start.memory", "open", "first_answer", "encoder", "head",
    "further_question", "pixels.small", "answer.small", "pixels.1mp", "answer.1mp", "pixels.12mp", "answer.12mp",
]  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model") / "tiny món.evqa", "mobile-attention"))


def bench(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "edge_vqa.bench", *arguments], capture_output=True, timeout=120)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err
    return done.returncode, out, err


@needs_native
def test_everything_is_measured_shown_and_kept(tiny: str, tmp_path: Path) -> None:
    kept, own = tmp_path / "kept.json", tmp_path / "own.jpg"
    Image.new("RGB", (300, 200), "red").save(own)
    code, out, err = bench(
        *QUICK, "--model", tiny, "--minutes", "0.01", "--json", str(kept), "--image", str(own), "--threads", "1"
    )
    assert (code, "Traceback" in err) == (0, False)
    assert "[1/11] cold start\n" in err
    result = json.loads(kept.read_text(encoding="utf-8"))
    rows = {row["key"]: row for row in result["measurements"]}
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = [f"threads.{n}.{what}" for n in measure.thread_counts(usable or 1) for what in ("encoder", "answer")]
    batches = ["batch.1", "batch.threads", "batch.workers"][: 3 if (usable or 1) > 1 else 1]
    assert list(rows) == [*KEYS, "pixels.own", "answer.own", *threads, *batches]
    assert all(row["median"] > 0 and row["runs"] == len(row["times"]) == 1 for row in rows.values())
    assert rows["cold_start.answer"]["median"] <= rows["cold_start.end"]["median"]
    setup = result["setup"]
    assert (setup["engine"]["name"], setup["threads"], setup["words"]) == ("native", 1, 3)
    assert setup["model"]["files"][0]["file"] == "tiny món.evqa" and len(setup["model"]["files"][0]["sha256"]) == 64
    assert [(p["width"], p["height"]) for p in setup["pictures"]] == [(224, 224), (1152, 864), (4000, 3000), (300, 200)]
    assert setup["options"]["image"] == "own.jpg" and str(tmp_path) not in json.dumps(setup, ensure_ascii=False)
    assert len(result["sustained"]["intervals"]) >= 6
    assert result["sustained"]["verdict"]["verdict"] in ("steady", "slowed", "quicker")
    answers = result["answers"]
    assert answers["a process of its own"] == answers["small"] and answers["small"] in ("có", "không", "cơm tấm")
    assert "encoder: pixels to features" in out and "Sustained run" in out

    shown = bench("--from", str(kept))
    assert shown == (0, out, "")
    code, out, _ = bench("--from", str(kept), "--markdown")
    assert code == 0 and "\n| encoder: pixels to features | " in out
    code, out, _ = bench("--compare", str(kept), str(kept))
    assert code == 0 and out.count("within the spread") == len(rows) and "Both have the same setup." in out


def test_questions_and_file_names_in_any_locale(tiny: str, tmp_path: Path) -> None:
    picture, kept = os.fsencode(tmp_path) + b"/\xff m\xc3\xb3n.jpg", tmp_path / "r.json"
    Image.new("RGB", (30, 20), "red").save(tmp_path / "red.jpg")
    Path(os.fsdecode(picture)).write_bytes((tmp_path / "red.jpg").read_bytes())
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    program = [sys.executable, "-m", "edge_vqa.bench", *QUICK, "--no-progress", "--model", tiny, "--json", str(kept)]
    done = subprocess.run(
        [*program, "--q", "món này gì".encode(), "--image", picture], env=environment, capture_output=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "question        món này gì (3 words)".encode() in done.stdout
    setup = json.loads(kept.read_text(encoding="utf-8"))["setup"]
    assert setup["question"] == "món này gì" and setup["options"]["image"].endswith("món.jpg")


def test_any_engine_can_be_measured(tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*QUICK, "--model", tiny, "--engine", "reference", "--no-progress"]) == 0
    out, err = capsys.readouterr()
    assert "engine" in out and "reference numpy" in out
    assert "Left out: threads: the reference engine has none" in out
    assert "it is not made to be quick" in out
    assert err == ""


@needs_native
def test_importing_and_measuring_natively_loads_no_numpy(tiny: str) -> None:
    arguments = [*QUICK, "--no-progress", "--model", tiny]
    code = (
        f"from edge_vqa.bench.__main__ import main; assert main({arguments!r}) == 0\n"
        "import sys; print(*({'numpy', 'onnxruntime', 'torch', 'bench'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "\n")


def test_a_board_that_tells_nothing_is_measured_all_the_same(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "r.json"
    arguments = [*QUICK, "--model", tiny, "--no-progress", "--json", str(kept)]
    assert command.main(arguments, root=str(tmp_path / "nothing")) == 0
    out = capsys.readouterr().out
    assert "Not told by this system: temperature (looked for /sys/class/thermal/thermal_zone*/temp" in out
    result = json.loads(kept.read_text(encoding="utf-8"))
    assert result["sensors"]["before"]["temperatures"] == [] and result["machine"]["board"] is None
    assert len(result["sensors"]["during"]) >= 10


def test_what_fails_is_named_and_the_rest_measured(
    tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: measure.Session) -> None:
        raise OSError("no room")

    monkeypatch.setattr(measure.Session, "cold_start", fail)
    assert command.main([*QUICK, "--model", tiny, "--no-progress"]) == 1
    out = capsys.readouterr().out
    assert "Could not be measured: cold start: no room." in out and "further question" in out


def test_what_there_is_no_time_for_is_left_out(
    tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Plan, "limit", 0.0)
    assert command.main(["--quick", "--q", "gi", "--model", tiny, "--no-progress"]) == 1
    out = capsys.readouterr().out
    assert "Left out: the encoder: too slow here" in out and "encoder: pixels" not in out


def test_an_interrupt_shows_what_was_measured(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: measure.Session) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measure.Session, "encoder", interrupt)
    kept = tmp_path / "r.json"
    assert command.main([*QUICK, "--model", tiny, "--no-progress", "--json", str(kept)]) == 130
    out = capsys.readouterr().out
    assert "first answer after that" in out and "Interrupted: the encoder and what comes after it" in out
    assert [row["key"] for row in json.loads(kept.read_text())["measurements"]] == KEYS[:5]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_ends_a_sustained_run_early_and_says_so(tiny: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_vqa.bench", *QUICK, "--model", tiny, "--minutes", "5"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    while "sustained run" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "ended early, of 5.0 min planned" in out and "Interrupted: sustained run" in out


@pytest.mark.parametrize("launcher", [True, False])
def test_a_cold_start_is_timed_to_its_answer_and_its_end(launcher: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not launcher:
        monkeypatch.delattr(os, "posix_spawn")
    program = [sys.executable, "-S", "-c", "import time; print('phở', flush=True); time.sleep(0.05)"]
    starts = start.measure_starts(program, fixed(2))
    assert [s.answer for s in starts] == ["phở"] * 2
    for found in starts:
        assert (found.ended_ms - found.answered_ms > 49) == launcher
        assert (found.memory_mb is not None) == launcher
        assert found.memory_mb is None or 2 < found.memory_mb < 100


@pytest.mark.parametrize("launcher", [True, False])
def test_a_cold_start_that_fails_says_what_the_program_said(launcher: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not launcher:
        monkeypatch.delattr(os, "posix_spawn")
    with pytest.raises(EngineError, match="exit code 3 and said: no luck"):
        start.measure_starts([sys.executable, "-c", "import os; os.write(2, b'no luck'); os._exit(3)"], fixed(2))


def test_a_program_that_cannot_be_started_is_an_error_of_ours() -> None:
    with pytest.raises((EngineError, OSError)):
        start.measure_starts(["/no/such/program"], fixed(1))


def test_mistakes_have_their_exit_code_and_one_line(tiny: str, tmp_path: Path) -> None:
    text, other = tmp_path / "text.json", tmp_path / "other.json"
    text.write_text("nothing")
    other.write_text('{"schema": "edge_vqa.bench", "schema_version": 99}')
    nowhere = str(tmp_path / "no" / "r.json")
    for arguments, code, said in (
        (["--model", "nothing"], 3, "no such model file"),
        (["--model", str(text)], 3, "text.json"),
        (["--engine", "steam"], 3, "no such engine"),
        (["--model", tiny, "--q", "?"], 2, "question"),
        (["--model", tiny, "--image", str(text)], 2, "text.json"),
        (["--model", tiny, "--image", nowhere], 2, nowhere),
        (["--json", nowhere], 2, nowhere),
        (["--json", str(tmp_path)], 2, "is a folder"),
        (["--from", nowhere], 2, nowhere),
        (["--from", str(text)], 2, "not JSON"),
        (["--compare", str(other), str(other)], 2, "has schema 99"),
        (["--runs", "0"], 2, "must be 1 or more"),
        (["--minutes", "-1"], 2, "number of minutes"),
        (["--minutes", "nan"], 2, "number of minutes"),
    ):
        got, out, err = bench("--no-progress", *arguments)
        assert (got, out) == (code, ""), arguments
        assert said in err and "error: " in err.splitlines()[-1], arguments


def test_a_damaged_result_is_refused_when_it_is_shown(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.json"
    empty = {name: {} for name in ("setup", "machine", "sensors", "failed", "left_out")}
    head = {"schema": "edge_vqa.bench", "schema_version": 1, "date": "", "warnings": [], "measurements": []}
    damaged.write_text(json.dumps({**head, **empty}))
    code, out, err = bench("--from", str(damaged))
    assert (code, out, err.count("\n")) == (2, "", 1) and "damaged.json: damaged" in err
    code, out, err = bench("--compare", str(damaged), str(damaged))
    assert (code, out, err.count("\n")) == (2, "", 1) and "damaged.json: damaged" in err
