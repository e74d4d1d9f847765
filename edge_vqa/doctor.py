"""python -m edge_vqa.doctor says what this installation is made of and whether it answers as it should.

Exit codes: 0 all is well; 1 something is not, and the last lines say what; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import struct
import sys
from importlib import metadata
from typing import Any

from . import __version__
from .engines import ENGINES, default_threads, native, open_engine
from .errors import EdgeVQAError
from .evqa_file import read_evqa
from .model_file import EVQA, ModelFile, find_model, load_model

KNOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", "self_test.json")
"""What the bundled model answers, bit for bit; written by python -m export.self_test."""

QUESTIONS = ("món này là món gì", "co tom trong mon nay khong", "Màu chủ đạo là gì?")
_PACKAGES = {"onnx": ("onnxruntime",), "tflite": ("ai-edge-litert", "tflite-runtime"), "reference": ("numpy",)}
"""Any of these makes the engine run."""


class Report:
    """What was found, for people and programs, and what is wrong with it."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.faults: list[str] = []

    def fault(self, text: str) -> None:
        if text not in self.faults:
            self.faults.append(text)


def examine(model: str | None = None) -> Report:
    """Look at everything; raises nothing that an installation can cause."""
    report = Report()
    report.found["edge_vqa"] = __version__
    report.found["python"] = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    report.found["pictures"] = _pictures(report)
    loaded = _model(report, model)
    library = _native(report)
    report.found["engines"] = _engines(report, library)
    if loaded is not None:
        _self_test(report, loaded, library)
    return report


def synthetic_picture(side: int) -> bytes:
    """RGB pixels that need no file and no decoder: stripes and squares, the same on every machine."""
    return bytes(
        (x * (3 + c) + y * (5 - c) + (x // 16) * (y // 16) * 29) & 255
        for y in range(side)
        for x in range(side)
        for c in range(3)
    )


def ask_all(model: ModelFile, engine: Any) -> list[dict[str, str]]:
    """The self-test's answers: text, and the SHA-256 of logits and attention as float32, little-endian."""
    scene = engine.encode(synthetic_picture(model.side))
    answers = []
    for question in QUESTIONS:
        logits, attention = engine.answer(scene, model.vocabulary.encode(question).ids)
        values = [*logits, *attention]
        answers.append(
            {
                "question": question,
                "answer": model.answers[max(range(len(model.answers)), key=logits.__getitem__)],
                "sha256": hashlib.sha256(struct.pack(f"<{len(values)}f", *values)).hexdigest(),
            }
        )
    return answers  # fmt: skip


def _pictures(report: Report) -> str:
    from PIL import __version__ as version
    from PIL import features

    formats = [name for name, codec in (("JPEG", "jpg"), ("PNG", "zlib")) if features.check(codec)]
    formats += ["WebP"] if features.check("webp") else []
    if "JPEG" not in formats:
        report.fault("Pillow was built without JPEG: pip install --force-reinstall Pillow")
    return f"Pillow {version}, {', '.join(formats)}"


def _model(report: Report, name: str | None) -> ModelFile | None:
    try:
        path = find_model(name)
        model = load_model(path)
        if model.kind == EVQA:
            read_evqa(path, verify=True)
        with open(path, "rb") as stream:
            content = stream.read()
        digest = content[32:64].hex() if model.kind == EVQA else hashlib.sha256(content).hexdigest()
        report.found["model"] = {
            "file": path, "name": model.name, "precision": model.precision, "bytes": len(content), "sha256": digest,
        }  # fmt: skip
        return model
    except (EdgeVQAError, OSError) as error:
        report.found["model"] = None
        report.fault(f"the model: {error}")
        return None


def _native(report: Report) -> native.Library | None:
    report.found["native"] = None
    try:
        library = native.load_library()
    except ImportError as error:
        report.fault(f"no native engine: {ENGINES['native'].remedy} ({error})")
        return None
    except EdgeVQAError as error:
        report.fault(f"the native engine: {error}")
        return None
    version = library.version().decode()
    if version != __version__:
        report.fault(f"the native engine is of version {version}, the package of {__version__}: install edge_vqa anew")
    report.found["native"] = {
        "library": library.path,
        "version": version,
        "processor": library.features_of_processor().decode(),
        "levels": library.levels().decode().split(),
        "level": None,
        "threads": None,
    }
    return library


def _engines(report: Report, library: native.Library | None) -> dict[str, str | None]:
    """Name -> version, None where it is not installed. Nothing is imported."""
    found: dict[str, str | None] = {"native": library.version().decode() if library else None}
    for name, packages in _PACKAGES.items():
        found[name] = None
        for package in packages:
            try:
                found[name] = found[name] or f"{package} {metadata.version(package)}"
            except metadata.PackageNotFoundError:
                continue
    return found


def _self_test(report: Report, model: ModelFile, library: native.Library | None) -> None:
    """At every level of kernels; without a native engine, with the engine that answers in its stead."""
    tests: dict[str, list[dict[str, str]]] = {}
    report.found["self_test"] = {}
    try:
        engine: Any = open_engine("native" if library and model.kind == EVQA else None, model)
        if isinstance(engine, native.NativeEngine):
            report.found["native"].update(level=engine.isa, threads=engine.threads)
            tests = _at_every_level(model, report.found["native"]["levels"])
        else:
            report.found["threads"] = default_threads()
            tests[engine.name] = ask_all(model, engine)
    except EdgeVQAError as error:
        report.fault(f"the self-test: {error}")
    expected = _known(report, model)
    for name, answers in tests.items():
        # The others' float operations round in another order.
        exact = expected is not None and name not in ("onnx", "tflite")
        wanted = expected or next(iter(tests.values()))
        right = sum(a == w if exact or not expected else a["answer"] == w["answer"] for a, w in zip(answers, wanted))
        report.found["self_test"][name] = f"{right} of {len(answers)}{' bit for bit' if exact else ''}"
        if right != len(answers):
            report.fault(f"the self-test: {name} gives {len(answers) - right} of {len(answers)} answers wrongly")


def _at_every_level(model: ModelFile, levels: list[str]) -> dict[str, list[dict[str, str]]]:
    chosen = os.environ.get("EDGE_VQA_ISA")
    try:
        tests = {}
        for level in levels:
            os.environ["EDGE_VQA_ISA"] = level
            tests[level] = ask_all(model, open_engine("native", model))
        return tests
    finally:
        if chosen is None:
            os.environ.pop("EDGE_VQA_ISA", None)
        else:
            os.environ["EDGE_VQA_ISA"] = chosen


def _known(report: Report, model: ModelFile) -> list[dict[str, str]] | None:
    """The answers that are known of this model; None: of this one, none are."""
    try:
        with open(KNOWN, encoding="utf-8") as stream:
            known = json.load(stream)
        if known["sha256"] != report.found["model"]["sha256"]:
            return None
        answers: list[dict[str, str]] = known["answers"]
        return answers
    except (OSError, ValueError, KeyError, TypeError) as error:
        report.fault(f"{KNOWN}: cannot be read ({error!r})")
        return None


def _lines(report: Report) -> list[str]:
    f = report.found
    lines = [("edge_vqa", f["edge_vqa"]), ("python", f["python"]), ("pictures", f["pictures"])]
    if f["model"]:
        m = f["model"]
        lines.append(("model", f"{m['name']}, {m['precision']}, {m['bytes'] / 1e6:.2f} MB, {m['file']}"))
        lines.append(("", f"SHA-256 {m['sha256']}, verified"))
    if f["native"]:
        n = f["native"]
        lines.append(("library", n["library"]))
        lines.append(("processor", n["processor"]))
        lines.append(("kernels", f"{n['level'] or 'none'} of {' '.join(n['levels'])}"))
        lines.append(("threads", str(n["threads"])))
    for name, version in f["engines"].items():
        lines.append(("engines" if name == "native" else "", f"{name:10} {version or 'not installed'}"))
    for i, (name, result) in enumerate(f.get("self_test", {}).items()):
        lines.append(("" if i else "self-test", f"{name:10} {result}"))
    return [f"{name:10} {text}" for name, text in lines]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m edge_vqa.doctor",
        description="Say what this installation is made of, and test that it answers as it should.",
        epilog="Exit codes: 0 all is well; 1 something is not; 2 wrong usage.",
    )
    parser.add_argument("--model", help="a model file (.evqa, .onnx, .tflite) or the name of a bundled model")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    report = examine(options.model)
    if options.json:
        print(json.dumps({**report.found, "faults": report.faults, "well": not report.faults}, indent=1))
    else:
        print("\n".join(_lines(report)))
        for fault in report.faults:
            print(f"FAULT      {fault}")
        if not report.faults:
            print("all is well")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
