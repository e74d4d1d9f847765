"""Importing and starting stay light."""

import subprocess
import sys
from pathlib import Path

from native_library import needs_native

CARROT = Path(__file__).parents[2] / "examples" / "ca_rot.jpg"


def loaded(code: str, *watched: str) -> list[str]:
    """Which of these modules the code loads in a fresh process; whatever it prints goes before."""
    code += f"\nimport sys; print(*(m for m in {watched!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[-1].split()


def test_importing_and_answering_loads_nothing_of_the_training_side() -> None:
    code = (
        "from edge_vqa import VQA; from PIL import Image\n"
        "VQA().ask(Image.new('RGB', (64, 64)), 'món này là gì'); VQA(engine='onnx')"
    )
    assert loaded(code, "numpy", "torch", "torchvision", "onnx", "export", "matplotlib") == ["numpy"]


def test_importing_alone_loads_no_engine() -> None:
    assert loaded("import edge_vqa", "onnxruntime", "numpy", "ctypes") == []


@needs_native
def test_the_command_answers_without_numpy_and_without_what_is_slow_to_load() -> None:
    code = f"import edge_vqa.run; assert edge_vqa.run.main(['--image', {str(CARROT)!r}, '--q', 'món này là gì']) == 0"
    heavy = (
        "numpy", "onnxruntime", "torch", "edge_vqa.engines.onnx", "edge_vqa.engines.reference", "edge_vqa.bulk",
        "edge_vqa.answer_file", "edge_vqa.progress", "concurrent.futures",
    )  # fmt: skip
    assert loaded(code, *heavy) == []
    avoidable = ("PIL.PngImagePlugin", "PIL.ImageOps", "json", "hashlib", "zipfile", "shutil")
    # Some releases of Pillow and of Python load some of these by themselves.
    unavoidable = loaded("import ctypes, argparse, PIL.JpegImagePlugin, runpy", "dataclasses", "pathlib", *avoidable)
    assert set(loaded(code, "dataclasses", "pathlib", *avoidable)) <= set(unavoidable)


@needs_native
def test_python_m_answers_without_numpy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "edge_vqa.run", "--image", str(CARROT), "--q", "món này là gì"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    modules = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "ctypes" in modules
    assert modules.isdisjoint({"numpy", "onnxruntime", "torch", "onnx"})
