"""Asking the same in another way never changes what is asked."""

import collections
import random

import pytest
from tiny_data import VNFOOD, needs_vnfood

from edge_vqa.question import Vocabulary, split_words
from export import phrasing
from export.augment import Augment
from export.data import load_dataset
from export.train import build_vocabulary
from export.views import Pictures, Views


@pytest.mark.parametrize(
    ("kind", "question", "thing"),
    [
        ("presence", "trong món này có thịt heo quay không", "thịt heo quay"),
        ("presence", "có trứng trong ảnh không", "trứng"),
        ("yesno", "đây có phải là món bún bò Huế không", "bún bò Huế"),
        ("colour", "màu chủ đạo của hủ tiếu là gì", "hủ tiếu"),
        ("side", "cơm ở bên trái hay bên phải", "cơm"),
        ("count", "có bao nhiêu con tôm trong ảnh", "con tôm"),
        ("where", "món ở phía trên là gì", "phía trên"),
        ("name", "món này là gì", None),
        ("colour", "món này có màu gì", None),
    ],
)
def test_a_question_is_taken_apart_and_put_together_again(kind: str, question: str, thing: str | None) -> None:
    asked = phrasing.parse(kind, question)
    assert asked is not None
    assert asked.thing == thing
    rng = random.Random(1)
    ways = {phrasing.ask(asked, rng, synonyms=False) for _ in range(300)}
    assert len(ways) > 8
    if thing is not None and kind != "where":
        assert all(thing in way for way in ways)


@needs_vnfood
def test_no_way_of_asking_gives_its_answer_away() -> None:
    """có/không questions made for training: every wording, its thing taken out, is asked about as often with either."""
    dataset = load_dataset(VNFOOD)
    pictures = Pictures({}, [], 8)
    pictures.names = dataset.images("train")
    augment = Augment(rephrase=0.0, fresh_negatives=0.6)
    views = Views(dataset, "train", pictures, Vocabulary(build_vocabulary(dataset)), dataset.answers(), augment, 8, 0)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    rng = random.Random(0)
    for e in dataset.splits["train"]:
        if e.kind not in ("presence", "yesno"):
            continue
        question = e.question
        if e.answer == "không" and rng.random() < 0.6:
            question = views.negatives.draw(e.kind, question, dataset.scenes[e.image], rng)
        asked = phrasing.parse(e.kind, question)
        counts[question.replace(asked.thing, "X")][e.answer] += 1
    for wording, answers in counts.items():
        assert 0.4 < answers["có"] / answers.total() < 0.6, (wording, answers)


def test_unknown_shapes_are_left_alone() -> None:
    rng = random.Random(0)
    assert phrasing.rephrase("any", "is there a red shape?", rng) == "is there a red shape?"
    assert phrasing.rephrase("name", "câu hỏi lạ", rng) == "câu hỏi lạ"


def test_left_stays_left() -> None:
    rng = random.Random(2)
    for _ in range(300):
        text = phrasing.rephrase("where", "món ở bên trái là gì", rng)
        assert "trái" in text
        assert "phải" not in text


def test_unheard_ways_are_not_heard_in_training() -> None:
    heard = {tuple(split_words(t)) for t in phrasing.every_text()}
    for kind, question in (
        ("name", "đây là món gì"),
        ("presence", "món này có tôm không"),
        ("side", "cơm ở bên trái hay bên phải"),
    ):
        for seed in range(40):
            text = phrasing.rephrase_unheard(kind, question, random.Random(seed))
            thing = phrasing.parse(kind, question).thing
            assert tuple(split_words(text.replace(thing, " ") if thing else text)) not in heard


def test_every_template_is_complete() -> None:
    for text in phrasing.every_text():
        assert "{" not in text
        assert split_words(text)


@needs_vnfood
def test_every_vnfood_question_has_a_known_shape() -> None:
    dataset = load_dataset(VNFOOD)
    assert [e.question for e in dataset.splits["train"] if phrasing.parse(e.kind, e.question) is None] == []
