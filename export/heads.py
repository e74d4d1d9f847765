"""python -m export.heads --run runs/NAME --data FOLDER --seeds 0 1 2

How much a result owes to chance: trains the run's head anew, from scratch, with several seeds on the run's frozen
encoder, and writes OUT/heads.json with each seed's accuracy. The encoder sees every training picture in a few augmented
views, once; the heads then train on those features, a minute or two a seed on two cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_vqa.errors import EdgeVQAError

from .augment import Augment, relight
from .data import Dataset, load_dataset
from .models import Head, Network
from .run_folder import RunFolder
from .scoring import predict
from .train import EpochOrder
from .views import Batch, Collate, Labels, Pictures, Views

log = logging.getLogger("export.heads")


class FrozenViews:
    """Augmented views of the training pictures, and the frozen encoder's features of each (kept as 16-bit floats)."""

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        config: dict[str, Any],
        vocabulary: Any,
        answers: list[str],
        copies: int,
    ) -> None:
        self.side, self.copies = config["side"], copies
        pictures = Pictures(dataset.image_paths, dataset.images("train"), config["store"])
        augment = Augment(**{**config["augment"], "crop": 0.6})
        views = Views(dataset, "train", pictures, vocabulary, answers, augment, self.side, seed=12345)
        self.collate = Collate(Labels.of(dataset), self.side // 32)
        self.count, cells = len(views), self.side // 32
        self.features = torch.empty(copies, self.count, network.shape.width, cells, cells, dtype=torch.float16)
        self.questions: list[list[Any]] = [[] for _ in range(copies)]
        """What Views gives for each view, without the pixels."""
        network.eval()
        generator = torch.Generator().manual_seed(12345)
        with torch.inference_mode():
            for copy in range(copies):
                for chosen in torch.arange(self.count).split(32):
                    items = [views[copy, i] for i in chosen.tolist()]
                    pixels = relight(torch.stack([i[0] for i in items]).float(), augment.light, generator)
                    self.features[copy, chosen] = network.encoder(pixels).half()
                    self.questions[copy] += [(torch.empty(0), *item[1:]) for item in items]
                log.info("features of view %d of %d", copy + 1, copies)

    def batches(self, epoch: int, seed: int, size: int) -> Iterator[tuple[Tensor, Batch]]:
        """Features [B,C,h,w] and the questions about them; each epoch takes the next of the views."""
        order = EpochOrder(self.count, size, seed, 0, 1)
        order.epoch = epoch
        copy = epoch % self.copies
        for keys in order:
            chosen = [i for _, i in keys]
            yield self.features[copy, chosen].float(), self.collate([self.questions[copy][i] for i in chosen])


def train_head(
    network: Network, frozen: FrozenViews, seed: int, epochs: int, batch_size: int, smoothing: float, look: float
) -> None:
    """Replace the network's head by a new one, trained with this seed."""
    torch.manual_seed(seed)
    network.head = Head(network.shape)
    optimizer = torch.optim.AdamW(network.head.parameters(), lr=2e-3, weight_decay=0.02)
    total = epochs * max(1, frozen.count // batch_size)
    step = 0
    network.train()
    for epoch in range(epochs):
        for features, batch in frozen.batches(epoch, seed, batch_size):
            for group in optimizer.param_groups:
                warm = min(1.0, (step + 1) / min(50, total / 10))
                group["lr"] = 2e-3 * warm * 0.5 * (1 + math.cos(math.pi * step / total))
            logits, looked = network.head(features[batch.of], batch.ids, batch.lengths)
            loss = F.cross_entropy(logits, batch.answers, ignore_index=-1, label_smoothing=smoothing)
            if network.shape.attention:
                loss = loss - look * (batch.focus * looked.clamp_min(1e-6).log()).sum() / len(batch.answers)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
    network.eval()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.heads", description="Seed-to-seed spread of a run's head.")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--views", type=int, default=5, help="augmented views of every picture")
    parser.add_argument("--out", type=Path, help="default: the run folder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        run, dataset = RunFolder(options.run), load_dataset(options.data)
        network, vocabulary, answers, side = run.load()
        config = run.about()["config"]
        frozen = FrozenViews(network, dataset, config, vocabulary, answers, options.views)
        rows = []
        for seed in options.seeds:
            loss = config["loss"]
            train_head(network, frozen, seed, options.epochs, config["batch"], loss["label_smoothing"], loss["look"])
            row: dict[str, Any] = {"seed": seed}
            for split in ("val", "test"):
                if dataset.splits[split]:
                    row[split] = predict(network, dataset, split, vocabulary, answers, side).accuracy
            log.info("%s", row)
            rows.append(row)
        result: dict[str, Any] = {"model": network.shape.name, "epochs": options.epochs, "seeds": rows}
        for split in ("val", "test"):
            values = [r[split] for r in rows if split in r]
            if len(values) > 1:
                result[split] = {"mean": statistics.mean(values), "deviation": statistics.stdev(values)}
        file = (options.out or options.run) / "heads.json"
        file.write_text(json.dumps(result, indent=1), encoding="utf-8")
        print(json.dumps(result, indent=1))
    except EdgeVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
