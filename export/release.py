"""python -m export.release --run runs/NAME --data FOLDER [--ship]

Turns a finished run into a release: export/released/MODEL/ gets the weights (16-bit safetensors), the configuration,
the learning curves and the figures on val and test, measured on the network, on the .evqa file through the engine in
C++ and on the .vqa.zip file through onnxruntime. --ship also puts both int8 files into the package.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_vqa.errors import EdgeVQAError
from edge_vqa.model_file import BUNDLED, EVQA, SUFFIX

from .data import load_dataset
from .evaluate import evaluate, evaluate_model_file
from .run_folder import RunFolder
from .to_evqa import convert
from .to_onnx import export_model

RELEASED = Path(__file__).parent / "released"
VNFOOD_SOURCES = [
    {"name": "Food_detection_and_health_care, version 2", "by": "Roboflow user nguyn-tin", "licence": "CC BY 4.0"},
    {"name": "an com, version 11", "by": "Roboflow user tnh-tin-cm", "licence": "MIT"},
]


def release(run: RunFolder, data: str, ship: bool) -> Path:
    """Do all of it; returns the release folder."""
    run.load()  # refuses a run that has not ended, before anything is changed
    dataset = load_dataset(data)
    name = run.about()["shape"]["name"]
    folder = RELEASED / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("run.json", "model.safetensors", "history.jsonl", "curves.png"):
        shutil.copyfile(run.path / file, folder / file)
    with tempfile.TemporaryDirectory() as scratch:
        onnx_file, model_file = Path(scratch) / f"{name}{SUFFIX}", Path(scratch) / f"{name}{EVQA}"
        about: dict[str, Any] = {"licence": "MIT"}
        if dataset.name == "vnfood":
            about["data"] = VNFOOD_SOURCES
        for split in [s for s in ("val", "test") if dataset.splits[s]]:
            result, predictions = evaluate(run, dataset, split, folder)
            if not model_file.exists():
                export_model(run, dataset, onnx_file, "int8", about)
                convert(onnx_file, model_file, {})
            result["model_file"] = evaluate_model_file(model_file, None, dataset, predictions)
            result["onnx_file"] = evaluate_model_file(onnx_file, "onnx", dataset, predictions)
            (folder / f"{split}.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
            print(f"{split}: {result['accuracy']:.4f}, int8 {result['model_file']['accuracy']:.4f}")
        if ship:
            for made in (model_file, onnx_file):
                shutil.copyfile(made, BUNDLED / made.name)
                print(f"shipped: {BUNDLED / made.name} ({made.stat().st_size / 1e6:.2f} MB)")
    return folder


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.release", description="Turn a finished run into a release.")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--ship", action="store_true", help="put the int8 model files into the package")
    options = parser.parse_args(arguments)
    try:
        print(f"released: {release(RunFolder(options.run), options.data, options.ship)}")
    except EdgeVQAError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
