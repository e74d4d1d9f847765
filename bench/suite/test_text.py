"""From a question as typed to word ids: the ids of its plain spelling, then the time."""

from __future__ import annotations

from typing import Any

import pytest

from bench.suite.conftest import Tell
from edge_vqa.model_file import load_model

PLAIN = "mon nay la mon gi"
SPELLINGS = {
    "accents": "Món này là món gì?",
    "plain": PLAIN,
    "decomposed": "Mo\u0301n na\u0300y la\u0300 mo\u0301n gi\u0300?",
    "telex": "mons nayf laf mons gif",
    "slip": "mon nay la mon gi co khogn",
}
WORDS = {"slip": f"{PLAIN} co khong"}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_question(benchmark: Any, tell: Tell, spelling: str) -> None:
    vocabulary = load_model().vocabulary
    found = vocabulary.encode(SPELLINGS[spelling])
    assert found.ids == vocabulary.encode(WORDS.get(spelling, PLAIN)).ids
    assert not found.unknown
    tell("question to word ids", words=len(found.ids))
    benchmark(vocabulary.encode, SPELLINGS[spelling])
