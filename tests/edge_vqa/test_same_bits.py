"""Every engine gives the answers of tests/golden to the last bit. tests/golden/make.py writes those."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("numpy")
import same_bits


@pytest.mark.parametrize("model", same_bits.MODELS)
@pytest.mark.parametrize("engine", same_bits.ENGINES)
def test_the_same_bits(engine: str, model: str, tmp_path: Path) -> None:
    path = same_bits.model_path(model, tmp_path)
    got, expected = same_bits.answers(same_bits.ENGINES[engine](path), path), same_bits.golden(model)
    assert got["model"] == expected["model"], "another model file: run tests/golden/make.py if that is on purpose"
    for picture, result in expected["pictures"].items():
        for what, value in result.items():
            assert got["pictures"][picture][what] == value, f"{what} of {picture}"
    assert got == expected


def test_there_is_a_golden_file_for_every_model() -> None:
    assert {p.stem for p in same_bits.GOLDEN.glob("*.json")} == set(same_bits.MODELS)
