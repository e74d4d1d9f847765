"""Whether exported files are sound by the judgement of their formats' own tools."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from edge_vqa.errors import DataError

from .matrix import Exported


def check_onnx(path: Path) -> None:
    """onnx.checker with shape inference. Raises its errors."""
    import onnx

    onnx.checker.check_model(path, full_check=True)


def check_tflite(path: Path) -> None:
    """The structure of the flatbuffer, every offset and every tensor's size. Raises ModelError."""
    from export.to_tflite import verify

    verify(path)


def check_manifest(folder: Path, models: Iterable[str]) -> list[str]:
    """What is wrong with the files of these models that manifest.json lists, one text each; none without a manifest.

    Raises DataError when the manifest itself is damaged.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return []
    problems = []
    try:
        for entry in json.loads(manifest.read_text(encoding="utf-8"))["files"]:
            file = folder / entry["file"]
            if entry["model"] not in models:
                continue
            if not file.is_file():
                problems.append(f"{file.name}: listed in manifest.json, but not there")
            elif hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
                problems.append(f"{file.name}: not the file that manifest.json lists (another SHA-256)")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{manifest}: damaged ({error!r})") from error
    return problems


CHECKS = {"onnx": check_onnx, "tflite": check_tflite}


def check(file: Exported) -> list[tuple[str, str]]:
    """For the file and its halves: name and what is wrong with it, "" where nothing is. None for .evqa."""
    if file.format not in CHECKS:
        return []
    found = []
    for path in file.paths:
        try:
            CHECKS[file.format](path)
            found.append((path.name, ""))
        except Exception as error:  # protobuf, onnx and the verifier share no base class but Exception
            found.append((path.name, " ".join(str(error).split()) or type(error).__name__))
    return found
