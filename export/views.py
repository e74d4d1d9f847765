"""What the network is shown in training: a picture cropped, mirrored and relit, and questions that fit that view.

Boxes make this honest: a question is kept only while what it asks about is still in view, left and right change places
with a mirrored picture, and the same boxes say where the network should look. Every view is drawn from a generator
seeded by (seed, epoch, picture), so a run that was interrupted, or spread over processes, sees the same views.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from edge_vqa.image import load_image, to_pixels
from edge_vqa.question import UNKNOWN, Vocabulary

from . import phrasing
from .data import Box, Dataset, Example, Scene
from .torchvision_import import transforms

MIRRORED = {"bên trái": "bên phải", "bên phải": "bên trái"}
_SAUCES = ("nước mắm", "nước tương")
_SPATIAL = ("where", "side", "count", "tray")


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
    """Share of views with a grey patch, laid where it hides no labelled thing."""
    blend: float = 0.0
    """Another picture shines through by up to this share in half of the views."""
    rephrase: float = 0.0
    """Share of questions that are asked in another way (see phrasing)."""
    lose_words: float = 0.0
    off_topic: float = 0.0
    """Share of views that come with one question that has no answer (see phrasing)."""
    fresh_negatives: float = 0.0
    """Share of có/không questions with the answer không that ask about another absent thing each epoch."""


class Pictures:
    """Pictures decoded once and kept as [3, side, side] uint8 in memory (0.8 GB for 4,000 at 256)."""

    def __init__(self, paths: dict[str, Path], names: Iterable[str], side: int) -> None:
        self.names = list(names)
        self.side = side
        self.pixels = torch.empty(len(self.names), 3, side, side, dtype=torch.uint8)
        for n, name in enumerate(self.names):
            self.pixels[n] = torch.from_numpy(np.array(to_pixels(load_image(paths[name], side), side))).permute(2, 0, 1)


@dataclass(frozen=True)
class Row:
    """One question about a view; `focus` is the label that the question or its answer names, where boxes know it."""

    ids: list[int]
    answer: int
    focus: str | None = None


@dataclass(frozen=True)
class Labels:
    """Names that the box supervision learns, fixed by the training split."""

    things: tuple[str, ...]
    dishes: tuple[str, ...]
    known: dict[str, frozenset[str]]
    """For each source, the labels that its annotators used: the others' absence means nothing."""

    @classmethod
    def of(cls, dataset: Dataset) -> Labels:
        scenes = [dataset.scenes[i] for i in dataset.images("train") if i in dataset.scenes]
        things = sorted({b.label for s in scenes for b in s.boxes})
        known = {
            s.source: frozenset(b.label for t in scenes if t.source == s.source for b in t.boxes)
            for s in _one_each(scenes)
        }
        return cls(tuple(things), tuple(sorted({s.dish for s in scenes if s.dish})), known)

    @cached_property
    def thing_ids(self) -> dict[str, int]:
        return {t: i for i, t in enumerate(self.things)}

    @cached_property
    def dish_ids(self) -> dict[str, int]:
        return {d: i for i, d in enumerate(self.dishes)}

    @cached_property
    def known_masks(self) -> dict[str, Tensor]:
        return {s: torch.tensor([float(t in names) for t in self.things]) for s, names in self.known.items()}


def _one_each(scenes: list[Scene]) -> Iterator[Scene]:
    return iter({s.source: s for s in scenes}.values())


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


def focus_label(kind: str, question: str, answer: str, labels: Iterable[str]) -> str | None:
    """The box label that the question points at: what it names, or for 'where' what the answer names."""
    present = set(labels)
    if kind == "where":
        return answer if answer in present else None
    asked = phrasing.parse(kind, question)
    thing = asked.thing if asked else None
    if kind == "count" and thing is not None and thing not in present:
        thing = thing.partition(" ")[2]
    if thing in present and (kind in ("side", "count", "colour") or answer == "có"):
        return thing
    return None


class Views(TorchDataset[tuple[Tensor, list[Row], list[Box], Scene]]):
    """Items are (epoch, picture number) -> (pixels [3,S,S] uint8, rows, boxes in view, scene)."""

    def __init__(
        self, dataset: Dataset, split: str, pictures: Pictures, vocabulary: Vocabulary, answers: list[str],
        augment: Augment, side: int, seed: int,
    ) -> None:  # fmt: skip
        self.dataset, self.pictures, self.vocabulary = dataset, pictures, vocabulary
        self.augment, self.side, self.seed = augment, side, seed
        self.answer_ids = {a: i for i, a in enumerate(answers)}
        self.examples: dict[str, list[Example]] = {}
        for e in dataset.splits[split]:
            self.examples.setdefault(e.image, []).append(e)
        self.negatives = _Negatives(dataset, dataset.splits["train"]) if augment.fresh_negatives else None
        self._encoded: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.pictures.names)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, list[Row], list[Box], Scene]:
        epoch, index = key
        rng = random.Random(f"{self.seed}/{epoch}/{index}")
        name = self.pictures.names[index]
        scene = self.dataset.scenes.get(name, Scene())
        view = View.draw(self.augment, rng)
        visible = [(seen, share) for seen, share in map(view.see, scene.boxes) if seen is not None and share >= 0.35]
        boxes = [seen for seen, _ in visible]
        whole = len(visible) == len(scene.boxes) and all(share >= 0.6 for _, share in visible)
        rows = [r for e in self.examples[name] if (r := self._row(e, view, scene, boxes, whole, rng)) is not None]
        if rng.random() < self.augment.off_topic:
            text = phrasing.off_topic(list(self.vocabulary.words), rng)
            rows.append(Row(self._ids(text, rng), len(self.answer_ids)))
        pixels = view.cut(self.pictures.pixels[index], self.side)
        if self.augment.erase and rng.random() < self.augment.erase:
            pixels = erase(pixels, boxes, rng)
        return pixels, rows, boxes, scene

    def _row(
        self, e: Example, view: View, scene: Scene, boxes: list[Box], whole: bool, rng: random.Random
    ) -> Row | None:
        question, answer, kind = e.question, e.answer, e.kind
        labels = {b.label for b in boxes}
        if kind in _SPATIAL and not whole:
            return None
        if kind == "side" and view.mirrored:
            answer = MIRRORED[answer]
        if kind == "where" and view.mirrored:
            question = next((question.replace(a, b) for a, b in MIRRORED.items() if a in question), question)
        if answer == "có" and kind in ("presence", "sauce"):
            asked = phrasing.parse(kind, question)
            things = _SAUCES if asked is None or asked.thing in (None, "nước chấm") else (asked.thing,)
            if scene.boxes and not labels.intersection(things):
                return None
        if answer == "không" and self.negatives and rng.random() < self.augment.fresh_negatives:
            question = self.negatives.draw(kind, question, scene, rng)
        focus = focus_label(kind, question, answer, labels)
        if rng.random() < self.augment.rephrase:
            question = phrasing.rephrase(kind, question, rng)
        return Row(self._ids(question, rng), self.answer_ids.get(answer, -1), focus)

    def _ids(self, question: str, rng: random.Random) -> list[int]:
        ids = self._encoded.get(question)
        if ids is None:
            ids = self._encoded[question] = self.vocabulary.encode(question).ids
        if not self.augment.lose_words:
            return list(ids)
        half = self.augment.lose_words / 2
        kept = [UNKNOWN if rng.random() < half else i for i in ids if rng.random() >= half]
        return kept or list(ids)


class _Negatives:
    """Draws things to ask about that a picture does not show, as often as each is asked about where it does show."""

    def __init__(self, dataset: Dataset, examples: list[Example]) -> None:
        counts: dict[tuple[str, str], Counter[str]] = {}
        for e in examples:
            asked = phrasing.parse(e.kind, e.question)
            if (
                e.kind in ("presence", "yesno")
                and e.answer == "có"
                and asked
                and asked.thing
                and e.image in dataset.scenes
            ):
                counts.setdefault((e.kind, dataset.scenes[e.image].source), Counter())[asked.thing] += 1
        self.choices = {key: (list(c), list(c.values())) for key, c in counts.items()}

    def draw(self, kind: str, question: str, scene: Scene, rng: random.Random) -> str:
        things, weights = self.choices.get((kind, scene.source), ([], []))
        shown = {b.label for b in scene.boxes} | {scene.dish}
        for _ in range(8 if things else 0):
            thing = rng.choices(things, weights)[0]
            if thing not in shown and not any(thing in s or s in thing for s in shown if s):
                return phrasing.own_way(phrasing.Asked(kind, thing), rng)
        return question


@dataclass
class Batch:
    """Views of B pictures and the N questions about them."""

    pixels: Tensor
    """[B, 3, S, S] uint8."""
    ids: Tensor
    """[N, L] int64, padded with 0."""
    lengths: Tensor
    of: Tensor
    """[N]: which picture of the batch a question is about."""
    answers: Tensor
    """[N] int64, -1 for an answer that the model does not have."""
    focus: Tensor
    """[N, h, w]: where the network should look, summing to 1; all zero where nothing is known."""
    cover: Tensor
    """[B, things, h, w]: coverage of each cell by each labelled thing."""
    known: Tensor
    """[B, things]: 1 where the absence of a box means absence."""
    dishes: Tensor
    """[B] int64, -1 where the dish has no name."""

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, f).to(device, non_blocking=True) for f in self.__dataclass_fields__))


class Collate:
    """Gathers items of Views into a Batch. `cells` is the side of the feature map."""

    def __init__(self, labels: Labels, cells: int) -> None:
        self.labels, self.cells = labels, cells

    def __call__(self, items: list[tuple[Tensor, list[Row], list[Box], Scene]]) -> Batch:
        rows = [(n, r) for n, item in enumerate(items) for r in item[1]]
        ids = torch.zeros(len(rows), max((len(r.ids) for _, r in rows), default=1), dtype=torch.int64)
        focus = torch.zeros(len(rows), self.cells, self.cells)
        cover = torch.zeros(len(items), len(self.labels.things), self.cells, self.cells)
        known = torch.zeros(len(items), len(self.labels.things))
        maps: dict[tuple[int, str], Tensor] = {}
        for n, (_, _, boxes, scene) in enumerate(items):
            if scene.source in self.labels.known_masks:
                known[n] = self.labels.known_masks[scene.source]
            for label in {b.label for b in boxes}:
                maps[n, label] = torch.from_numpy(coverage((b for b in boxes if b.label == label), self.cells))
                if label in self.labels.thing_ids:
                    cover[n, self.labels.thing_ids[label]] = maps[n, label]
        for m, (n, row) in enumerate(rows):
            ids[m, : len(row.ids)] = torch.tensor(row.ids)
            if row.focus is not None and (n, row.focus) in maps:
                focus[m] = maps[n, row.focus] / maps[n, row.focus].sum()
        return Batch(
            torch.stack([item[0] for item in items]), ids, torch.tensor([len(r.ids) for _, r in rows]),
            torch.tensor([n for n, _ in rows]), torch.tensor([r.answer for _, r in rows]), focus, cover, known,
            torch.tensor([self.labels.dish_ids.get(item[3].dish, -1) for item in items]),
        )  # fmt: skip


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
