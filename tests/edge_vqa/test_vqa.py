"""The bundled model through the Python interface, on the pictures of examples/."""

import math
import threading
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_vqa import VQA, Answer, EngineError, ModelError, QuestionError
from edge_vqa.engines import default_threads
from edge_vqa.question import strip_accents

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTIONS = ["món này là món gì", "màu chủ đạo là gì", "có tôm trong món này không", "đây có phải là cà rốt không"]


@pytest.fixture(scope="module")
def vqa() -> VQA:
    return VQA()


def test_an_answer_is_complete(vqa: VQA) -> None:
    answer = vqa.ask(EXAMPLES / "ca_rot.jpg", "món này là món gì")
    assert isinstance(answer, Answer)
    assert answer.text in vqa.model.answers
    assert str(answer) == answer.text
    assert 0 < answer.confidence <= 1
    assert len(answer.alternatives) == 2
    probabilities = [answer.confidence, *(p for _, p in answer.alternatives)]
    assert probabilities == sorted(probabilities, reverse=True)
    assert answer.attention is not None
    attention = np.array(answer.attention)
    assert attention.shape == (vqa.model.cells,) * 2
    assert math.isclose(attention.sum(), 1, abs_tol=1e-4)
    assert answer.understood
    assert set(answer.timings) == {"decode", "look", "answer"}


@pytest.mark.parametrize(
    ("picture", "question", "expected"),
    [
        ("ca_rot.jpg", "món này là món gì", "cà rốt"),
        ("dua_hau.jpg", "món này là món gì", "dưa hấu"),
        ("chuoi.jpg", "món này là món gì", "chuối"),
        ("chuoi.jpg", "màu chủ đạo là gì", "vàng"),
        ("trung_luoc.jpg", "đây có phải là trứng luộc không", "có"),
        ("trung_luoc.jpg", "đây có phải là dưa hấu không", "không"),
    ],
)
def test_the_drawn_examples_are_recognised(vqa: VQA, picture: str, question: str, expected: str) -> None:
    assert vqa.ask(EXAMPLES / picture, question).text == expected


def test_the_small_model_is_small_and_knows_them_too() -> None:
    tiny = VQA("tiny")
    assert Path(tiny.model.path).stat().st_size < 1_500_000
    for picture, expected in (("ca_rot.jpg", "cà rốt"), ("dua_hau.jpg", "dưa hấu"), ("chuoi.jpg", "chuối")):
        assert tiny.ask(EXAMPLES / picture, "món này là món gì").text == expected


def test_asking_again_without_looking_again_gives_the_same(vqa: VQA) -> None:
    scene = vqa.look(EXAMPLES / "dua_hau.jpg")
    for question in QUESTIONS:
        again, direct = scene.ask(question), vqa.ask(EXAMPLES / "dua_hau.jpg", question)
        assert (again.text, again.confidence, again.attention) == (direct.text, direct.confidence, direct.attention)


@pytest.mark.parametrize("question", QUESTIONS)
def test_however_it_is_typed_the_answer_is_the_same(vqa: VQA, question: str) -> None:
    scene = vqa.look(EXAMPLES / "to_bun.jpg")
    clean = scene.ask(question)
    for typed in (strip_accents(question), unicodedata.normalize("NFD", question), question.upper(), f" {question} ?"):
        assert scene.ask(typed).alternatives == clean.alternatives
        assert scene.ask(typed).text == clean.text


def test_the_number_of_alternatives_follows_top(vqa: VQA) -> None:
    scene = vqa.look(EXAMPLES / "to_bun.jpg")
    assert scene.ask(QUESTIONS[0], top=1).alternatives == ()
    everything = scene.ask(QUESTIONS[0], top=10_000)
    assert len(everything.alternatives) == len(vqa.model.answers) - 1
    assert math.isclose(everything.confidence + sum(p for _, p in everything.alternatives), 1, abs_tol=1e-6)


def test_an_off_topic_question_says_that_it_was_not_understood(vqa: VQA) -> None:
    answer = vqa.ask(EXAMPLES / "to_bun.jpg", "tổng thống Mỹ năm 1990 tên họ đầy đủ ra sao")
    assert not answer.understood
    assert "1990" in answer.unknown_words


def test_errors_are_typed(vqa: VQA) -> None:
    scene = vqa.look(Image.new("RGB", (5, 5)))
    with pytest.raises(QuestionError):
        scene.ask("  ")
    with pytest.raises(ModelError):
        VQA("no-such-model")
    with pytest.raises(EngineError, match="no such engine"):
        VQA(engine="abacus")
    with pytest.raises(EngineError, match="threads"):
        VQA(threads=0)


def test_several_threads_share_one_model(vqa: VQA) -> None:
    expected = vqa.ask(EXAMPLES / "ca_rot.jpg", QUESTIONS[0]).confidence
    seen: list[float] = []
    threads = [
        threading.Thread(
            target=lambda: seen.extend(vqa.ask(EXAMPLES / "ca_rot.jpg", QUESTIONS[0]).confidence for _ in range(5))
        )
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == [expected] * 20


def test_default_threads_are_between_one_and_four() -> None:
    assert 1 <= default_threads() <= 4
