"""Figures of merit on hand-worked examples."""

import math

import pytest
import torch

from export.data import Box, Dataset, Example, Scene
from export.metrics import baselines, confusion, fit_temperature, pointing_game, reliability, summary
from export.scoring import Predictions

ANSWERS = ["có", "không", "phở", "bún"]


def predictions(rows: list[tuple[str, str, str, list[float]]], looked: torch.Tensor | None = None) -> Predictions:
    examples = [Example(str(n), f"{n}.jpg", q, a, k) for n, (k, q, a, _) in enumerate(rows)]
    logits = torch.tensor([r[3] for r in rows])
    truth = torch.tensor([ANSWERS.index(a) if a in ANSWERS else -1 for _, _, a, _ in rows])
    return Predictions(
        examples,
        logits,
        torch.zeros(len(rows)),
        torch.full((len(rows), 2, 2), 0.25) if looked is None else looked,
        truth,
    )


def test_summary_by_hand() -> None:
    p = predictions([
        ("yesno", "q", "có", [math.log(3), 0.0, -99, -99]),  # right, probability 3/4
        ("yesno", "q", "không", [math.log(3), 0.0, -99, -99]),  # wrong, truth has 1/4
        ("name", "q", "phở", [-99, -99, math.log(3), 0.0]),  # right
        ("count", "q", "phở", [-99, -99, 0.0, math.log(3)]),  # wrong
    ])  # fmt: skip
    s = summary(p)
    assert s["accuracy"] == 0.5
    assert s["loss"] == pytest.approx((2 * -math.log(0.75) + 2 * -math.log(0.25)) / 4, abs=1e-5)
    assert s["calibration_error"] == pytest.approx(0.25, abs=1e-5)
    assert s["accuracy_by_kind"] == {"count": 0.0, "name": 1.0, "yesno": 0.5}
    assert s["accuracy_report_kinds"] == pytest.approx(2 / 3)
    assert reliability(p, 1.0) == [{"confidence": pytest.approx(0.75), "accuracy": 0.5, "questions": 4}]


def test_an_answer_the_model_lacks_counts_as_wrong() -> None:
    p = predictions([("name", "q", "cháo", [9.0, 0, 0, 0]), ("name", "q", "có", [9.0, 0, 0, 0])])
    assert summary(p)["accuracy"] == 0.5


def test_temperature_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(4000, 4, generator=generator) * 2
    truth = torch.multinomial(honest.softmax(-1), 1, generator=generator).squeeze(1)
    examples = [Example("", "", "", ANSWERS[t]) for t in truth.tolist()]
    p = Predictions(examples, honest * 1.7, torch.zeros(4000), torch.zeros(4000, 1, 1), truth)
    assert fit_temperature(p) == pytest.approx(1.7, abs=0.12)


def test_baselines_by_hand() -> None:
    train = [
        Example("", "", q, a) for q, a in [("x", "có"), ("x", "có"), ("x", "không"), ("món gì", "phở"), ("y", "có")]
    ]
    test = [Example("", "", q, a) for q, a in [("x", "không"), ("mon gi", "phở"), ("z", "có"), ("y", "không")]]
    assert baselines(train, test) == {"majority": 0.25, "question_only": 0.5}


def test_confusion_counts() -> None:
    p = predictions([
        ("name", "q", "phở", [0, 0, 5.0, 0]),
        ("name", "q", "phở", [0, 0, 0, 5.0]),
        ("name", "q", "bún", [5.0, 0, 0, 0]),
        ("yesno", "q", "có", [5.0, 0, 0, 0]),
    ])  # fmt: skip
    labels, counts = confusion(p, ANSWERS)
    assert labels == ["phở", "bún", "khác"]
    assert counts.tolist() == [[1, 1, 0], [0, 0, 1]]


def test_pointing_game_by_hand() -> None:
    rows = [("presence", "trong ảnh có tôm không", "có", [0.0] * 4)] * 2 + [("name", "món này là gì", "phở", [0.0] * 4)]
    looked = torch.tensor([[[0.7, 0.1], [0.1, 0.1]], [[0.1, 0.7], [0.1, 0.1]], [[1.0, 0], [0, 0]]])
    scenes = {f"{n}.jpg": Scene("phở", "s", (Box("tôm", 0.0, 0.0, 0.4, 0.4),)) for n in range(3)}
    result = pointing_game(predictions(rows, looked), Dataset("d", {}, {}, scenes))
    assert result == {"accuracy": 0.5, "chance": 0.25, "questions": 2}
