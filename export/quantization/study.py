"""python -m export.quantization.study --data FOLDER [--models [NAME ...]]

Measures on val what each technique of quantization buys, for the released models; writes
export/released/quantization.json and the table of docs/quantization.md; --models alone writes the table again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_vqa.engines import open_engine
from edge_vqa.engines.native import NativeEngine
from edge_vqa.errors import EdgeVQAError, EngineError
from edge_vqa.evqa_file import EvqaFile
from edge_vqa.evqa_tensors import save_tensors
from edge_vqa.model_file import EVQA, load_model
from edge_vqa.question import Vocabulary

from ..data import Dataset, load_dataset
from ..models import NAMES, Network
from ..release import RELEASED
from ..report import ROOT, fill
from ..run_folder import RunFolder
from ..scoring import encode_questions
from ..to_evqa import calibration_pictures
from ..views import Pictures
from .model import Quantized, quantize
from .settings import Settings
from .simulate import features

RESULT = RELEASED / "quantization.json"
TABLE = ROOT / "docs" / "quantization.md"
_PLAIN = Settings(activation_range="max", correct_bias=False, reconstruct=False)
_CORRECTED = replace(_PLAIN, correct_bias=True)
_CLIPPED = replace(_CORRECTED, activation_range="percentile")
ROWS = {
    "one step a tensor, smallest to largest value": replace(_PLAIN, per_channel=False),
    "a step for each channel's weights": _PLAIN,
    "... with ranges at percentile 99.99": replace(_PLAIN, activation_range="percentile"),
    "... with ranges of least squared error": replace(_PLAIN, activation_range="mse"),
    "and bias correction": _CORRECTED,
    "and ranges at percentile 99.99": _CLIPPED,
    "... at percentile 99.9": replace(_CLIPPED, percentile=99.9),
    "... with weight ranges of least squared error": replace(_CLIPPED, weight_range="mse"),
    "... with channels equalized": replace(_CLIPPED, equalize=True),
    "... with weights rounded together": replace(_CLIPPED, reconstruct=True),
}
"""A row continues the last one above it that does not begin with dots."""


@dataclass(frozen=True)
class Split:
    """A split's pictures and questions as numbers, and what the exact network makes of them."""

    words: tuple[str, ...]
    answers: tuple[str, ...]
    pixels: Tensor
    """[pictures, 3, side, side] uint8."""
    ids: Tensor
    lengths: Tensor
    picture: Tensor
    """[questions] the number of each one's picture."""
    truth: Tensor
    """[questions] the number of each one's answer, -1 where the model lacks it."""
    features: Tensor
    """[pictures, cells^2, channels]."""
    logits: Tensor
    """[questions, answers + 1]."""


@torch.inference_mode()
def load_split(network: Network, dataset: Dataset, vocabulary: Vocabulary, answers: list[str], side: int) -> Split:
    """The val split."""
    examples, names = dataset.splits["val"], dataset.images("val")
    pixels = Pictures(dataset.image_paths, names, side).pixels
    number, index = {name: n for n, name in enumerate(names)}, {a: i for i, a in enumerate(answers)}
    ids, lengths = encode_questions([e.question for e in examples], vocabulary)
    picture = torch.tensor([number[e.image] for e in examples])
    truth = torch.tensor([index.get(e.answer, -1) for e in examples])
    seen = torch.cat([network.encoder(p.float()) for p in pixels.split(16)])
    parts = [network.head(seen[picture[i]], ids[i], lengths[i])[0] for i in torch.arange(len(examples)).split(512)]
    cells = seen.flatten(2).transpose(1, 2).contiguous()
    words = tuple(vocabulary.words)
    return Split(words, tuple(answers), pixels, ids, lengths, picture, truth, cells, torch.cat(parts))


@torch.inference_mode()
def simulated(model: Quantized, split: Split) -> tuple[Tensor, Tensor]:
    """Features [pictures, cells^2, channels] uint8 and logits [questions, answers + 1], computed by PyTorch."""
    seen = torch.cat([features(model.convs, model.sizes, model.place, p) for p in split.pixels.split(4)])
    parts = [
        model.head.answer(seen[split.picture[i]], split.ids[i], split.lengths[i])[0]
        for i in torch.arange(len(split.ids)).split(512)
    ]
    return seen, torch.cat(parts)


def computed(model: Quantized, split: Split) -> tuple[Tensor, Tensor]:
    """The same by the engine in C++, ten times faster. Raises EngineError where it is not compiled."""
    made = model.contents()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{EVQA}"
        file = EvqaFile(path, {}, split.words, split.answers, made.sizes, made.convs, made.embedding_zero)
        save_tensors(path, file, made.tensors)
        engine = open_engine("native", load_model(path))
        assert isinstance(engine, NativeEngine)
        scenes = [engine.encode(p.permute(1, 2, 0).contiguous().numpy().tobytes()) for p in split.pixels]
        size = made.sizes.cells**2 * made.sizes.channels
        seen = np.stack([np.frombuffer(engine.features(scene, size), np.uint8) for scene in scenes])
        questions = zip(split.picture.tolist(), split.ids.tolist(), split.lengths.tolist(), strict=True)
        logits = [engine.answer(scenes[picture], ids[:length])[0] for picture, ids, length in questions]
    return torch.from_numpy(seen).view(len(seen), -1, made.sizes.channels), torch.tensor(logits)


def measure(model: Quantized, split: Split) -> dict[str, float]:
    """Of the int8 network against the exact one: accuracy lost in points, agreement of the first answers, mean
    Kullback-Leibler divergence of the answers' probabilities in nats, SQNR of the features in dB.
    """
    try:
        seen, logits = computed(model, split)
    except EngineError:
        seen, logits = simulated(model, split)
    real = (seen.float() - model.sizes.features_zero) * model.sizes.features_scale / model.channel_scale
    exact, own = (torch.log_softmax(x, 1) for x in (split.logits, logits))
    first, was = (x[:, :-1].argmax(1) for x in (logits, split.logits))
    return {
        "points_lost": 100 * float((was == split.truth).float().mean() - (first == split.truth).float().mean()),
        "agreement": float((first == was).float().mean()),
        "divergence": float((exact.exp() * (exact - own)).sum(1).mean()),
        "sqnr": float(10 * torch.log10((split.features**2).sum() / ((real - split.features) ** 2).sum())),
    }


def study(name: str, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Row -> figures, for one released model; `seconds` are of processor time, without reading pictures."""
    network, vocabulary, answers, side = RunFolder(RELEASED / name).load()
    split = load_split(network, dataset, vocabulary, answers, side)
    pictures = calibration_pictures(dataset, side, _PLAIN.pictures)
    results = {}
    for row, settings in ROWS.items():
        began = time.process_time()
        model = quantize(network, pictures, settings)
        seconds = time.process_time() - began
        results[row] = measure(model, split) | {"seconds": seconds}
        print(f"{name}: {row}: {json.dumps(results[row])}", flush=True)
    return results


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: the mean over models of what is comparable, and each model's points lost and agreement."""
    models = list(results)
    head = " | ".join(f"`{m}`: points lost, same answer, divergence" for m in models)
    lines = [f"| setting | {head} | SQNR dB | seconds |", "|---" * (len(models) + 3) + "|"]
    shipped = next((row for row, settings in ROWS.items() if settings == Settings()), None)
    for row in ROWS:
        found = [results[m][row] for m in models]
        cells = [
            f"{f['points_lost']:+.2f}, {f['agreement']:.2%}, {1000 * f['divergence']:.2f}" for f in found
        ] + [" / ".join(f"{f['sqnr']:.1f}" for f in found), f"{max(f['seconds'] for f in found):.0f}"]  # fmt: skip
        name = f"**{row}** (shipped)" if row == shipped else row
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m export.quantization.study", description="What each technique of quantization buys, on val."
    )
    parser.add_argument("--data", required=True, help="the data set that the models were trained on")
    parser.add_argument("--models", nargs="*", default=list(NAMES), help="default: all four")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        dataset = load_dataset(options.data)
        content = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"models": {}}
        for name in options.models:
            found = study(name, dataset)
            known = json.loads(RESULT.read_text(encoding="utf-8"))["models"] if RESULT.is_file() else {}
            content = {"rows": {row: asdict(s) for row, s in ROWS.items()}, "models": {**known, name: found}}
            RESULT.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        results = {name: content["models"][name] for name in NAMES if name in content["models"]}
        text = TABLE.read_text(encoding="utf-8")
        TABLE.write_text(fill(text, {"quantization": table(results)}), encoding="utf-8")
        print(f"written: {RESULT}, {TABLE}")
    except (EdgeVQAError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
