"""The picture with what the model looked at laid over it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops

from .errors import ModelError


def draw_heatmap(picture: Image.Image, attention: Sequence[Sequence[float]] | None) -> Image.Image:
    """The RGB picture, dimmed where the model did not look and warm where it did.

    `attention` is Answer.attention. Raises ModelError when it is None: a model without attention looks everywhere.
    """
    if attention is None:
        raise ModelError("this model has no attention, so there is no heatmap to draw")
    peak = max(max(row) for row in attention) or 1.0
    small = Image.new("L", (len(attention[0]), len(attention)))
    small.putdata([round(255 * (value / peak) ** 0.7) for row in attention for value in row])
    weight = small.resize(picture.size, Image.Resampling.BICUBIC)
    dimmed = picture.convert("L").point(lambda v: v * 0.6).convert("RGB")
    warm = ImageChops.screen(picture.convert("RGB"), Image.new("RGB", picture.size, (90, 20, 0)))
    return Image.composite(warm, dimmed, weight)
