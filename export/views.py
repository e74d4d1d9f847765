"""What the network is shown in training: views of pictures, and questions that fit each view.

Boxes make this honest: a question is kept only while what it asks about is still in view, left and right change places
with a mirrored picture, and the same boxes say where the network should look. Every view is drawn from a generator
seeded by (seed, epoch, picture), so a run that was interrupted, or spread over processes, sees the same views.
"""

from __future__ import annotations

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

from edge_vqa.image import picture_pixels
from edge_vqa.question import UNKNOWN, Vocabulary

from . import phrasing
from .augment import Augment, View, coverage, erase
from .data import Box, Dataset, Example, Scene

MIRRORED = {"bên trái": "bên phải", "bên phải": "bên trái"}
_SAUCES = ("nước mắm", "nước tương")
_SPATIAL = ("where", "side", "count", "tray")


class Pictures:
    """Pictures decoded once and kept as [3, side, side] uint8 in memory (0.8 GB for 4,000 at 256)."""

    def __init__(self, paths: dict[str, Path], names: Iterable[str], side: int) -> None:
        self.names = list(names)
        self.side = side
        self.pixels = torch.empty(len(self.names), 3, side, side, dtype=torch.uint8)
        for n, name in enumerate(self.names):
            rows = np.frombuffer(picture_pixels(paths[name], side), np.uint8).reshape(side, side, 3).copy()
            self.pixels[n] = torch.from_numpy(rows).permute(2, 0, 1)


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
        # A question of unknown kind may depend on anything in the picture, so that is shown as it is.
        known = all(e.kind in phrasing.KINDS for e in self.examples[name])
        view = View.draw(self.augment, rng) if known else View()
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
            if answer not in MIRRORED:
                return None
            answer = MIRRORED[answer]
        if kind == "where" and view.mirrored:
            question = next((question.replace(a, b) for a, b in MIRRORED.items() if a in question), question)
        if answer == "có" and kind in ("presence", "sauce"):
            asked = phrasing.parse(kind, question)
            things = _SAUCES if asked is None or asked.thing in (None, "nước chấm") else (asked.thing,)
            if scene.boxes and not labels.intersection(things):
                return None
        if (
            answer == "không"
            and self.negatives
            and e.image in self.dataset.scenes
            and rng.random() < self.augment.fresh_negatives
        ):
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
        # A batch whose questions were all about what is out of view still needs one row; it has no answer to learn.
        rows = [(n, r) for n, item in enumerate(items) for r in item[1]] or [(0, Row([UNKNOWN], -1))]
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


class EpochOrder:
    """The order of pictures of an epoch, the same in every process; each process takes its share of every batch."""

    def __init__(self, count: int, batch: int, seed: int, rank: int, world: int) -> None:
        self.count, self.batch, self.seed, self.rank, self.world = count, batch, seed, rank, world
        self.epoch = 0

    def __len__(self) -> int:
        return max(1, self.count // self.batch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.count, generator=generator).tolist()
        for n in range(len(self)):
            chosen = order[n * self.batch : (n + 1) * self.batch]
            yield [(self.epoch, i) for i in chosen[self.rank :: self.world]]
