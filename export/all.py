"""python -m export.all --data FOLDER [--out exports] [--models NAME ...]

Writes every released model in every format: int8 and float32; .evqa, and whole, encoder and head as .onnx and .tflite.
manifest.json lists each file with its bytes, its SHA-256 and its model's figures. The same weights and data give the
same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from edge_vqa.errors import DataError
from edge_vqa.model_file import PRECISIONS

from .command import ends_in_one_line
from .release import RELEASED

MANIFEST = "manifest.json"


def released_models() -> list[str]:
    """Names of the models that have weights in export/released."""
    return sorted(p.parent.name for p in RELEASED.glob("*/model.safetensors"))


def export_one(name: str, precision: str, data: str, out: Path) -> list[Path]:
    """All files of one released model at one precision. Raises EdgeVQAError, OSError."""
    # PyTorch is loaded here and not above, so that --help and wrong usage are answered at once.
    import torch

    from .data import load_dataset
    from .release import about_release
    from .run_folder import RunFolder
    from .to_evqa import export_evqa
    from .to_onnx import write_onnx
    from .to_tflite import write_tflite

    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)
    evqa = out / f"{name}-{precision}.evqa"
    dataset = load_dataset(data)
    export_evqa(RunFolder(RELEASED / name), dataset, evqa, precision, about_release(name))
    return [evqa, *write_onnx(evqa, out), *write_tflite(evqa, out)]


def describe(file: Path, name: str, precision: str) -> dict[str, Any]:
    """One entry of the manifest."""
    data = file.read_bytes()
    stem, *parts = file.name.removeprefix(f"{name}-{precision}").strip(".").split(".")
    part, kind = (stem, parts[0]) if parts else ("whole", stem)
    return {
        "file": file.name,
        "model": name,
        "precision": precision,
        "format": kind,
        "part": part,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def figures(name: str) -> dict[str, Any]:
    """What was measured on test when the model was released; empty where it was not."""
    file = RELEASED / name / "test.json"
    if not file.is_file():
        return {}
    measured = json.loads(file.read_text(encoding="utf-8"))
    return {key: measured[key] for key in ("accuracy", "loss", "questions") if key in measured}


def export_all(data: str, out: Path, models: list[str], jobs: int = 2) -> Path:
    """Write the matrix and its manifest; returns the manifest's path. Raises EdgeVQAError, OSError."""
    unknown = sorted(set(models) - set(released_models()))
    if unknown:
        raise DataError(f"{', '.join(unknown)}: no such released model (known: {', '.join(released_models())})")
    out.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    # Each job takes what it needs from the released folder and the data: nothing is shared but the output folder.
    with ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(export_one, m, p, data, out): (m, p) for m in models for p in PRECISIONS}
        for done in as_completed(waiting):
            name, precision = waiting[done]
            files = done.result()
            entries += [describe(file, name, precision) for file in files]
            print(f"{name} {precision}: {len(files)} files", flush=True)
    manifest = out / MANIFEST
    content = {
        "models": {name: figures(name) for name in models},
        "files": sorted(entries, key=lambda e: (models.index(e["model"]), e["file"])),
    }
    part = out / f"{MANIFEST}.part"
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(manifest)
    return manifest


@ends_in_one_line
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.all", description="Every released model in every format.")
    parser.add_argument("--data", required=True, help="the data set that the models were trained on")
    parser.add_argument("--out", type=Path, default=Path("exports"), metavar="FOLDER")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="default: all in export/released")
    parser.add_argument("--jobs", type=int, default=2, help="processes, 2 GB of memory each")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs: give 1 or more")
    began = time.monotonic()
    manifest = export_all(options.data, options.out, options.models or released_models(), options.jobs)
    files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    total = sum(f["bytes"] for f in files) / 1e6
    print(f"{manifest}: {len(files)} files, {total:.1f} MB, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
