"""The questions that every file is asked, and their pictures, decoded once for all files as edge_vqa does it."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_vqa.errors import DataError
from export.data import Dataset, Example
from export.views import Pictures


@dataclass
class Asked:
    """Questions of one split, in the order in which every array of logits has its rows."""

    dataset: Dataset
    split: str
    examples: list[Example]
    _pictures: dict[int, Pictures] = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        """Names of the pictures, in order of first appearance."""
        return list(dict.fromkeys(e.image for e in self.examples))

    def pictures(self, side: int) -> Pictures:
        """Pixels [pictures, 3, side, side] uint8, in the order of `images`. Raises ImageError."""
        if side not in self._pictures:
            self._pictures[side] = Pictures(self.dataset.image_paths, self.images, side)
        return self._pictures[side]

    def by_picture(self) -> dict[str, list[int]]:
        """Picture -> rows of its questions."""
        rows: dict[str, list[int]] = {}
        for row, example in enumerate(self.examples):
            rows.setdefault(example.image, []).append(row)
        return rows

    def spaced(self, count: int) -> list[int]:
        """`count` rows (or all), evenly spaced over the questions."""
        n = len(self.examples)
        return list(range(n)) if count >= n else [i * n // count for i in range(count)]

    def at(self, rows: list[int]) -> Asked:
        """The questions of these rows alone; pixels already decoded are not shared."""
        return Asked(self.dataset, self.split, [self.examples[row] for row in rows])


def load_asked(dataset: Dataset, split: str, count: int | None) -> Asked:
    """The split's questions, or a sample of `count`. Raises DataError when the split has none."""
    if not dataset.splits[split]:
        raise DataError(f"{dataset.name}: no {split}.csv")
    asked = Asked(dataset, split, dataset.splits[split])
    return asked if count is None else asked.at(asked.spaced(count))
