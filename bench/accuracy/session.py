"""One measurement: every file of every model, and what comes of it as a dictionary that JSON holds."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from export.data import Dataset, load_dataset

from .asked import Asked, load_asked
from .checks import check_manifest
from .full_precision import one_thread
from .matrix import list_files
from .model_session import ModelSession

_PACKAGES = ("torch", "onnx", "onnxruntime", "ai-edge-litert", "numpy")


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    files: Path
    runs: Path
    """Holds the folder of a trained run for each model."""
    data: Path
    split: str
    models: tuple[str, ...]
    formats: tuple[str, ...]
    questions: int | None
    """None: all."""
    out: Path
    tell: Callable[[str], None]


def measure(plan: Plan) -> dict[str, Any]:
    """Everything; what could not be measured is in `problems`. Raises EdgeVQAError when nothing can be."""
    began, load = time.monotonic(), _load()
    files = list_files(plan.files, plan.models, plan.formats)
    dataset = load_dataset(plan.data)
    asked = load_asked(dataset, plan.split, plan.questions)
    val = _val(dataset, asked)
    models: dict[str, Any] = {}
    problems = check_manifest(plan.files, plan.models)
    with one_thread():
        for name in plan.models:
            session = ModelSession(plan.runs / name, asked, val, plan.out / "cache", plan.tell)
            models[name] = session.measure([file for file in files if file.model == name])
            problems += session.problems
    return {
        "data": dataset.name,
        "split": plan.split,
        "questions": len(asked.examples),
        "pictures": len(asked.images),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "minutes": (time.monotonic() - began) / 60,
        "processor": _processor(),
        "load": [load, _load()],
        "versions": _versions(),
        "models": models,
        "problems": problems,
        "worst": worst(models),
    }


def _val(dataset: Dataset, asked: Asked) -> Asked | None:
    """All of val, which sets the temperature; `asked` itself where that is the same. None: there is no val."""
    if not dataset.splits["val"]:
        return None
    val = load_asked(dataset, "val", None)
    return asked if asked.split == "val" and len(asked.examples) == len(val.examples) else val


def worst(models: dict[str, Any]) -> dict[str, float | None]:
    """Over all int8 files: most points lost, and the lowest agreement with PyTorch, in per cent; over all models: the
    lowest share of questions to which a model's int8 files agree, in per cent. None: nothing was measured.
    """
    int8 = [found for model in models.values() for key, found in model["files"].items() if key.startswith("int8")]
    agree = [model["engines_agree"] for model in models.values() if model["engines_agree"] is not None]
    return {
        "int8_loss": max((found["points_lost"] for found in int8), default=None),
        "agreement": min((100 * found["agreement"] for found in int8), default=None),
        "engines_agree": min((100 * share for share in agree), default=None),
    }


def last_line(found: dict[str, float | None]) -> str:
    """The figures of `worst` to two decimals."""
    names = {"worst_int8_loss": "int8_loss", "worst_agreement": "agreement", "engines_agree": "engines_agree"}
    return " ".join(f"{name}={_two(found[key])}" for name, key in names.items())


def _two(value: float | None) -> str:
    return "nan" if value is None else f"{round(value, 2) + 0.0:.2f}"


def _load() -> float:
    """How many processes wanted a processor in the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = ()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
