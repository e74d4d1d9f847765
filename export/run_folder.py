"""The files of one training run, each written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from edge_vqa.errors import DataError
from edge_vqa.question import Vocabulary

from .config import Config, config_from
from .models import Network, Shape
from .views import Labels


class RunFolder:
    """runs/NAME: run.json, history.jsonl, curves.png, last.pt, model.safetensors."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoint(self) -> Path:
        return self.path / "last.pt"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    def begin(self, config: Config, shape: Shape, vocabulary: Vocabulary, answers: list[str], labels: Labels) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "history.jsonl").unlink(missing_ok=True)
        about = {
            "config": asdict(config),
            "shape": shape.to_dict(),
            "side": config.side,
            "vocabulary": vocabulary.words,
        }
        about |= {"answers": answers, "things": labels.things, "dishes": labels.dishes}
        self._write("run.json", json.dumps(about, ensure_ascii=False, indent=1).encode())

    def refuse_other(self, config: Config, vocabulary: Vocabulary, answers: list[str], labels: Labels) -> None:
        """Raises DataError when the folder's run has another configuration, or learns from other data."""
        about, own = self.about(), asdict(self.config())
        changed = [key for key, value in asdict(config).items() if own[key] != value]
        given = {"vocabulary": vocabulary.words, "answers": answers, "things": labels.things, "dishes": labels.dishes}
        changed += [key for key, value in given.items() if about[key] != list(value)]
        if changed:
            raise DataError(
                f"{self.path}: holds a run with other settings ({', '.join(changed)}); give another --out, or delete it"
            )

    def about(self) -> dict[str, Any]:
        """What `begin` wrote. Raises DataError when the folder holds no run."""
        file = self.path / "run.json"
        if not file.is_file():
            raise DataError(f"{self.path}: not a training run (no run.json)")
        return json.loads(file.read_text(encoding="utf-8"))

    def config(self) -> Config:
        """The run's configuration."""
        return config_from(self.about()["config"], self.path / "run.json")

    def load(self) -> tuple[Network, Vocabulary, list[str], int]:
        """The trained network (evaluation mode), its vocabulary, its answers and its input side in pixels."""
        about = self.about()
        network = Network(Shape(**about["shape"]))
        if not self.weights.is_file():
            raise DataError(f"{self.path}: the run has not ended yet (no {self.weights.name})")
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in load_file(self.weights).items()}
        )
        return network.eval(), Vocabulary(about["vocabulary"]), about["answers"], about["side"]

    def add_history(self, record: dict[str, Any]) -> None:
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """One record an epoch; an epoch that was repeated after an interruption counts once."""
        file = self.path / "history.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        return list({r["epoch"]: r for r in map(json.loads, lines)}.values())

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def save_weights(self, network: nn.Module) -> None:
        """Released form: 16-bit floats."""
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
        part = self.weights.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in tensors.items()}, part)
        part.replace(self.weights)

    def draw_curves(self) -> None:
        from .plots import draw_curves

        draw_curves(self.history(), self.path / "curves.png", self.path.name)

    def _write(self, name: str, data: bytes) -> None:
        part = self.path / f"{name}.part"
        part.write_bytes(data)
        part.replace(self.path / name)
