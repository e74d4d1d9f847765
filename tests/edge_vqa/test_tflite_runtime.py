"""tflite-runtime 2.14, the last of its name, answers files that this environment writes.

It needs Python 3.11 and NumPy 1 and so an environment of its own: tests/run makes .venv-tflite. EDGE_VQA_TFLITE_PYTHON
names another interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import make_model

from edge_vqa import VQA
from edge_vqa.evqa_file import FLOAT32, INT8, PRECISIONS
from edge_vqa.evqa_tensors import Array, load_tensors
from edge_vqa.model_file import find_model

pytest.importorskip("ai_edge_litert.interpreter", reason="needs LiteRT (pip install ai-edge-litert)")
from export.to_tflite import write_tflite

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("EDGE_VQA_TFLITE_PYTHON", ROOT / ".venv-tflite" / "bin" / "python"))
pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason=f"{PYTHON} is not there: no tflite-runtime to test with")

QUESTIONS = (
    "gi", "món này là món gì", "mon nay gi mon nay", "có tôm trong món này không",
    "món này có màu gì và là món gì và có bao nhiêu món ở bên trái của ảnh này",
)  # fmt: skip
"""1 to 19 words."""


def answers(folder: Path, asked: list[dict[str, str]]) -> list[dict[str, Any]]:
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    command = [str(PYTHON), str(ROOT / "tests" / "tflite_runtime" / "answer.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert {f["runtime"] for f in found} == {"tflite_runtime"}
    return found


def reference_answer(vqa: VQA, picture: Path, question: str) -> tuple[str, Array, Array]:
    scene = vqa.look(picture)
    logits, attention = vqa.engine.answer(scene._features, vqa.model.vocabulary.encode(question).ids)
    return scene.ask(question).text, np.array(logits), np.array(attention)


def test_tiny_models(tmp_path: Path) -> None:
    from PIL import Image

    asked, models = [], []
    for kind in ("mobile-attention", "odd", "dense-attention"):
        for precision in (INT8, FLOAT32):
            evqa = make_model(tmp_path / f"{kind}-{PRECISIONS[precision]}.evqa", kind, precision=precision)
            picture = tmp_path / f"{kind}.png"
            side = load_tensors(evqa).file.sizes.side
            pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(picture)
            whole, encoder, _ = write_tflite(evqa, tmp_path)
            for question, file in zip(QUESTIONS[::2], (whole, encoder, whole)):
                asked.append({"model": file.name, "picture": picture.name, "question": question})
                models.append((evqa, precision))
    for case, (evqa, precision), found in zip(asked, models, answers(tmp_path, asked)):
        _, logits, attention = reference_answer(
            VQA(evqa, engine="reference"), tmp_path / case["picture"], case["question"]
        )
        tolerance = 1e-4 if precision == FLOAT32 else 0.06
        assert np.abs(found["logits"] - logits).max() < tolerance * np.abs(logits).max() + 1e-5, case
        assert np.abs(found["attention"] - attention).max() < tolerance, case


def test_real_questions_about_real_pictures(tmp_path: Path) -> None:
    evqa = Path(find_model(None))
    whole = write_tflite(evqa, tmp_path)[0]
    pictures = sorted((ROOT / "examples").glob("*.jpg"))
    for picture in pictures:
        (tmp_path / picture.name).write_bytes(picture.read_bytes())
    asked = [
        {"model": whole.name, "picture": picture.name, "question": question}
        for picture, question in zip(pictures[:2], QUESTIONS[1::2])
    ]
    vqa = VQA(evqa, engine="reference")
    for case, found in zip(asked, answers(tmp_path, asked)):
        text, logits, attention = reference_answer(vqa, tmp_path / case["picture"], case["question"])
        assert found["answer"] == text, case
        assert np.abs(found["logits"] - logits).max() < 0.5, case
        assert np.abs(found["attention"] - attention).max() < 0.01, case
