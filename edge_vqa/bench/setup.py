"""What is measured: versions, engine, model, question, pictures, settings; everything to repeat it elsewhere."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from PIL import __version__ as pillow_version

from .. import __version__
from ..engines import default_threads
from ..vqa import VQA
from .pictures import RECIPE, Picture
from .plan import Plan, readable

_PACKAGES = {"onnx": ("onnxruntime",), "tflite": ("ai-edge-litert", "tflite-runtime"), "reference": ("numpy",)}


def describe(plan: Plan, vqa: VQA, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Ready for JSON. Files are named without the folders they lie in. Raises ModelError, OSError."""
    encoded = vqa.model.vocabulary.encode(plan.question)
    return {
        "edge_vqa": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "pillow": pillow_version,
        "engine": engine(vqa),
        "model": {
            "name": vqa.model.name, "precision": vqa.model.precision, "side": vqa.model.side,
            "files": [_file(path) for path in sorted(vqa.model.files.values())],
        },
        "threads": threads(vqa, plan.threads),
        "question": plan.question,
        "words": len(encoded.ids),
        "pictures": [picture.about() for picture in pictures],
        "recipe": RECIPE,
        "environment": {k: _anonymous(v) for k, v in sorted(os.environ.items()) if k.startswith("EDGE_VQA_")},
        "options": plan.options(),
    }  # fmt: skip


def engine(vqa: VQA) -> dict[str, Any]:
    """Name, version, level of kernels and the compiled library's SHA-256 (None: it has none)."""
    found: dict[str, Any] = {"name": vqa.engine.name, "version": None, "level": None, "library_sha256": None}
    for package in _PACKAGES.get(vqa.engine.name, ()):
        try:
            found["version"] = found["version"] or f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    if vqa.engine.name == "native":
        from ..engines.native import load_library

        library = load_library()
        found["version"] = library.version().decode()
        found["level"] = getattr(vqa.engine, "isa", None)
        found["library_sha256"] = _file(library.path)["sha256"]
    return found


def threads(vqa: VQA, asked: int | None) -> int:
    """How many the engine takes."""
    if vqa.engine.name == "reference":
        return 1
    return int(getattr(vqa.engine, "threads", 0) or asked or default_threads())


def _file(path: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"file": readable(os.path.basename(path)), "bytes": size, "sha256": digest.hexdigest()}


def _anonymous(value: str) -> str:
    """Without the name of the user's folder: results are shared."""
    home = os.path.expanduser("~")
    return readable(value.replace(home, "~") if len(home) > 1 else value)
