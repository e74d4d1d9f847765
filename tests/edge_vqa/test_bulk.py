"""Many pictures at once: order, bounds, folders, and the progress that is shown."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from edge_vqa import VQA, Answer, EngineError, ImageError, QuestionError
from edge_vqa.bulk import AHEAD, answer_many, find_pictures
from edge_vqa.progress import Progress, duration

QUESTIONS = ["món này là món gì", "có tôm trong món này không"]
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))


def content(answer: Answer) -> Answer:
    """Everything but how long it took."""
    return answer._replace(timings={})


@pytest.fixture(scope="module")
def vqa() -> VQA:
    return VQA(threads=1)


def test_several_jobs_answer_as_one_question_after_the_other_does(vqa: VQA, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(EXAMPLES[0].read_bytes()[:3000])
    pictures = [*EXAMPLES, tmp_path / "bad.jpg", tmp_path / "none.jpg", *EXAMPLES, EXAMPLES[0].read_bytes()]
    expected = {picture: [content(vqa.ask(picture, q)) for q in QUESTIONS] for picture in EXAMPLES}
    expected[pictures[-1]] = expected[EXAMPLES[0]]
    for jobs in (1, 3):
        results = list(answer_many(vqa, pictures, QUESTIONS, jobs))
        assert [result.picture for result in results] == pictures
        for picture, answers, error in results:
            assert [content(answer) for answer in answers] == expected.get(picture, [])
            assert isinstance(error, ImageError) == (picture not in expected)
            assert error is None or picture.name in str(error)


def test_every_engine_answers_in_several_jobs() -> None:
    pytest.importorskip("onnxruntime")
    vqa = VQA(engine="onnx", threads=1)
    one, two = (
        [tuple(content(a) for a in result.answers) for result in answer_many(vqa, EXAMPLES, QUESTIONS, jobs)]
        for jobs in (1, 2)
    )
    assert one == two and len(one) == len(EXAMPLES)


def test_a_clone_outlives_what_it_was_made_of() -> None:
    vqa = VQA()
    clone = vqa.clone(2)
    scene, expected = vqa.look(EXAMPLES[0]), content(vqa.ask(EXAMPLES[0], QUESTIONS[0]))
    del vqa
    assert content(clone.ask(EXAMPLES[0], QUESTIONS[0])) == expected
    assert content(scene.ask(QUESTIONS[0])) == expected


def test_questions_may_be_any_iterable_but_one_text(vqa: VQA) -> None:
    results = list(answer_many(vqa, [EXAMPLES[0], EXAMPLES[1]], (q for q in ["mau gi", "co tom khong"]), jobs=1))
    assert [len(result.answers) for result in results] == [2, 2]
    with pytest.raises(QuestionError, match="as a list"):
        next(answer_many(vqa, [EXAMPLES[0]], "mau gi"))
    with pytest.raises(EngineError, match="-1 jobs"):
        next(answer_many(vqa, [EXAMPLES[0]], ["mau gi"], jobs=-1))


def test_a_question_that_is_none_is_refused_before_any_picture_is_taken(vqa: VQA) -> None:
    with pytest.raises(QuestionError):
        next(answer_many(vqa, iter(()), ["?"]))


class FakeVQA:
    """Calls `look` with every picture, in as many copies as are asked for; its answers are the pictures."""

    def __init__(self, look: Any) -> None:
        self.look_at, self.clones = look, 0
        self.model = SimpleNamespace(vocabulary=SimpleNamespace(encode=lambda question: None))

    def clone(self, threads: int) -> FakeVQA:
        self.clones += 1
        return FakeVQA(self.look_at)

    def look(self, picture: Any) -> Any:
        self.look_at(picture)
        return SimpleNamespace(ask=lambda question, top: picture)


def ask_fake(look: Any, pictures: Any, jobs: int) -> Any:
    return answer_many(FakeVQA(look), pictures, ["gì"], jobs)  # type: ignore[arg-type]


def test_as_many_pictures_as_jobs_are_under_way_at_once() -> None:
    meeting = threading.Barrier(3, timeout=30)
    results = list(ask_fake(lambda picture: meeting.wait(), range(9), 3))
    assert [result.answers for result in results] == [(n,) for n in range(9)]


def test_results_keep_their_order_when_the_first_takes_longest() -> None:
    last_seen = threading.Event()

    def look(picture: int) -> None:
        if picture == 0:
            assert last_seen.wait(30)
        elif picture == 2 * AHEAD - 1:
            last_seen.set()

    assert [result.picture for result in ask_fake(look, range(50), 2)] == list(range(50))


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_pictures_are_taken_than_needed(jobs: int) -> None:
    taken = 0

    def pictures() -> Iterator[int]:
        nonlocal taken
        for picture in range(10_000):
            taken += 1
            yield picture

    results = ask_fake(lambda picture: None, pictures(), jobs)
    for given in range(1, 2000):
        next(results)
        assert taken - given < jobs * AHEAD
    results.close()
    assert taken < 2000 + jobs * AHEAD


def test_an_engine_that_fails_ends_the_work() -> None:
    def look(picture: int) -> None:
        if picture == 5:
            raise RuntimeError("the engine failed")

    with pytest.raises(RuntimeError, match="the engine failed"):
        list(ask_fake(look, range(100), 2))


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_pictures_of_a_folder_come_in_order_and_those_of_sub_folders_after_them(tmp_path: Path) -> None:
    names = [
        "b.JPG",
        "món.png",
        "a.webp",
        "a/z.jpg",
        "a/b/c.jpg",
        "a.d/x.jpg",
        "notes.txt",
        "no_ending",
        "x.jpg/in.jpg",
    ]
    touch(*(tmp_path / name for name in names))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "waits.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "round").symlink_to(tmp_path, target_is_directory=True)

    def found(recursive: bool) -> list[str]:
        pairs = list(find_pictures(str(tmp_path), recursive))
        assert all(name == path for name, path in pairs)
        return [os.path.relpath(name, tmp_path) for name, _ in pairs]

    top = ["a.webp", "b.JPG", "gone.jpg", "món.png"]  # a link to nothing is for the reader to complain about
    assert found(False) == top
    assert found(True) == [*top, "a/z.jpg", "a/b/c.jpg", "a.d/x.jpg", "x.jpg/in.jpg"]


def test_folders_without_pictures_or_that_cannot_be_read_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "empty" / "text.txt", tmp_path / "locked" / "a.jpg")
    [(name, error)] = find_pictures(str(tmp_path), False)
    assert name == str(tmp_path) and "no pictures in this folder" in str(error)
    assert len(list(find_pictures(str(tmp_path), True))) == 1
    scandir = os.scandir

    def refuse(folder: str) -> Any:
        if folder.endswith("locked"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    touch(tmp_path / "z.jpg")
    (picture, _), (name, error) = find_pictures(str(tmp_path), True)
    assert picture == str(tmp_path / "z.jpg")
    assert isinstance(error, ImageError) and str(error) == f"{tmp_path / 'locked'}: Permission denied"
    [(name, error)] = find_pictures(str(tmp_path / "locked"), False)
    assert str(error) == f"{tmp_path / 'locked'}: Permission denied"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that Progress sees: a list of one number."""
    now = [100.0]
    monkeypatch.setattr("edge_vqa.progress.time.monotonic", lambda: now[0])
    return now


def counted(stream: io.StringIO, total: int) -> Progress:
    progress = Progress(stream, lambda: total)
    for thread in threading.enumerate():
        if thread.name == "edge_vqa-count":
            thread.join(30)
    return progress


def test_progress_says_speed_time_left_and_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock(monkeypatch)
    progress = counted(Terminal(), 1000)
    for _ in range(400):
        progress.skip()
    for number in range(200):
        progress.step(failed=number % 50 == 0)
    now[0] += 10
    assert progress.text() == f"[{'#' * 14}{'.' * 10}]  600/1000  20.0 pictures/s  0:20 left  4 failed"


def test_a_terminal_is_drawn_on_now_and_then_and_made_room_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now, stream = clock(monkeypatch), Terminal()
    progress = counted(stream, 3)
    progress.step()
    assert stream.getvalue() == ""
    now[0] += 1
    progress.step()
    drawn = stream.getvalue()
    assert drawn.startswith("\r[") and "2/3" in drawn and "\n" not in drawn
    progress.clear()
    assert stream.getvalue()[len(drawn) :] == "\r" + " " * (len(drawn) - 1) + "\r"
    progress.clear()
    progress.step()
    progress.close()
    assert stream.getvalue().endswith("3/3  3.0 pictures/s in 0:01\n")


def test_elsewhere_a_line_is_written_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, stream = clock(monkeypatch), io.StringIO()
    progress = counted(stream, 50)
    for _ in range(25):
        now[0] += 1
        progress.step()
    progress.close()
    assert stream.getvalue().splitlines() == [
        "10/50  1.0 pictures/s  0:40 left",
        "20/50  1.0 pictures/s  0:30 left",
        "25/50  1.0 pictures/s in 0:25",
    ]


def test_durations() -> None:
    assert [duration(s) for s in (0, 6.6, 61, 3600 * 27 + 62)] == ["0:00", "0:07", "1:01", "27:01:02"]


def test_pictures_in_memory_are_answered_too(vqa: VQA) -> None:
    picture = Image.open(EXAMPLES[0])
    [result] = answer_many(vqa, [picture], QUESTIONS)
    assert result.picture is picture and result.answers[0].text == "cà rốt"
