"""python -m export.release --run runs/NAME --data FOLDER [--name NAME] [--ship]

Turns a finished run into a release: export/released/NAME/ gets the weights (16-bit safetensors), the configuration,
the learning curves and the figures on val and test, measured on the network and on its int8 .evqa file through the
engine in C++. --ship also puts that file into the package.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_vqa.evqa_tensors import load_tensors, save_tensors
from edge_vqa.model_file import BUNDLED, EVQA

from .command import ends_in_one_line
from .data import load_dataset
from .evaluate import evaluate, evaluate_model_file
from .model_card import model_card
from .run_folder import RunFolder
from .to_evqa import export_evqa

RELEASED = Path(__file__).parent / "released"
VNFOOD_SOURCES = [
    {"name": "Food_detection_and_health_care, version 2", "by": "Roboflow user nguyn-tin", "licence": "CC BY 4.0"},
    {"name": "an com, version 11", "by": "Roboflow user tnh-tin-cm", "licence": "MIT"},
]
_FIGURES = ("split", "questions", "accuracy", "loss", "calibration_error", "accuracy_by_kind")


def about_release(name: str) -> dict[str, Any]:
    """What every file of the released model `name` says of itself: name, licence, sources, figures, model_card.

    Figures are the network's own on test, none where test was not measured. Raises DataError when there is no such
    release.
    """
    folder = RELEASED / name
    file = folder / "test.json"
    test = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    return {
        "name": name,
        "licence": "MIT",
        "sources": VNFOOD_SOURCES,
        "figures": {key: test[key] for key in _FIGURES} if test else {},
        "model_card": model_card(name, RunFolder(folder).about(), test),
    }


def release(run: RunFolder, data: str, name: str, ship: bool) -> Path:
    """Do all of it; returns the release folder."""
    run.load()  # refuses a run that has not ended, before anything is changed
    dataset = load_dataset(data)
    folder = RELEASED / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("run.json", "model.safetensors", "history.jsonl", "curves.png"):
        if run.path.resolve() != folder.resolve():
            shutil.copyfile(run.path / file, folder / file)
    with tempfile.TemporaryDirectory() as scratch:
        model_file = Path(scratch) / f"{name}{EVQA}"
        export_evqa(run, dataset, model_file, "int8", {"name": name})
        for split in [s for s in ("val", "test") if dataset.splits[s]]:
            result, predictions = evaluate(run, dataset, split, folder)
            result["model_file"] = evaluate_model_file(model_file, None, dataset, predictions)
            (folder / f"{split}.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
            print(f"{split}: {result['accuracy']:.4f}, int8 {result['model_file']['accuracy']:.4f}")
        if ship:
            shipped = BUNDLED / model_file.name
            describe(model_file, shipped, about_release(name))
            print(f"shipped: {shipped} ({shipped.stat().st_size / 1e6:.2f} MB)")
    return folder


def describe(source: Path, out: Path, about: dict[str, Any]) -> None:
    """Write an .evqa file again, with `about` added to what it says of itself. Raises ModelError."""
    model = load_tensors(source)
    save_tensors(out, replace(model.file, path=out, about={**model.file.about, **about}), model.tensors)


@ends_in_one_line
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.release", description="Turn a finished run into a release.")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--name", help="name of the release (default: the network's)")
    parser.add_argument("--ship", action="store_true", help="put the int8 .evqa file into the package")
    options = parser.parse_args(arguments)
    run = RunFolder(options.run)
    name = options.name or run.about()["shape"]["name"]
    print(f"released: {release(run, options.data, name, options.ship)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
