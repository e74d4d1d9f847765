"""python -m export.evaluate --run runs/NAME --data FOLDER [--split test] [--model-file FILE]

Writes OUT/SPLIT.json and pictures: loss, accuracy, accuracy by kind, the two baselines, confusion of dishes,
calibration error, the pointing game, and accuracy on the same questions typed without accents, decomposed (NFD), in
upper case, and asked in other ways. With --model-file the same questions also go through that model file's engine.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edge_vqa import VQA
from edge_vqa.errors import DataError
from edge_vqa.question import Vocabulary, strip_accents

from . import phrasing, plots
from .command import ends_in_one_line
from .data import Dataset, Example, load_dataset
from .metrics import baselines, confusion, fit_temperature, pointing_game, reliability, summary
from .models import Network
from .run_folder import RunFolder
from .scoring import Predictions, encode_questions, predict
from .views import Pictures

TYPED: dict[str, Callable[[str], str]] = {
    "without_accents": strip_accents,
    "nfd": lambda q: unicodedata.normalize("NFD", q),
    "upper_case": str.upper,
    "punctuated": lambda q: f"  {q} ?!",
}


def evaluate(run: RunFolder, dataset: Dataset, split: str, out: Path) -> tuple[dict[str, Any], Predictions]:
    """Everything that needs only the network; pictures are written to `out`."""
    network, vocabulary, answers, side = run.load()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    pictures = Pictures(dataset.image_paths, dataset.images(split), side)

    def run_on(ask: Callable[[str], str]) -> Predictions:
        return predict(network, dataset, split, vocabulary, answers, side, ask, pictures)

    temperature = 1.0
    if dataset.splits["val"]:
        temperature = fit_temperature(predict(network, dataset, "val", vocabulary, answers, side))
    p = run_on(lambda q: q)
    result: dict[str, Any] = {
        "model": network.shape.name,
        "run": run.path.name,
        "split": split,
        "temperature": temperature,
    }
    result |= summary(p, temperature)
    result["baselines"] = baselines(dataset.splits["train"], p.examples)
    result["accuracy_as_typed"] = {name: run_on(ask).accuracy for name, ask in TYPED.items()}
    result["accuracy_rephrased"] = _rephrased(phrasing.rephrase, p.examples, run_on)
    result["accuracy_rephrased_unheard"] = _rephrased(phrasing.rephrase_unheard, p.examples, run_on)
    result["refused"] = _refused(p, network, vocabulary, pictures)
    if network.shape.attention:
        result["pointing_game"] = pointing_game(p, dataset)
    if result["accuracy_by_kind"].get("name") is not None:
        labels, counts = confusion(p, answers)
        result["confusion"] = _worst_confusions(labels, counts)
        plots.draw_confusion(labels, counts, out / f"{split}-confusion.png", f"{network.shape.name}: dishes, {split}")
    plots.draw_kinds(
        result["accuracy_by_kind"],
        result["questions_by_kind"],
        out / f"{split}-kinds.png",
        f"{network.shape.name}, {split}: {p.accuracy:.4f}",
    )
    plots.draw_reliability(
        reliability(p, temperature), result["calibration_error"], out / f"{split}-calibration.png", network.shape.name
    )
    return result, p


@torch.inference_mode()
def _refused(p: Predictions, network: Network, vocabulary: Vocabulary, pictures: Pictures) -> dict[str, float]:
    """Share of the split's questions wrongly called unanswerable, and of held-out unanswerable ones rightly so.

    Judged as a user sees it, by unknown words or by the network. The held-out ones are each asked about 20 pictures.
    """
    device = next(network.parameters()).device
    held_out = [q for q in phrasing.OFF_TOPIC_HELD_OUT for _ in range(20)]
    chosen = pictures.pixels[torch.linspace(0, len(pictures.names) - 1, 20).long()]
    features = network.encoder(chosen.float().to(device)).repeat(len(phrasing.OFF_TOPIC_HELD_OUT), 1, 1, 1)
    ids, lengths = encode_questions(held_out, vocabulary)
    logits, _ = network.head(features, ids.to(device), lengths.to(device))

    def share(refused: torch.Tensor, questions: list[str]) -> float:
        unknown = torch.tensor([not vocabulary.encode(q).understood for q in questions])
        return float(((refused.cpu() > 0.5) | unknown).float().mean())

    return {
        "wrongly": share(p.refused, [e.question for e in p.examples]),
        "rightly": share(logits.softmax(-1)[:, -1], held_out),
        "held_out_questions": len(phrasing.OFF_TOPIC_HELD_OUT),
    }


def _rephrased(
    how: Callable[[str, str, random.Random], str],
    examples: list[Example],
    run_on: Callable[[Callable[[str], str]], Predictions],
) -> float:
    """Accuracy when every question is asked in another way (one draw, seed 0)."""
    rng = random.Random(0)
    asked = iter([how(e.kind, e.question, rng) for e in examples])
    return run_on(lambda _: next(asked)).accuracy


def _worst_confusions(labels: list[str], counts: torch.Tensor, most: int = 15) -> list[dict[str, Any]]:
    pairs = [
        (int(counts[t, a]), labels[t], labels[a])
        for t in range(counts.shape[0])
        for a in range(counts.shape[1])
        if t != a and counts[t, a]
    ]
    return [{"true": t, "answered": a, "questions": n} for n, t, a in sorted(pairs, reverse=True)[:most]]


def evaluate_model_file(file: Path, engine: str | None, dataset: Dataset, p: Predictions) -> dict[str, Any]:
    """The same questions through a model file as a user runs it, against the network's own predictions `p`."""
    vqa = VQA(file, engine)
    scenes = {name: vqa.look(dataset.image_paths[name]) for name in dict.fromkeys(e.image for e in p.examples)}
    given = [scenes[e.image].ask(e.question, top=1).text for e in p.examples]
    own = [vqa.model.answers[i] for i in p.logits.argmax(-1).tolist()]
    right = sum(g == e.answer for g, e in zip(given, p.examples, strict=True))
    return {
        "file_bytes": file.stat().st_size,
        "precision": vqa.model.precision,
        "engine": vqa.engine.name,
        "accuracy": right / len(given),
        "points_lost": 100 * (p.accuracy - right / len(given)),
        "agreement": sum(g == o for g, o in zip(given, own, strict=True)) / len(given),
    }


@ends_in_one_line
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.evaluate", description="Measure a trained network.")
    parser.add_argument("--run", type=Path, required=True, help="run folder of export.train")
    parser.add_argument("--data", required=True, help="folder with CSV files, or easy-vqa")
    parser.add_argument("--split", default="val", choices=("train", "val", "test"))
    parser.add_argument("--model-file", type=Path, help="also run this model file's engine")
    parser.add_argument("--engine", help="engine for --model-file")
    parser.add_argument("--out", type=Path, help="where results go (default: the run folder)")
    options = parser.parse_args(arguments)
    dataset = load_dataset(options.data)
    if not dataset.splits[options.split]:
        raise DataError(f"{options.data}: no {options.split}.csv")
    out = options.out or options.run
    run = RunFolder(options.run)
    run.about()
    out.mkdir(parents=True, exist_ok=True)
    result, p = evaluate(run, dataset, options.split, out)
    if options.model_file:
        result["model_file"] = evaluate_model_file(options.model_file, options.engine, dataset, p)
    file = out / f"{options.split}.json"
    file.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    print(json.dumps({k: v for k, v in result.items() if k != "confusion"}, ensure_ascii=False, indent=1))
    print(f"written: {file} and pictures beside it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
