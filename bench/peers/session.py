"""One whole comparison: set every contender up, check that they agree, time them in turns."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from edge_vqa import EdgeVQAError
from edge_vqa.evqa_tensors import EvqaModel, load_tensors
from edge_vqa.image import picture_pixels
from edge_vqa.model_file import find_model
from edge_vqa.question import Vocabulary

from . import cold_start
from .contender import Contender, Own, PeerError
from .litert_peer import LiteRtPeer
from .measure import ratios, summary, take_turns
from .onnxruntime_peer import OnnxRuntimePeer
from .openvino_peer import OpenVinoPeer

PICTURES = cold_start.ROOT / "examples"
QUESTIONS = ("món này là món gì", "màu chủ đạo là gì", "có cà rốt trong món này không", "đây là gì")
"""The first is timed; all are asked when answers are compared."""
AGREE = 0.8
"""A peer that answers fewer of the questions as we do runs another network, and is left out. Rounding alone, which
every runtime does in its own way, changes an answer where two are about equally likely."""

SETTLE = 0.02
"""Seconds. Some runtimes' threads spin for milliseconds after their work, on the processors of whoever comes next."""


@dataclass
class Plan:
    """What to measure and how often."""

    threads: int = 1
    own_only: bool = False
    model: str | None = None
    engine: str | None = None
    peers_model: Path | None = None
    tflite_encoder: Path | None = None
    tflite_head: Path | None = None
    question: str = QUESTIONS[0]
    rounds: int = 300
    starts: int = 31
    burst: int = 5
    further_burst: int = 20

    def be_quick(self) -> None:
        self.rounds, self.starts = 80, 9


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Everything that report.py shows, ready for JSON; `folder` takes the peers' files.

    Raises EdgeVQAError when our own package cannot be measured; a peer that cannot be is left out, with the reason.
    """
    model = load_tensors(plan.peers_model or find_model(plan.model))
    (folder / "answers.txt").write_text("\n".join(model.file.answers), encoding="utf-8")
    own = Own(plan.model, plan.engine, plan.threads)
    peers, left_out = ({}, {}) if plan.own_only else open_peers(_makers(plan, model, folder))
    vocabulary, side = Vocabulary(model.file.words), model.file.sizes.side
    asked = [tuple(vocabulary.encode(q).ids) for q in (plan.question, *QUESTIONS[1:])]
    if plan.tflite_head:  # it serves one length
        asked = [ids for ids in asked if len(ids) == len(asked[0])]
    pictures = small_pictures(side, folder)
    pixels = [picture_pixels(path, side) for path in pictures]
    agreement = compare(own, peers, [(p, ids) for p in pixels for ids in asked])
    for name, found in agreement.items():
        if found["same"] < AGREE * found["questions"]:
            left_out[name] = f"answers only {found['same']} of {found['questions']} questions as we do"
            del peers[name]
    load = [os.getloadavg()[0]] if hasattr(os, "getloadavg") else [0.0]
    contenders: dict[str, Contender] = {own.name: own, **peers}
    found = time_all(contenders, pixels[0], asked[0], plan)
    starts = start_all(own, peers, plan, folder, pictures[0], asked[0])
    for name, contender in contenders.items():
        found[name] = {
            "version": contender.version, "detail": contender.detail,
            **({"agreement": agreement[name]} if name in agreement else {}), **found[name], **starts[name],
        }  # fmt: skip
    load.append(os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": processor(), "threads": plan.threads, "load": load,
        "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}",
        "question": plan.question, "words": len(asked[0]), "model": str(model.file.about.get("name", "")),
        "contenders": found, "left_out": left_out,
        "ratios": ratios(found[own.name], {name: found[name] for name in peers}),
    }  # fmt: skip


def _makers(plan: Plan, model: EvqaModel, folder: Path) -> dict[str, Callable[[], Contender]]:
    return {
        "onnxruntime": lambda: OnnxRuntimePeer(model, folder, plan.threads),
        "OpenVINO": lambda: OpenVinoPeer(model, folder, plan.threads),
        "LiteRT": lambda: LiteRtPeer(model, folder, plan.threads, plan.tflite_encoder, plan.tflite_head),
    }


def open_peers(makers: Mapping[str, Callable[[], Contender]]) -> tuple[dict[str, Contender], dict[str, str]]:
    """Those that could be set up, and why the others could not."""
    peers, left_out = {}, {}
    for name, make in makers.items():
        try:
            peers[name] = make()
        except ImportError as error:
            left_out[name] = f"not installed ({error})"
        except EdgeVQAError as error:
            left_out[name] = str(error)
        except Exception as error:  # the runtimes' own errors share no base class but this
            left_out[name] = f"fails: {error}"
    return peers, left_out


def compare(own: Contender, peers: Mapping[str, Contender], asked: Sequence[tuple[bytes, Sequence[int]]]) -> Any:
    """How many of the (pixels, ids) each peer answers as we do, and how far its logits are from ours at most."""
    found = {name: {"same": 0, "questions": len(asked), "largest_logit_difference": 0.0} for name in peers}
    for pixels, ids in asked:
        own.show(pixels, ids)
        wanted, logits = own.answer(), own.logits()
        for name, peer in peers.items():
            peer.show(pixels, ids)
            found[name]["same"] += peer.answer() == wanted
            apart = max(abs(a - b) for a, b in zip(logits, peer.logits()))
            found[name]["largest_logit_difference"] = max(found[name]["largest_logit_difference"], apart)
    return found


def time_all(contenders: Mapping[str, Contender], pixels: bytes, ids: Sequence[int], plan: Plan) -> dict[str, Any]:
    """Encoder, whole answer and further question of each, in turns."""
    for contender in contenders.values():
        contender.show(pixels, ids)
        contender.answer()
    found: dict[str, Any] = {name: {} for name in contenders}
    settle = SETTLE if plan.threads > 1 else 0.0
    for column, call, burst in (
        ("encoder", "encode", plan.burst),
        ("answer", "answer", plan.burst),
        ("further_question", "further", plan.further_burst),
    ):
        times = take_turns({name: getattr(c, call) for name, c in contenders.items()}, plan.rounds, burst, settle)
        for name in contenders:
            found[name][column] = summary(times[name])
    return found


def start_all(
    own: Contender, peers: Mapping[str, Contender], plan: Plan, folder: Path, picture: Path, ids: Sequence[int]
) -> dict[str, Any]:
    """Cold start and memory of each, in turns. Raises PeerError when one gives no answer."""
    shared = [str(folder), str(picture), plan.question, ",".join(str(i) for i in ids), str(plan.threads)]
    commands = {own.name: cold_start.command("edge_vqa", [*shared, plan.model or "", plan.engine or ""])}
    commands |= {name: cold_start.command(name.lower(), shared) for name in peers}
    starts = cold_start.measure_starts(commands, plan.starts)
    answers = {name: found[0].answer for name, found in starts.items()}
    return {
        name: {
            "cold_start": summary([s.ended_ms for s in found]),
            "cold_start_until_answer": summary([s.answered_ms for s in found]),
            "memory": summary([s.memory_mb for s in found]),
            "first_answer": answers[name],
        }
        for name, found in starts.items()
    }


def small_pictures(side: int, folder: Path) -> list[Path]:
    """The example pictures as JPEGs of side x side pixels, so that decoding them costs little and the same for all."""
    sources = sorted(PICTURES.glob("*.jpg"))
    if not sources:
        raise PeerError(f"{PICTURES}: holds no pictures")
    made = []
    for source in sources:
        made.append(folder / source.name)
        with Image.open(source) as picture:
            picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC).save(made[-1], quality=90)
    return made


def processor() -> str:
    """As the processor calls itself."""
    if sys.platform.startswith("linux"):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
