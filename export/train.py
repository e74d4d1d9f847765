"""python -m export.train --model mobilenetv2-lstm-attention --data FOLDER

Trains one of the four networks from its configuration file. A run lives in one folder (runs/MODEL-seedN): config,
vocabulary, history.jsonl, curves.png, last.pt (checkpoint) and model.safetensors (averaged weights). Started again, it
goes on from the last whole epoch and ends with the same weights as a run that was never interrupted.

Several processes, on one machine or many: torchrun --nproc-per-node 2 -m export.train ...
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from edge_vqa.errors import DataError, EdgeVQAError
from edge_vqa.question import Vocabulary, split_words

from . import phrasing
from .augment import Augment, blend, relight
from .config import Config, load_config
from .data import Dataset, load_dataset
from .frozen import FrozenViews, train_head
from .losses import BoxSupervision, Terms, terms
from .models import Network, Shape
from .run_folder import RunFolder
from .scoring import accuracy_on
from .start import start_encoder
from .views import Batch, Collate, EpochOrder, Labels, Pictures, Views

log = logging.getLogger("export.train")


def build_vocabulary(dataset: Dataset) -> list[str]:
    """Accentless words of the training questions; for a data set with kinds, also those of the other ways of asking."""
    examples = dataset.splits["train"]
    texts = [e.question for e in examples]
    if any(phrasing.parse(e.kind, e.question) for e in examples[:1000]):
        texts += phrasing.every_text() + dataset.answers()
        texts += [b.label for i in dataset.images("train") if i in dataset.scenes for b in dataset.scenes[i].boxes]
    return sorted({word for text in set(texts) for word in split_words(text)})


class TrainingModule(nn.Module):
    """Network, box supervision and losses as one module, so that DistributedDataParallel sees one forward."""

    def __init__(self, network: Network, boxes: BoxSupervision, config: Config) -> None:
        super().__init__()
        self.network, self.boxes, self.config = network, boxes, config

    def forward(self, batch: Batch, pixels: Tensor) -> Terms:
        return terms(self.network, self.boxes, batch, pixels, self.config.loss)


class Trainer:
    """One training run. `steps` cuts every epoch short, for tests."""

    def __init__(
        self, config: Config, dataset: Dataset, folder: RunFolder, steps: int | None = None, workers: int = 0
    ) -> None:
        self.config, self.dataset, self.folder, self.steps, self.workers = config, dataset, folder, steps, workers
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if config.batch < self.world:
            raise DataError(f"a batch of {config.batch} cannot be shared by {self.world} processes")
        torch.manual_seed(config.seed)
        self.answers = dataset.answers()
        self.vocabulary = Vocabulary(build_vocabulary(dataset))
        self.labels = Labels.of(dataset)
        self.pictures = Pictures(dataset.image_paths, dataset.images("train"), config.store)
        self.network = Network(Shape(config.model, len(self.vocabulary), len(self.answers), **config.sizes))
        start_encoder(self.network, config.start)
        boxes = BoxSupervision(self.network.shape.width, len(self.labels.things), len(self.labels.dishes))
        self.module = TrainingModule(self.network, boxes, config).to(self.device)
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parallel: nn.Module = self.module
        if self.world > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            self.parallel = DistributedDataParallel(self.module, device_ids=ids, find_unused_parameters=True)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)
        self.optimizer = torch.optim.AdamW(self._parameter_groups(), betas=(0.9, 0.99))
        self.order = EpochOrder(len(self.pictures.names), config.batch, config.seed, self.rank, self.world)
        self.epoch = 0

    def _parameter_groups(self) -> list[dict[str, object]]:
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, p in self.module.named_parameters():
            rate = self.config.lr_encoder if name.startswith("network.encoder.backbone") else self.config.lr_head
            decay = self.config.weight_decay if p.ndim > 1 and "embedding" not in name else 0.0
            groups.setdefault((rate, decay), []).append(p)
        return [{"params": ps, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), ps in groups.items()]

    def run(self) -> None:
        """Train to the end of the last stage, resuming from the folder's checkpoint where there is one."""
        if self.folder.checkpoint.is_file():
            self.folder.refuse_other(self.config, self.vocabulary, self.answers, self.labels)
            self.load(self.folder.checkpoint)
            log.info("going on after epoch %d", self.epoch)
        if self.world > 1:
            self._agree_on_the_epoch()
        if self.rank == 0 and self.epoch == 0:
            self.folder.begin(self.config, self.network.shape, self.vocabulary, self.answers, self.labels)
        while self.epoch < self.config.epochs:
            record = self.train_epoch()
            if self.rank == 0:
                if self.dataset.splits["val"] and (self.epoch % 4 == 0 or self.epoch == self.config.epochs):
                    record["val_accuracy"] = self._measure("val")
                self.folder.add_history(record)
                log.info(" ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in record.items()))
                self.save()
            if self.world > 1:
                dist.barrier()
        if self.rank == 0:
            if self.config.head.epochs:
                self._tune_head()
            self.folder.save_weights(self.averaged)
            self.folder.draw_curves()

    @property
    def averaged(self) -> Network:
        """The network with the running average of the weights."""
        return cast(Network, self.average.module)

    def _agree_on_the_epoch(self) -> None:
        """Raises DataError when machines do not share the run folder and so start from different checkpoints."""
        epochs = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.world)]
        dist.all_gather(epochs, torch.tensor([self.epoch], device=self.device))
        if len({int(e) for e in epochs}) > 1:
            raise DataError(f"{self.folder.path}: processes found different checkpoints; let all share one folder")

    def _tune_head(self) -> None:
        """Go on with the averaged network's head alone, on the frozen encoder's features."""
        head, network = self.config.head, self.averaged.cpu()
        augment = replace(self.config.augment, crop=head.crop, rephrase=head.rephrase)
        frozen = FrozenViews(
            network, self.dataset, self.pictures, augment, self.vocabulary, self.answers, head.epochs, self.config.side
        )
        train_head(network, frozen, self.config.seed, head.epochs, self.config.batch, head.lr, self.config.loss)
        if self.dataset.splits["val"]:
            log.info("head tuned: val_accuracy=%.4f", self._measure("val"))

    def _measure(self, split: str) -> float:
        return accuracy_on(self.averaged, self.dataset, split, self.vocabulary, self.answers, self.config.side)

    def train_epoch(self) -> dict[str, float | int]:
        """One epoch; returns its mean losses (over questions, views and known labels) and training accuracy."""
        stage = self.config.stage_at(self.epoch)
        augment = self.config.augment if stage.crop is None else replace(self.config.augment, crop=stage.crop)
        loader = self._loader(augment, stage.side)
        # Dropout and relighting restart from the epoch's own seed: a resumed run repeats them.
        torch.manual_seed(self.config.seed * 7919 + self.epoch)
        self.module.train()
        if self.config.freeze_batchnorm:
            for m in self.network.modules():
                if isinstance(m, nn.BatchNorm2d):
                    m.eval()
        sums: dict[str, float] = {}
        began = time.monotonic()
        total = min(len(self.order), self.steps or len(self.order))
        bar = tqdm(
            loader,
            total=total,
            disable=self.rank != 0 or not sys.stderr.isatty(),
            desc=f"epoch {self.epoch + 1}/{self.config.epochs}",
        )
        for step, batch in enumerate(bar):
            if step == total:
                break
            self._set_rate(self.epoch + step / total)
            for key, value in self._step(batch.to(self.device), step).items():
                sums[key] = sums.get(key, 0.0) + value
            if step % 10 == 0:
                bar.set_postfix(loss=sums["answers"] / sums["questions"], accuracy=sums["correct"] / sums["questions"])
        self.epoch += 1
        record: dict[str, float | int] = {"epoch": self.epoch, "side": stage.side, "seconds": time.monotonic() - began}
        record |= {"loss": sums["answers"] / sums["questions"], "accuracy": sums["correct"] / sums["questions"]}
        record |= {k: sums[k] / sums["views"] for k in ("look", "cover", "things", "dish")}
        return record

    def _loader(self, augment: Augment, side: int) -> DataLoader[Any]:
        views = Views(
            self.dataset, "train", self.pictures, self.vocabulary, self.answers, augment, side, self.config.seed
        )
        self.order.epoch = self.epoch
        return DataLoader(
            views,
            batch_sampler=self.order,
            collate_fn=Collate(self.labels, side // 32),
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
        )

    def _set_rate(self, at: float) -> None:
        """Linear warm-up, then half a cosine to 1 % over the whole run (Loshchilov & Hutter 2017)."""
        warm = min(1.0, (at + 1e-3) / self.config.warmup) if self.config.warmup else 1.0
        fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, at / self.config.epochs)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * warm * fall

    def _step(self, batch: Batch, step: int) -> dict[str, float]:
        generator = torch.Generator().manual_seed(hash((self.config.seed, self.epoch, step, self.rank)))
        pixels = blend(batch.pixels.float(), self.config.augment.blend, generator)
        pixels = relight(pixels, self.config.augment.light, generator)
        t = self.parallel(batch, pixels.contiguous(memory_format=torch.channels_last))
        counts = torch.tensor([float(len(batch.answers)), float(len(batch.pixels))], device=self.device)
        local = counts.clone()
        if self.world > 1:
            dist.all_reduce(counts)
        questions, views = (max(1.0, c) for c in counts.tolist())
        w = self.config.loss
        on_boxes = w.cover * t.cover + w.things * t.things + w.dish * t.dish
        loss = (t.answers + w.look * t.look) / questions + on_boxes / views
        self.optimizer.zero_grad(set_to_none=True)
        # DistributedDataParallel divides gradients by the number of processes; these losses are shares of one sum.
        (loss * self.world).backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        parts = [x.detach().float() for x in (t.answers, t.correct, t.look, t.cover, t.things, t.dish)]
        sums = torch.cat([torch.stack(parts), local])
        if self.world > 1:
            dist.all_reduce(sums)
        names = ("answers", "correct", "look", "cover", "things", "dish", "questions", "views")
        return dict(zip(names, sums.tolist(), strict=True))

    def save(self) -> None:
        state = {"module": self.module.state_dict(), "average": self.average.state_dict()}
        self.folder.save_checkpoint({"epoch": self.epoch, **state, "optimizer": self.optimizer.state_dict()})

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.train", description=__doc__.split("\n\n")[1])
    parser.add_argument("--model", required=True, help="one of the four names, or a .toml configuration file")
    parser.add_argument("--data", required=True, help="folder with train.csv, or easy-vqa")
    parser.add_argument("--out", type=Path, help="run folder (default runs/MODEL-seedN)")
    parser.add_argument("--seed", type=int, help="instead of the configuration's")
    parser.add_argument("--start", help="instead of the configuration's: imagenet, scratch or a .safetensors file")
    parser.add_argument("--epochs-scale", type=float, default=1.0, help="multiply every stage's epochs (for trials)")
    parser.add_argument("--steps", type=int, help="stop every epoch after so many steps (for trials)")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that prepare views (0: the training process itself)"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        config = load_config(options.model)
        overrides = {k: v for k, v in (("seed", options.seed), ("start", options.start)) if v is not None}
        stages = tuple(replace(s, epochs=max(1, round(s.epochs * options.epochs_scale))) for s in config.stages)
        config = replace(config, stages=stages, **overrides)
        dataset = load_dataset(options.data)
        if not dataset.splits["train"]:
            raise DataError(f"{options.data}: no train.csv")
        with _processes():
            folder = RunFolder(options.out or Path("runs") / f"{Path(options.model).stem}-seed{config.seed}")
            log.info("%s on %s: %s", config.model, dataset.name, json.dumps(asdict(config)["stages"]))
            Trainer(config, dataset, folder, options.steps, options.workers).run()
    except (EdgeVQAError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last whole epoch", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def _processes() -> Iterator[None]:
    """Join the other processes when started by torchrun."""
    if "RANK" not in os.environ:
        yield
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
