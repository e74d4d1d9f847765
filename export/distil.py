"""python -m export.distil --config export/configs/tiny.toml --data FOLDER [--out RUN]

Trains a small network to see and to answer as a large one does (Hinton et al. 2015; Romero et al. 2015, "FitNets").
The teacher looks once at some augmented views of every picture; what it saw is kept on disk and serves every student.
A student starts as the teacher cut down (export/slim.py) or as another student, and minimises

    mimic    mean over channels of E[(s - t)^2] / Var[t], s and t the projected features of student and teacher
    soft     KL divergence from the teacher's answers to the student's, both at temperature 2
    hard     cross-entropy with the true answer

and ends with the head alone on the frozen encoder. The result is a run folder like those of export.train.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import tomllib
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edge_vqa.errors import DataError

from .augment import blend, relight
from .command import ends_in_one_line
from .data import Dataset, load_dataset
from .models import Network, Shape
from .run_folder import RunFolder
from .scoring import accuracy_on
from .slim import slim_encoder, slim_head
from .views import Batch, Collate, EpochOrder, Labels, Pictures, Views

log = logging.getLogger("export.distil")

TEMPERATURE = 2.0
_SEED = 54321
_BATCH = 48
_HEAD_COPIES = 6
"""Views of each picture whose features are kept for tuning the head: 0.5 GB."""


@dataclass(frozen=True)
class Stage:
    """Some epochs, the rate falling along half a cosine. A stage starts from the averaged weights of the one before."""

    epochs: int = 10
    rate: float = 2e-3
    frozen: int = 0
    """How many of the backbone's first layers stay as they are: the first convolution, then blocks."""
    head_rate: float = 0.0
    """0 leaves the head as it is, which needs the teacher's head sizes."""


@dataclass(frozen=True)
class Student:
    """What a student is and how it learns."""

    side: int = 224
    sizes: dict[str, Any] = field(default_factory=dict)
    """Overrides of the teacher's models.Shape."""
    start: str = "teacher"
    """'teacher', or the run folder of another student: the network that is cut down to these sizes."""
    stages: tuple[Stage, ...] = (Stage(),)
    head_epochs: int = 3
    """At the end: epochs of the head alone on the frozen encoder, kept where they help on val."""
    tuning_rate: float = 5e-4
    """Of those."""
    mimic: float = 2.0
    soft: float = 1.0
    hard: float = 0.3
    average: float = 0.995
    """Decay a step of the running average of the weights, which is what is evaluated and kept."""
    seed: int = 0


class TeacherViews:
    """Augmented views of the training pictures and what the teacher saw in them, in files of one folder.

    pixels [copies, pictures, 3, side, side] uint8; seen [copies, pictures, C, h, w] float16, before positions.
    """

    def __init__(self, teacher: RunFolder, dataset: Dataset, folder: Path, copies: int) -> None:
        self.run = teacher
        self.network, self.vocabulary, self.answers, self.side = teacher.load()
        self.copies, self.count = copies, len(dataset.images("train"))
        self.collate = Collate(Labels.of(dataset), self.side // 32)
        key = hashlib.sha256(teacher.weights.read_bytes() + repr((copies, self.count)).encode()).hexdigest()
        self.folder = folder / key[:16]
        if not (self.folder / "whole").is_file():
            self._fill(dataset)
        self.pixels = np.load(self.folder / "pixels.npy", mmap_mode="r")
        self.seen = np.load(self.folder / "seen.npy", mmap_mode="r")
        self.questions: list[list[Any]] = torch.load(self.folder / "questions.pt", weights_only=False)
        """What Views gives for each view, without the pixels."""
        self.variance = torch.from_numpy(np.array(self.seen[0])).float().var((0, 2, 3)).clamp_min(1e-3)
        """[C]: of each projected feature."""

    @torch.inference_mode()
    def _fill(self, dataset: Dataset) -> None:
        config = self.run.config()
        augment = replace(config.augment, crop=0.4, rephrase=0.8)
        pictures = Pictures(dataset.image_paths, dataset.images("train"), config.store)
        views = Views(dataset, "train", pictures, self.vocabulary, self.answers, augment, self.side, _SEED)
        self.folder.mkdir(parents=True, exist_ok=True)
        cells, width = self.side // 32, self.network.shape.width
        shape = (self.copies, self.count)
        create = np.lib.format.open_memmap
        pixels = create(self.folder / "pixels.npy", "w+", np.uint8, (*shape, 3, self.side, self.side))
        seen = create(self.folder / "seen.npy", "w+", np.float16, (*shape, width, cells, cells))
        questions: list[list[Any]] = [[] for _ in range(self.copies)]
        generator = torch.Generator().manual_seed(_SEED)
        for copy in range(self.copies):
            for chosen in torch.arange(self.count).split(32):
                items = [views[copy, i] for i in chosen.tolist()]
                changed = blend(torch.stack([i[0] for i in items]).float(), augment.blend, generator)
                changed = relight(changed, augment.light, generator).round()
                pixels[copy, chosen] = changed.to(torch.uint8).numpy()
                changed = changed.contiguous(memory_format=torch.channels_last)
                seen[copy, chosen] = self.network.encoder.see(changed).half().numpy()
                questions[copy] += [(torch.empty(0), *item[1:]) for item in items]
            log.info("the teacher has seen view %d of %d", copy + 1, self.copies)
        pixels.flush()
        seen.flush()
        torch.save(questions, self.folder / "questions.pt")
        (self.folder / "whole").touch()

    def batches(self, epoch: int, seed: int, side: int) -> Iterator[tuple[Tensor, Tensor, Batch]]:
        """Pixels [B,3,side,side] float, what the teacher saw [B,C,h,w], the questions; the next views each epoch."""
        order = EpochOrder(self.count, _BATCH, seed, 0, 1)
        order.epoch = epoch
        copy = epoch % self.copies
        for keys in order:
            chosen = [i for _, i in keys]
            pixels = torch.from_numpy(self.pixels[copy, chosen]).float().contiguous(memory_format=torch.channels_last)
            batch = self.collate([self.questions[copy][i] for i in chosen])
            yield resized(pixels, side), torch.from_numpy(self.seen[copy, chosen]).float(), batch


def resized(maps: Tensor, side: int) -> Tensor:
    """[B,C,h,w] -> [B,C,side,side], bilinear over the area that shrinks into each value."""
    if maps.shape[-1] == side:
        return maps
    return F.interpolate(maps, (side, side), mode="bilinear", antialias=True, align_corners=False)


class _SeenByStudent:
    """The views' features as a frozen student computes them, float16 [copies, pictures, C, h, w] in memory."""

    def __init__(self, views: TeacherViews, network: Network, side: int, copies: int) -> None:
        self.views, self.copies = views, copies
        cells = side // 32
        self.features = torch.empty(copies, views.count, network.shape.width, cells, cells, dtype=torch.float16)
        network.eval()
        with torch.inference_mode():
            for copy in range(copies):
                for chosen in torch.arange(views.count).split(48):
                    pixels = resized(torch.from_numpy(views.pixels[copy, chosen.numpy()]).float(), side)
                    pixels = pixels.contiguous(memory_format=torch.channels_last)
                    self.features[copy, chosen] = network.encoder(pixels).half()

    def batches(self, epoch: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Batch]]:
        """Features [B,C,h,w], what the teacher saw [B,C,h',w'], the questions; the next of the views each epoch."""
        views, copy = self.views, epoch % self.copies
        order = EpochOrder(views.count, _BATCH, seed, 0, 1)
        order.epoch = epoch
        for keys in order:
            chosen = [i for _, i in keys]
            batch = views.collate([views.questions[copy][i] for i in chosen])
            yield self.features[copy, chosen].float(), torch.from_numpy(views.seen[copy, chosen]).float(), batch


def make_student(views: TeacherViews, student: Student) -> Network:
    """The network that learning starts from. Raises DataError when it cannot be had."""
    teacher = views.network
    shape = Shape(**{**teacher.shape.to_dict(), **student.sizes})
    torch.manual_seed(student.seed)
    network = Network(shape)
    start = teacher if student.start == "teacher" else RunFolder(Path(student.start)).load()[0]
    try:
        slim_encoder(start.encoder, network.encoder)
        slim_head(start.head, network.head)
    except (RuntimeError, IndexError, AttributeError) as error:
        raise DataError(f"{student.start}: its network cannot be cut down to these sizes ({error})") from error
    if _head_sizes(start.shape) != _head_sizes(shape) and not student.stages[0].head_rate:
        raise DataError("a head of other sizes than the one it starts from must learn: give head_rate")
    return network


def _head_sizes(shape: Shape) -> tuple[int, ...]:
    return shape.embedding, shape.hidden, shape.joint


def distil(views: TeacherViews, student: Student, dataset: Dataset, folder: RunFolder) -> Network:
    """Train a student; its run folder gets the weights and the history. Returns the trained network.

    Without photographs for val the tuned head is kept unseen. Raises DataError when it cannot start.
    """
    network = make_student(views, student)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = replace(views.run.config(), side=student.side, sizes={**views.run.config().sizes, **student.sizes})
    folder.begin(config, network.shape, views.vocabulary, views.answers, views.collate.labels)
    for stage in student.stages:
        network.load_state_dict(_learn(views, network, student, stage, dataset, folder).state_dict())
    network.requires_grad_(True)
    if student.head_epochs:
        _tune_head(views, network, student, dataset, folder)
    folder.save_weights(network)
    return network.eval()


def _learn(
    views: TeacherViews, network: Network, student: Student, stage: Stage, dataset: Dataset, folder: RunFolder
) -> Network:
    """One stage; returns the network with the running average of the weights."""
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(student.average), use_buffers=True)
    averaged = cast(Network, average.module)
    network.requires_grad_(True)
    frozen = network.encoder.backbone[: stage.frozen].requires_grad_(False)
    rates = ((network.encoder, stage.rate), (network.head.requires_grad_(bool(stage.head_rate)), stage.head_rate))
    groups = [{"params": list(m.parameters()), "lr": rate, "peak": rate} for m, rate in rates if rate]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.02)
    steps, done = max(1, views.count // _BATCH), len(folder.history())
    for epoch in range(stage.epochs):
        began, sums = time.monotonic(), torch.zeros(4)
        network.train()
        frozen.eval()
        network.head.train(bool(stage.head_rate))
        for step, (pixels, seen, batch) in enumerate(views.batches(done + epoch, student.seed, student.side)):
            at = (epoch + step / steps) / stage.epochs
            for group in optimizer.param_groups:
                warm = min(1.0, (epoch * steps + step + 1) / 60)
                group["lr"] = group["peak"] * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * at)))
            loss, parts = _loss(views, network, student, pixels, seen, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            average.update_parameters(network)
            sums += parts
        mimic, soft, right, questions = sums.tolist()
        record = {"epoch": done + epoch + 1, "side": student.side, "seconds": time.monotonic() - began}
        record |= {"mimic": mimic / steps, "loss": soft / questions, "accuracy": right / questions}
        if dataset.splits["val"] and ((epoch + 1) % 4 == 0 or epoch + 1 == stage.epochs):
            record["val_accuracy"] = _measure(averaged, dataset, views, student.side)
        folder.add_history(record)
        log.info("%s %s", folder.path.name, " ".join(f"{k}={v:.4g}" for k, v in record.items()))
    return averaged


def _tune_head(views: TeacherViews, network: Network, student: Student, dataset: Dataset, folder: RunFolder) -> None:
    """Go on with the head alone, on features computed once; kept where val is the better for it."""
    before = {k: v.clone() for k, v in network.head.state_dict().items()}
    untuned = _measure(network, dataset, views, student.side)
    seen_by_student = _SeenByStudent(views, network, student.side, min(student.head_epochs, views.copies, _HEAD_COPIES))
    optimizer = torch.optim.AdamW(network.head.parameters(), lr=student.tuning_rate, weight_decay=0.02)
    steps = max(1, views.count // _BATCH)
    network.head.train()
    for epoch in range(student.head_epochs):
        for step, (features, seen, batch) in enumerate(seen_by_student.batches(epoch, student.seed)):
            at = (epoch + step / steps) / student.head_epochs
            optimizer.param_groups[0]["lr"] = student.tuning_rate * 0.5 * (1 + math.cos(math.pi * at))
            with torch.no_grad():
                wanted = _answers_of_teacher(views, seen, batch)[0]
            logits, _ = network.head(features[batch.of], batch.ids, batch.lengths)
            soft, hard = _answer_losses(logits, wanted, batch.answers)
            optimizer.zero_grad(set_to_none=True)
            ((student.soft * soft + student.hard * hard) / len(batch.answers)).backward()
            optimizer.step()
    tuned = _measure(network, dataset, views, student.side)
    log.info("%s head tuned: val_accuracy=%.4f after %.4f", folder.path.name, tuned, untuned)
    if tuned < untuned:
        network.head.load_state_dict(before)


def _answers_of_teacher(views: TeacherViews, seen: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits [N, answers + 1], and the questions as the teacher's head reads them [N, hidden]."""
    asked = views.network.head.read(batch.ids, batch.lengths)
    logits: Tensor = views.network.head.reply(views.network.encoder.place(seen)[batch.of], asked)[0]
    return logits, asked


def _answer_losses(logits: Tensor, wanted: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """`soft` and `hard` of the module's docstring, summed over the questions."""
    told, known = (logits / TEMPERATURE).log_softmax(-1), (wanted / TEMPERATURE).softmax(-1)
    soft = F.kl_div(told, known, reduction="sum") * TEMPERATURE**2
    return soft, F.cross_entropy(logits, answers, ignore_index=-1, reduction="sum", label_smoothing=0.05)


def _measure(network: Network, dataset: Dataset, views: TeacherViews, side: int) -> float:
    return accuracy_on(network, dataset, "val", views.vocabulary, views.answers, side)


def _loss(
    views: TeacherViews, network: Network, student: Student, pixels: Tensor, seen: Tensor, batch: Batch
) -> tuple[Tensor, Tensor]:
    """The loss, and [mimic, soft summed over questions, right answers, questions] for the record."""
    with torch.no_grad():
        wanted, asked = _answers_of_teacher(views, seen, batch)
        target = resized(seen, student.side // 32)
    own = network.encoder.see(pixels)
    mimic = ((own - target).square().mean((0, 2, 3)) / views.variance).mean()
    if next(network.head.parameters()).requires_grad:
        asked = network.head.read(batch.ids, batch.lengths)
    logits, _ = network.head.reply(network.encoder.place(own)[batch.of], asked)
    soft, hard = _answer_losses(logits, wanted, batch.answers)
    questions = len(batch.answers)
    loss = student.mimic * mimic + (student.soft * soft + student.hard * hard) / questions
    right = (logits.argmax(-1) == batch.answers).sum()
    parts = torch.stack([mimic.detach(), soft.detach(), right.float(), torch.tensor(float(questions))])
    return loss, parts


def load_student(path: Path) -> tuple[Path, Student]:
    """A student's TOML file: `teacher`, a run folder relative to the current one, the settings of Student, [[stage]]s.

    Raises DataError when it cannot be read, or names a setting that there is not, or gives it a value of another kind.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    teacher, stages = raw.pop("teacher", None), raw.pop("stage", [])
    if not isinstance(teacher, str) or not isinstance(stages, list):
        raise DataError(f"{path}: give teacher = 'a run folder' and, for each stage, [[stage]]")
    learnt = tuple(_build(Stage(), stage, path) for stage in stages) or Student.stages
    student = replace(_build(Student(), raw, path), stages=learnt)
    if student.side < 32 or student.side % 32:
        raise DataError(f"{path}: side {student.side}: give a multiple of 32")
    return Path(teacher), student


def _build(default: Any, values: dict[str, Any], path: Path) -> Any:
    """A copy of `default` with `values` set, each of the kind that the default has; whole numbers serve as others."""
    known = {f.name: getattr(default, f.name) for f in fields(default) if f.name != "stages"}
    for name, value in values.items():
        if name not in known:
            raise DataError(f"{path}: no setting {name}")
        wanted = (int, float) if isinstance(known[name], float) else type(known[name])
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise DataError(f"{path}: {name} = {value!r}: give {type(known[name]).__name__}")
    return replace(default, **values)


@ends_in_one_line
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m export.distil", description="Train a small network to answer as a large one does."
    )
    parser.add_argument("--config", type=Path, required=True, help="TOML file: teacher, and the settings of Student")
    parser.add_argument("--data", required=True, help="the data set that the teacher was trained on")
    parser.add_argument("--out", type=Path, help="run folder (default runs/NAME of the configuration)")
    parser.add_argument("--start", help="instead of the configuration's")
    parser.add_argument("--views", type=Path, default=Path("runs/views"), help="folder for what the teacher saw (6 GB)")
    parser.add_argument("--copies", type=int, default=10, help="views of each picture")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    teacher, student = load_student(options.config)
    if options.start:
        student = replace(student, start=options.start)
    if options.copies < 1:
        raise DataError(f"{options.copies} copies: give 1 or more")
    dataset = load_dataset(options.data)
    views = TeacherViews(RunFolder(teacher), dataset, options.views, options.copies)
    folder = RunFolder(options.out or Path("runs") / options.config.stem)
    distil(views, student, dataset, folder)
    folder.draw_curves()
    return 0


if __name__ == "__main__":
    sys.exit(main())
