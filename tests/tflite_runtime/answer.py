"""python tests/tflite_runtime/answer.py FOLDER, in the environment of tflite-runtime

Answers FOLDER/asked.json, a list of {"model": file in FOLDER, "picture": file, "question": text}, with the engine
tflite, and prints a JSON list of {"answer", "logits", "attention", "runtime"}. No other engine is there to help.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_vqa import VQA
from edge_vqa.engines import tflite


def main() -> None:
    folder = Path(sys.argv[1])
    models: dict[str, VQA] = {}
    found: list[dict[str, Any]] = []
    for asked in json.loads((folder / "asked.json").read_text(encoding="utf-8")):
        name = asked["model"]
        vqa = models[name] = models.get(name) or VQA(folder / name, engine="tflite")
        scene = vqa.look(folder / asked["picture"])
        ids = vqa.model.vocabulary.encode(asked["question"]).ids
        logits, attention = vqa.engine.answer(scene._features, ids)
        answer = scene.ask(asked["question"])
        runtime = tflite.Interpreter.__module__.partition(".")[0]
        found.append({"answer": answer.text, "logits": logits, "attention": attention, "runtime": runtime})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
