"""Training configurations: one TOML file a released model, in export/configs/."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import tomllib

from edge_vqa.errors import DataError

from .augment import Augment
from .models import NAMES, Shape

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class Stage:
    """Epochs at one picture size."""

    epochs: int
    side: int
    crop: float | None = None
    """Overrides augment.crop for this stage."""


@dataclass(frozen=True)
class Loss:
    """Weights of the terms beside the answers' cross-entropy; those on boxes vanish where there are none."""

    label_smoothing: float = 0.05
    look: float = 0.2
    """Kullback-Leibler divergence from the labelled boxes to the attention."""
    cover: float = 0.1
    """What lies in each cell, binary cross-entropy summed over labels."""
    things: float = 0.1
    """What lies in the picture, likewise."""
    dish: float = 0.3
    """Which dish it is, from the mean of the features."""


@dataclass(frozen=True)
class HeadTuning:
    """After the last stage: further epochs of the head alone, on the frozen encoder's features."""

    epochs: int = 0
    lr: float = 5e-4
    crop: float = 0.6
    rephrase: float = 0.8
    """Replaces augment.rephrase: the question side is what there still is to learn."""


@dataclass(frozen=True)
class Config:
    """Everything a run depends on beside the data."""

    model: str
    stages: tuple[Stage, ...]
    seed: int = 0
    batch: int = 48
    side: int = 224
    """Side of the model's input, for evaluation and export."""
    store: int = 256
    """Side at which pictures are kept in memory."""
    start: str = "scratch"
    """'imagenet', 'scratch', or the safetensors file of a network whose encoder to start from."""
    lr_encoder: float = 5e-4
    lr_head: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 1.0
    """Epochs."""
    average: float = 0.998
    """Decay a step of the running average of the weights, which is what is evaluated and released."""
    freeze_batchnorm: bool = False
    sizes: dict[str, Any] = field(default_factory=dict)
    """Overrides of models.Shape."""
    augment: Augment = field(default_factory=Augment)
    loss: Loss = field(default_factory=Loss)
    head: HeadTuning = field(default_factory=HeadTuning)

    @property
    def epochs(self) -> int:
        return sum(s.epochs for s in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]


def load_config(path: str | Path) -> Config:
    """Read a configuration: a file, or the name of a model that has one in export/configs/. Raises DataError."""
    file = Path(path) if str(path).endswith(".toml") else CONFIGS / f"{path}.toml"
    if not file.is_file():
        known = sorted(p.stem for p in CONFIGS.glob("*.toml"))
        raise DataError(f"{path}: no such configuration (known: {', '.join(known)}; or give a .toml file)")
    try:
        return config_from(tomllib.loads(file.read_text(encoding="utf-8")), file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: {error}") from error


def config_from(raw: dict[str, Any], file: Path) -> Config:
    """Build a configuration from its parsed form; `file` is named in errors. Raises DataError."""
    raw = dict(raw)
    try:
        stages = tuple(_build(Stage, s, file) for s in raw.pop("stage", raw.pop("stages", [])))
        parts = {key: _build(cls, raw.pop(key, {}), file) for key, cls in _PARTS.items()}
        config: Config = _build(Config, {**raw, **parts, "stages": stages}, file)
    except TypeError as error:
        raise DataError(f"{file}: {error}") from error
    if config.model not in NAMES:
        raise DataError(f"{file}: unknown model {config.model!r}; known: {', '.join(NAMES)}")
    if not stages:
        raise DataError(f"{file}: no [[stage]]")
    unknown = set(config.sizes) - {f.name for f in fields(Shape)} | set(config.sizes) & {"name", "words", "answers"}
    if unknown:
        raise DataError(f"{file}: sizes has no setting {', '.join(sorted(unknown))}")
    for what, side in [("side", config.side), *(("stage side", s.side) for s in stages)]:
        if side < 32 or side % 32:
            raise DataError(f"{file}: {what} {side}: the networks shrink pictures 32 times; give a multiple of 32")
    if config.batch < 1:
        raise DataError(f"{file}: batch {config.batch}: must be 1 or more")
    return config


_PARTS = {"augment": Augment, "loss": Loss, "head": HeadTuning}


def _build(cls: type, values: dict[str, Any], file: Path) -> Any:
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        raise DataError(f"{file}: {cls.__name__.lower()} has no setting {', '.join(sorted(unknown))}")
    return cls(**values)
