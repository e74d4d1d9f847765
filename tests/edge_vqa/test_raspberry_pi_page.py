"""The programs of docs/raspberry-pi.md run, with cameras that show one of the example pictures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "raspberry-pi.md").read_text(encoding="utf-8")
BEFORE = "from edge_vqa import VQA\nvqa = VQA()\n"
"""What the page's second program takes from the first."""

PICAMERA2 = """
import numpy
from PIL import Image

class Picamera2:
    looks = 0
    def create_preview_configuration(self, main):
        assert main["format"] == "BGR888"  # the name of arrays in the order R, G, B
        return main
    def configure(self, configuration): self.size = configuration["size"]
    def start(self): self.started = True
    def stop(self): print("stopped")
    def capture_array(self):
        assert self.started
        if self.looks == 2:
            raise KeyboardInterrupt
        self.looks += 1
        return numpy.asarray(Image.open(PICTURE).convert("RGB").resize(self.size))
"""
CV2 = """
import numpy
from PIL import Image

class VideoCapture:
    def __init__(self, number): pass
    def read(self): return True, numpy.asarray(Image.open(PICTURE).convert("RGB"))[:, :, ::-1].copy()
"""


@pytest.mark.parametrize(
    ("module", "fake", "before", "expected"),
    [("picamera2", PICAMERA2, "", r"cà rốt \(\d+%\)\nstopped\n"), ("cv2", CV2, BEFORE, "cà rốt\n")],
)
def test_a_program_of_the_page_runs(tmp_path: Path, module: str, fake: str, before: str, expected: str) -> None:
    pytest.importorskip("numpy")
    program = next(text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if f"{module}" in text)
    (tmp_path / "program.py").write_text(before + program, encoding="utf-8")
    picture = str(ROOT / "examples" / "ca_rot.jpg")
    (tmp_path / f"{module}.py").write_text(f"PICTURE = {picture!r}\n{fake}", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=False, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(expected, done.stdout), done.stdout
