"""The bundled model on real photographs, where they are at hand."""

import csv
import random
import unicodedata

import pytest
from tiny_data import VNFOOD, needs_vnfood

from edge_vqa import VQA
from edge_vqa.question import strip_accents

pytestmark = needs_vnfood


@pytest.fixture(scope="module")
def asked() -> list[tuple[dict[str, str], dict[str, str]]]:
    """Validation rows with the answers to the clean question and to it typed in three other ways."""
    vqa = VQA()
    with (VNFOOD / "val.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    pictures = sorted({r["image"] for r in rows})
    scenes = {name: vqa.look(VNFOOD / "images" / name) for name in random.Random(0).sample(pictures, 120)}
    ways = {
        "clean": str,
        "without accents": strip_accents,
        "nfd": lambda q: unicodedata.normalize("NFD", q),
        "upper": str.upper,
    }
    return [
        (row, {way: scenes[row["image"]].ask(change(row["question"])).text for way, change in ways.items()})
        for row in rows
        if row["image"] in scenes
    ]


def test_most_answers_are_right(asked) -> None:
    right = [answers["clean"] == row["answer"] for row, answers in asked]
    assert sum(right) / len(right) > 0.83


def test_it_looks_rather_than_guesses(asked) -> None:
    """có/không questions are balanced, so an answer that ignores the picture is right half of the time."""
    right = [answers["clean"] == row["answer"] for row, answers in asked if row["kind"] in ("presence", "yesno")]
    assert sum(right) / len(right) > 0.85


def test_however_a_question_is_typed_the_answer_is_the_same(asked) -> None:
    assert [row["id"] for row, answers in asked if len(set(answers.values())) > 1] == []
