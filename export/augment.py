"""How pictures are changed in training, with the boxes on them: crops, turns, mirroring, light, patches, blending."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .data import Box
from .torchvision_import import transforms


@dataclass(frozen=True)
class Augment:
    """How far views differ from the picture. Without boxes, leave crop at 1 and mirror off: answers could change."""

    crop: float = 1.0
    """Smallest share of the picture's area that a crop keeps."""
    mirror: bool = False
    light: float = 0.0
    """Brightness, contrast and saturation are each multiplied by 1 - light to 1 + light."""
    rotate: float = 0.0
    """Half of the views are turned by up to so many degrees either way."""
    erase: float = 0.0
    """Share of views with a grey patch, laid where it hides no more than a third of any labelled thing."""
    blend: float = 0.0
    """Another picture shines through by up to this share in half of the views."""
    rephrase: float = 0.0
    """Share of questions that are asked in another way (see phrasing)."""
    lose_words: float = 0.0
    off_topic: float = 0.0
    """Share of views that come with one question that has no answer (see phrasing)."""
    fresh_negatives: float = 0.0
    """Share of có/không questions with the answer không that ask about another absent thing each epoch."""


@dataclass
class View:
    """A crop in fractions of the picture, perhaps mirrored, and the boxes as seen through it."""

    x0: float = 0.0
    y0: float = 0.0
    x1: float = 1.0
    y1: float = 1.0
    mirrored: bool = False
    degrees: float = 0.0
    """Counter-clockwise turn of the picture about its centre, before the crop."""

    @classmethod
    def draw(cls, augment: Augment, rng: random.Random) -> View:
        area = rng.uniform(augment.crop, 1.0)
        ratio = rng.uniform(-0.25, 0.25) * min(1.0, (1 - augment.crop) * 4)
        width = min(1.0, (area * 2.0**ratio) ** 0.5)
        height = min(1.0, area / width)
        x0, y0 = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        mirrored = augment.mirror and rng.random() < 0.5
        degrees = rng.uniform(-augment.rotate, augment.rotate) if augment.rotate and rng.random() < 0.5 else 0.0
        return cls(x0, y0, x0 + width, y0 + height, mirrored, degrees)

    def see(self, box: Box) -> tuple[Box | None, float]:
        """The box in the view's own fractions, and the share of its area that is in view.

        Under a turn a box keeps its size and its centre moves, which is close enough for small angles.
        """
        if self.degrees:
            box = self._turned(box)
        x0, x1 = max(box.x0, self.x0), min(box.x1, self.x1)
        y0, y1 = max(box.y0, self.y0), min(box.y1, self.y1)
        area = (box.x1 - box.x0) * (box.y1 - box.y0)
        if x1 <= x0 or y1 <= y0 or area <= 0:
            return None, 0.0
        width, height = self.x1 - self.x0, self.y1 - self.y0
        left, right = (x0 - self.x0) / width, (x1 - self.x0) / width
        if self.mirrored:
            left, right = 1 - right, 1 - left
        seen = Box(box.label, left, (y0 - self.y0) / height, right, (y1 - self.y0) / height)
        return seen, (x1 - x0) * (y1 - y0) / area

    def _turned(self, box: Box) -> Box:
        a = math.radians(self.degrees)
        x, y = (box.x0 + box.x1) / 2 - 0.5, (box.y0 + box.y1) / 2 - 0.5
        dx, dy = x * math.cos(a) + y * math.sin(a) - x, y * math.cos(a) - x * math.sin(a) - y
        return Box(box.label, box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy)

    def cut(self, picture: Tensor, side: int) -> Tensor:
        """[3, side, side] uint8: the view of a [3, h, w] uint8 picture."""
        if self.degrees:
            bilinear = transforms.InterpolationMode.BILINEAR
            picture = transforms.rotate(picture, self.degrees, interpolation=bilinear)
        h, w = picture.shape[-2:]
        top, left = round(self.y0 * h), round(self.x0 * w)
        height, width = max(1, round(self.y1 * h) - top), max(1, round(self.x1 * w) - left)
        cut = transforms.resized_crop(picture, top, left, height, width, [side, side], antialias=True)
        return transforms.horizontal_flip(cut) if self.mirrored else cut


def erase(pixels: Tensor, boxes: list[Box], rng: random.Random) -> Tensor:
    """Lay a grey patch (2 to 12 % of the area) on [3,S,S], unless it would hide a third of a box."""
    side = pixels.shape[-1]
    area, ratio = rng.uniform(0.02, 0.12), 2.0 ** rng.uniform(-1, 1)
    width, height = min(0.9, (area * ratio) ** 0.5), min(0.9, (area / ratio) ** 0.5)
    x0, y0 = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    patch = View(x0, y0, x0 + width, y0 + height)
    if any(patch.see(b)[1] > 1 / 3 for b in boxes):
        return pixels
    pixels = pixels.clone()
    pixels[:, int(y0 * side) : int((y0 + height) * side), int(x0 * side) : int((x0 + width) * side)] = rng.randint(
        60, 200
    )
    return pixels


def coverage(boxes: Iterable[Box], cells: int) -> np.ndarray:
    """[cells, cells] float32: the share of each cell that the boxes cover (the largest single box counts)."""
    edges = np.arange(cells + 1, dtype=np.float32) / cells
    covered = np.zeros((cells, cells), np.float32)
    for b in boxes:
        x = np.clip(np.minimum(edges[1:], b.x1) - np.maximum(edges[:-1], b.x0), 0, None) * cells
        y = np.clip(np.minimum(edges[1:], b.y1) - np.maximum(edges[:-1], b.y0), 0, None) * cells
        np.maximum(covered, y[:, None] * x[None, :], out=covered)
    return covered


def blend(pixels: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Half of [B,3,H,W] get up to `most` of a neighbour in the batch mixed in; what is asked about stays in front."""
    if not most:
        return pixels
    share = most * torch.rand(len(pixels), 1, 1, 1, generator=generator)
    share = (share * (torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.5)).to(pixels)
    return pixels * (1 - share) + pixels.roll(1, 0) * share


def relight(pixels: Tensor, light: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation of each picture of [B,3,H,W] (0 to 255, float) changed at random."""
    if not light:
        return pixels
    b, c, s = (1 + light * (2 * torch.rand(3, len(pixels), 1, 1, 1, generator=generator) - 1)).to(pixels.device)
    pixels = pixels * b
    mean = pixels.mean((1, 2, 3), keepdim=True)
    grey = pixels.mean(1, keepdim=True)
    return ((pixels - grey) * (c * s) + (grey - mean) * c + mean).clamp(0, 255)
