"""python -m export.to_evqa --run runs/NAME [--data FOLDER] [--precision int8|float32] [--out FILE] [--about JSON]

Writes a trained run as one .evqa file (docs/evqa-format.md), in int8 (docs/quantization.md) or with its own numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_vqa.errors import DataError, EdgeVQAError
from edge_vqa.evqa_file import EvqaFile
from edge_vqa.evqa_tensors import save_tensors
from edge_vqa.model_file import EVQA, PRECISIONS

from .data import Dataset, load_dataset
from .metrics import fit_temperature
from .quantization.model import Contents, float_contents, quantize
from .quantization.settings import Settings
from .run_folder import RunFolder
from .scoring import predict
from .views import Pictures


def export_evqa(
    run: RunFolder, dataset: Dataset | None, out: Path, precision: str, about: dict[str, Any],
    settings: Settings | None = None,
) -> None:  # fmt: skip
    """Write the file `out`, whole or not at all.

    `dataset` is the one that the run was trained on: its val split, where there is one, sets the softmax temperature,
    and int8 calibrates with its training pictures. The fields of `about` are what the file says of itself (licence,
    sources, figures, model_card, ...); a `name` among them stands for the network's. Raises DataError, ModelError.
    """
    if precision not in PRECISIONS:
        raise DataError(f"precision {precision!r}; known: {', '.join(PRECISIONS)}")
    network, vocabulary, answers, side = run.load()
    temperature = 1.0
    if dataset is not None and dataset.splits["val"]:
        temperature = fit_temperature(predict(network, dataset, "val", vocabulary, answers, side))
    contents: Contents
    made: dict[str, Any] = {"name": network.shape.name, **about, "precision": precision}
    if precision == "int8":
        if dataset is None:
            raise DataError("int8 needs the data set (--data): it calibrates with training pictures")
        settings = settings or Settings()
        pictures = calibration_pictures(dataset, side, settings.pictures)
        made["quantization"] = {**asdict(settings), "pictures": f"{len(pictures)} evenly spread training pictures"}
        contents = quantize(network, pictures, settings, temperature).contents()
    else:
        contents = float_contents(network, side, temperature)
    file = EvqaFile(
        out, made, tuple(vocabulary.words), tuple(answers), contents.sizes, contents.convs, contents.embedding_zero
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(out, file, contents.tensors)


def calibration_pictures(dataset: Dataset, side: int, count: int) -> Tensor:
    """[N,3,side,side] uint8 as the network is served them: `count` pictures of train, evenly spread, or all."""
    names = dataset.images("train")
    chosen = torch.linspace(0, len(names) - 1, min(count, len(names))).long().tolist()
    return Pictures(dataset.image_paths, [names[i] for i in chosen], side).pixels


def _read_about(path: Path) -> dict[str, Any]:
    """Raises DataError when the file does not hold a JSON object, OSError when it cannot be read."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(about, dict):
        raise DataError(f"{path}: not a JSON object")
    return about


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.to_evqa", description="Write a trained run as .evqa.")
    parser.add_argument("--run", type=Path, required=True, help="run folder of export.train")
    parser.add_argument("--data", help="the data set it was trained on; int8 needs it, both take the temperature of it")
    parser.add_argument("--precision", choices=PRECISIONS, default="int8")
    parser.add_argument("--out", type=Path, help=f"default RUN/NAME-PRECISION{EVQA}")
    parser.add_argument("--about", type=Path, help="JSON file whose fields the file says of itself (licence, ...)")
    options = parser.parse_args(arguments)
    try:
        run = RunFolder(options.run)
        about = _read_about(options.about) if options.about else {}
        out = options.out or options.run / f"{run.about()['shape']['name']}-{options.precision}{EVQA}"
        export_evqa(run, load_dataset(options.data) if options.data else None, out, options.precision, about)
        print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")
    except (EdgeVQAError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
