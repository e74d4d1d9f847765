"""The part that answers, by the question's words, with attention and without: the reference's bits, then the time."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.suite.conftest import Tell
from bench.suite.engines import ProfiledEngine
from bench.suite.layers import Filter
from bench.suite.networks import Head, make_network
from edge_vqa.engines.reference import ReferenceEngine
from edge_vqa.evqa_tensors import load_tensors

CELLS, CHANNELS = 7, 256
HEADS = {
    "attention": Head(),
    "no-attention": replace(Head(), attention=False),
    "tiny": Head(embedding=64, hidden=128, joint=192),
}
"""The released models' sizes."""


@pytest.mark.parametrize("words", [1, 5, 10, 20, 64])
@pytest.mark.parametrize("head", HEADS)
def test_answer(benchmark: Any, tell: Tell, head: str, words: int, level: str, tmp_path: Path) -> None:
    path = tmp_path / "head.evqa"
    make_network(path, CELLS, [Filter(False, 1, 1, CHANNELS)], HEADS[head])
    engine, pixels = ProfiledEngine(path, level), os.urandom(CELLS * CELLS * 3)
    ids = [random.Random(words).randrange(HEADS[head].words) for _ in range(words)]
    scene, plain = engine.encode(pixels), ReferenceEngine(load_tensors(path))
    got, wanted = engine.answer(scene, ids), plain.answer(plain.encode(pixels), ids)
    assert [list(values) for values in got] == [list(values) for values in wanted]
    tell(f"answer, {level}", level=level, threads=1, words=words)
    benchmark(engine.answer, scene, ids)
