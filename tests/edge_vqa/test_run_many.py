"""The command on many pictures, in processes of their own: --out, going on after a run was cut short, progress.

A named pipe among the pictures is where a run stands still, so that it can be looked at and ended in its middle.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))
QUESTIONS = ["món này là món gì", "màu gì"]
COMMAND = [sys.executable, "-m", "edge_vqa.run", "--q", *QUESTIONS]
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


def run(*arguments: str | Path, **options: Any) -> tuple[int, str, str]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, timeout=120, **options)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="surrogateescape")


def records(path: Path) -> list[dict[str, Any]]:
    """What the lines say, without how long the answers took."""
    lines = path.read_bytes().decode().split("\n")
    assert lines.pop() == ""
    return [{k: v for k, v in json.loads(line).items() if k != "timings_ms"} for line in lines]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 pictures, of which the fourth is damaged."""
    folder = tmp_path / "ảnh"
    folder.mkdir()
    for number in range(20):
        shutil.copy(EXAMPLES[number % len(EXAMPLES)], folder / f"{number:02}.jpg")
    (folder / "03.jpg").write_bytes(EXAMPLES[0].read_bytes()[:4000])
    return folder


@pytest.fixture
def whole(folder: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """The records of a run that nothing stopped."""
    out = tmp_path / "whole.jsonl"
    code, printed, err = run("--image", folder, "--out", out, "--jobs", "1")
    assert (code, printed, err.count("\n")) == (1, "", 1) and err.startswith("error: ") and "03.jpg" in err
    return records(out)


def test_lines_are_in_order_and_say_everything(folder: Path, whole: list[dict[str, Any]]) -> None:
    asked = [(str(folder / f"{n:02}.jpg"), q) for n in range(20) for q in (QUESTIONS if n != 3 else [None])]
    assert [(record["image"], record.get("question")) for record in whole] == asked
    code, out, _ = run("--image", EXAMPLES[1], "--json")
    expected = [json.loads(line) for line in out.splitlines()]
    for record in (r for r in whole if r["image"] == str(folder / "01.jpg")):
        assert len(record.pop("model_sha256")) == 16
        plain = expected.pop(0)
        del plain["timings_ms"]
        assert {**record, "image": str(EXAMPLES[1])} == plain
    failed = whole[6]
    assert set(failed) == {"image", "error", "model", "engine", "model_sha256"} and "03.jpg" in failed["error"]
    assert code == 0 and not expected


@pytest.mark.parametrize("options", [[], ["--jobs", "3"], ["--jobs", "2", "--threads", "2"], ["--threads", "1"]])
def test_jobs_change_nothing(folder: Path, whole: list[dict[str, Any]], tmp_path: Path, options: list[str]) -> None:
    code, printed, err = run("--image", folder, "--out", tmp_path / "many.jsonl", *options)
    assert (code, printed, err.count("\n")) == (1, "", 1)
    assert records(tmp_path / "many.jsonl") == whole
    code, printed, _ = run("--image", folder, "--json", *options)
    answered = [json.loads(line) for line in printed.splitlines()]
    assert code == 1
    assert [(r["image"], r["question"], r["answer"]) for r in answered] == [
        (r["image"], r["question"], r["answer"]) for r in whole if "error" not in r
    ]


@contextmanager
def standing_still(folder: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that waits at the eleventh picture, a pipe, and has written the ten before it (19 lines) to --out."""
    taken = (folder / "10.jpg").read_bytes()
    (folder / "10.jpg").unlink()
    os.mkfifo(folder / "10.jpg")
    pictures = [str(path) for path in sorted(folder.iterdir())]
    process = subprocess.Popen(
        [*COMMAND, "--image", *pictures, *map(str, arguments)],
        stderr=subprocess.PIPE,
        # A job in the background of a script starts with Ctrl-C ignored, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    out = Path(arguments[arguments.index("--out") + 1])
    try:
        deadline = time.monotonic() + 60
        while not out.exists() or out.read_bytes().count(b"\n") < 19:
            assert process.poll() is None and time.monotonic() < deadline, "the run did not get to the pipe"
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()
        (folder / "10.jpg").unlink()
        (folder / "10.jpg").write_bytes(taken)


@needs_pipes
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_killed_run_goes_on_where_it_stopped(
    folder: Path, whole: list[dict[str, Any]], tmp_path: Path, jobs: str
) -> None:
    out = tmp_path / "out.jsonl"
    with standing_still(folder, "--out", out, "--jobs", jobs) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert records(out) == whole[:19]
    before = out.read_bytes()
    code, printed, err = run("--image", folder, "--out", out, "--jobs", jobs)
    assert (code, printed, err.count("\n")) == (1, "", 1) and "03.jpg" in err  # it was tried again
    assert records(out) == whole
    assert out.read_bytes().startswith(before)


@needs_pipes
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_an_interrupted_run_ends_at_once_and_keeps_what_is_answered(
    folder: Path, whole: list[dict[str, Any]], tmp_path: Path, jobs: str
) -> None:
    out = tmp_path / "out.jsonl"
    with standing_still(folder, "--out", out, "--jobs", jobs) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.decode().count("\n") == 1  # the damaged picture
    assert records(out) == whole[:19]


@needs_pipes
def test_two_runs_do_not_write_one_file(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    out = tmp_path / "out.jsonl"
    with standing_still(folder, "--out", out):
        before = out.read_bytes()
        for more in ([], ["--restart"]):
            code, _, err = run("--image", EXAMPLES[0], "--out", out, *more)
            assert (code, err.count("\n")) == (3, 1) and "another run is writing it" in err
        assert out.read_bytes() == before


@needs_pipes
def test_answers_are_printed_as_they_come(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waits.jpg")
    pictures = [*EXAMPLES * 2, tmp_path / "waits.jpg", *EXAMPLES]
    process = subprocess.Popen([*COMMAND, "--image", *pictures, "--json"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for picture in EXAMPLES * 2:
        for question in QUESTIONS:
            record = json.loads(process.stdout.readline())
            assert (record["image"], record["question"]) == (str(picture), question)
    assert process.poll() is None
    process.kill()
    process.communicate()


def cut(data: bytes, lines: int) -> bytes:
    """The first `lines` lines."""
    return b"".join(data.splitlines(keepends=True)[:lines])


@pytest.mark.parametrize(
    "rest", [b"{", b'{"image": "/a/b', b'{"image": "a", "question": "m\xc3', b"{\0\0\0", b"\0" * 99]
)
def test_a_line_that_was_cut_off_is_answered_again(
    folder: Path, whole: list[dict[str, Any]], tmp_path: Path, rest: bytes
) -> None:
    out = tmp_path / "whole.jsonl"
    kept = cut(out.read_bytes(), 12)
    out.write_bytes(kept + rest)
    assert run("--image", folder, "--out", out)[0] == 1
    assert records(out) == whole
    assert out.read_bytes().startswith(kept)


OTHERS = [b"hello", b"\xff\xd8\xff\xe0 a picture", b"hello\n", b"[]\n", b"{}\n", b"3\n"]


@pytest.mark.parametrize(
    ("content", "after"), [(b"\0" * 64, False), *((content, after) for content in OTHERS for after in (False, True))]
)
def test_a_file_of_something_else_is_refused_and_left_alone(
    folder: Path, whole: list[dict[str, Any]], tmp_path: Path, content: bytes, after: bool
) -> None:
    out = tmp_path / "whole.jsonl"
    content = (cut(out.read_bytes(), 4) if after else b"") + content
    out.write_bytes(content)
    code, printed, err = run("--image", folder, "--out", out)
    assert (code, printed, err.count("\n")) == (3, "", 1)
    assert f"line {5 if after else 1} is not an answer" in err and ("--restart" in err) == after
    assert out.read_bytes() == content
    assert run("--image", folder, "--out", out, "--restart")[0] == (1 if after else 3)
    if not after:
        assert out.read_bytes() == content
        return
    assert records(out) == whole


@pytest.mark.parametrize("content", [b'{"image": "a.jpg", "label": "pho"}', b"\xff\xd8\xff\xe0 a photograph"])
@pytest.mark.parametrize("ended", [b"", b"\n"])
@pytest.mark.parametrize("restart", [[], ["--restart"]])
def test_one_line_of_something_else_is_left_alone(
    folder: Path, tmp_path: Path, content: bytes, ended: bytes, restart: list[str]
) -> None:
    out = tmp_path / "theirs"
    out.write_bytes(content + ended)
    if restart and content.startswith(b"{"):
        pytest.skip("begins as a file of answers does: to be emptied")
    code, _, err = run("--image", folder / "00.jpg", "--out", out, *restart)
    assert (code, err.count("\n")) == (3, 1)
    assert out.read_bytes() == content + ended


def test_a_last_line_without_its_end_is_kept(folder: Path, whole: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "whole.jsonl"
    written = out.read_bytes()
    out.write_bytes(written[:-1])
    assert run("--image", folder, "--out", out)[0] == 1
    assert out.read_bytes() == written
    code, _, err = run("--image", folder, "--out", out, "--model", "tiny")
    assert code == 3 and "another model" in err


def test_nothing_is_emptied_when_no_question_can_be_asked(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert run("--image", folder / "00.jpg", "--out", out)[0] == 0
    written = out.read_bytes()
    command = [sys.executable, "-m", "edge_vqa.run", "--image", folder / "00.jpg", "--q", "", "--out", out, "--restart"]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 1
    assert out.read_bytes() == written


def test_a_link_to_nothing_is_an_error(folder: Path, tmp_path: Path) -> None:
    (folder / "99.jpg").symlink_to(tmp_path / "gone.jpg")
    code, _, err = run("--image", folder)
    assert code == 1 and "99.jpg: No such file" in err


def test_the_file_of_another_model_is_refused(folder: Path, whole: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "whole.jsonl"
    before = out.read_bytes()
    code, _, err = run("--image", folder, "--out", out, "--model", "tiny")
    assert (code, err.count("\n")) == (3, 1) and "another model (mobilenetv2-lstm-attention" in err
    out.write_bytes(before.replace(whole[0]["model_sha256"].encode(), b"0123456789abcdef"))  # of the same name
    assert run("--image", folder, "--out", out)[0] == 3
    out.write_bytes(before)
    assert run("--image", EXAMPLES[0], "--out", out, "--model", "tiny", "--restart")[0] == 0
    assert [record["model"] for record in records(out)] == ["tiny"] * 2


def test_only_what_is_not_answered_is_asked(folder: Path, whole: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "whole.jsonl"
    assert run("--image", folder, "--out", out)[:2] == (1, "")
    assert records(out) == whole  # nothing new, also not the error that is known
    shutil.copy(EXAMPLES[0], folder / "03.jpg")
    assert run("--image", folder, "--out", out) == (0, "", "")
    assert [(r["image"], r["question"]) for r in records(out)[len(whole) :]] == [
        (str(folder / "03.jpg"), question) for question in QUESTIONS
    ]
    size = len(records(out))
    assert run("--image", folder, EXAMPLES[0], "--q", "có tôm không", "--out", out) == (0, "", "")
    more = [(r["image"], r["question"]) for r in records(out)[size:]]
    assert more == [(str(folder / f"{n:02}.jpg"), "có tôm không") for n in range(20)] + [
        (str(EXAMPLES[0]), question) for question in [*QUESTIONS, "có tôm không"]
    ]


def test_pictures_and_questions_may_be_named_twice(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    picture = EXAMPLES[0]
    assert run("--image", picture, picture, "--q", QUESTIONS[0], "--out", out) == (0, "", "")
    assert [r["question"] for r in records(out)] == QUESTIONS * 2
    assert run("--image", picture, picture, "--out", out) == (0, "", "")
    assert len(records(out)) == 4


def test_file_names_that_are_not_utf8_come_back_from_the_lines(tmp_path: Path) -> None:
    picture = os.fsencode(tmp_path) + b"/caf\xe9 \xff.jpg"
    try:
        Path(os.fsdecode(picture)).write_bytes(EXAMPLES[0].read_bytes())
    except OSError:
        pytest.skip("this file system has only UTF-8 names")
    out = tmp_path / "out.jsonl"
    for _ in range(2):
        assert run("--image", tmp_path, "--out", out) == (0, "", "")
        assert [os.fsencode(record["image"]) for record in records(out)] == [picture] * 2
    code, printed, _ = run("--image", tmp_path, "--json")
    assert code == 0
    assert [os.fsencode(json.loads(line)["image"]) for line in printed.splitlines()] == [picture] * 2


def test_sub_folders_are_searched_when_asked(folder: Path) -> None:
    code, printed, err = run("--image", folder.parent, "--recursive", "--json")
    assert code == 1 and err.count("\n") == 1
    assert len(printed.splitlines()) == 38
    code, _, err = run("--image", folder.parent)
    assert code == 1 and "no pictures in this folder" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--out", "no/such/folder/out.jsonl"], 3, "out.jsonl: cannot be written (No such file or directory)"),
        (["--out", "."], 3, ".: cannot be written (Is a directory)"),
        (["--out", "/dev/null"], 3, "/dev/null: cannot be written (not a file"),
        (["--out", "out.jsonl", "--image", "-"], 2, "standard input"),
        (["--out", "out.jsonl", "--heatmap", "a.png"], 2, "--heatmap"),
        (["--restart"], 2, "--restart"),
        (["--jobs", "0"], 2, "must be 1 to 1024"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    got, printed, err = run("--image", EXAMPLES[0], *arguments, cwd=tmp_path, env=environment)
    assert (got, printed) == (code, "")
    assert says in err and "error: " in err.splitlines()[-1]


def test_a_bad_question_is_named_once_and_the_others_are_answered(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, _, err = run("--image", *EXAMPLES * 3, "--q", "?", "--out", out)
    assert (code, err) == (1, "error: the question is empty\n")
    assert [record["question"] for record in records(out)] == QUESTIONS * len(EXAMPLES) * 3


def test_a_full_disk_is_an_error_and_the_run_goes_on_later(
    folder: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "out.jsonl"
    limit = len((tmp_path / "whole.jsonl").read_bytes()) // 2
    code, _, err = run(
        "--image", folder, "--out", out,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert code == 3 and err.splitlines()[-1] == f"error: {out}: cannot be written (File too large)"
    assert run("--image", folder, "--out", out)[0] == 1
    assert records(out) == whole


def on_a_terminal(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, what went to standard output, and what was drawn on the terminal that standard error is."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    drawn = b""
    assert process.stdout is not None
    printed = process.stdout.read()
    try:
        while block := os.read(ours, 4096):
            drawn += block
    except OSError:  # the terminal has nobody any more
        pass
    os.close(ours)
    return process.wait(60), printed.decode(), drawn.decode()


def test_a_terminal_shows_how_far_it_is(folder: Path, tmp_path: Path) -> None:
    code, printed, drawn = on_a_terminal("--image", folder, "--out", tmp_path / "out.jsonl")
    assert (code, printed) == (1, "")
    assert "error: " in drawn and "Traceback" not in drawn
    last = drawn.rstrip().splitlines()[-1]
    assert "20/20" in last and "pictures/s" in last and "1 failed" in last
    code, printed, drawn = on_a_terminal("--image", folder, "--json")
    assert len(printed.splitlines()) == 38 and all(json.loads(line) for line in printed.splitlines())
    assert "20/20" in drawn


def test_nothing_is_shown_of_few_pictures_elsewhere_or_when_not_wanted(folder: Path) -> None:
    assert on_a_terminal("--image", *EXAMPLES)[2] == ""
    assert on_a_terminal("--image", folder, "--no-progress")[2].count("\n") == 1  # the damaged picture
    assert run("--image", folder)[2].count("\n") == 1
    code, _, err = run("--image", *EXAMPLES, "--progress")
    assert code == 0
    assert err.count("\n") == 1 and f"{len(EXAMPLES)}/{len(EXAMPLES)}" in err


def test_a_reader_of_many_answers_that_leaves_early_is_no_error(folder: Path) -> None:
    process = subprocess.Popen([*COMMAND, "--image", folder, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    assert process.wait(60) == 0
