"""python -m export.heads --run runs/NAME --data FOLDER --seeds 0 1 2

How much a result owes to chance: trains the run's head anew, from scratch, with several seeds on the run's frozen
encoder, and writes OUT/heads.json with each seed's accuracy. The encoder sees every training picture in a few augmented
views, once; the heads then train on those features, a minute or two a seed on two cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .command import ends_in_one_line
from .data import load_dataset
from .frozen import FrozenViews, train_head
from .models import Head
from .run_folder import RunFolder
from .scoring import predict
from .views import Pictures

log = logging.getLogger("export.heads")


@ends_in_one_line
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
    run, dataset = RunFolder(options.run), load_dataset(options.data)
    network, vocabulary, answers, side = run.load()
    config = run.config()
    pictures = Pictures(dataset.image_paths, dataset.images("train"), config.store)
    augment = replace(config.augment, crop=max(0.6, config.augment.crop))
    frozen = FrozenViews(network, dataset, pictures, augment, vocabulary, answers, options.views, side)
    rows = []
    for seed in options.seeds:
        torch.manual_seed(seed)
        network.head = Head(network.shape)
        train_head(network, frozen, seed, options.epochs, config.batch, 2e-3, config.loss)
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
