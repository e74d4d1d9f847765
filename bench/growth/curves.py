"""What is measured: one function a curve, each returning points of work and their times."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.suite.engines import ProfiledEngine
from bench.suite.layers import mobilenet_v2
from bench.suite.networks import Head, make_network
from edge_vqa import VQA
from edge_vqa.image import picture_pixels

from . import pictures
from .fit import Taken
from .timing import SETTLE, in_process, pin, take_turns
from .worker import QUESTION

QUESTIONS = (
    QUESTION, "màu chủ đạo là gì", "có cà rốt trong món này không", "đây là gì", "mon nay co tom khong",
    "món ăn này có nước dùng không", "có trứng không", "tên món ăn là gì",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 100
    picture_rounds: int = 15
    """Of curves whose points take long."""
    runs: int = 7
    """Processes that answer many pictures."""
    pictures: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    questions: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    words: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    megapixels: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 12, 25, 50)
    widths: tuple[float, ...] = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
    sides: tuple[int, ...] = (96, 128, 160, 192, 224, 256, 288, 320)


QUICK = Plan(
    rounds=12, picture_rounds=3, runs=2, pictures=(1, 2, 5, 10, 20, 50, 100), questions=(1, 4, 16, 32, 64),
    words=(1, 4, 16, 32, 64), megapixels=(0.05, 0.2, 1, 5, 12), widths=(0.25, 0.5, 0.75, 1.0, 1.4),
    sides=(96, 160, 224, 272, 320),
)  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """What the points of one curve took: milliseconds, or MB of memory."""

    name: str
    title: str
    unit: str
    """Of the work."""
    work: Sequence[float]
    taken: Sequence[Taken]
    labels: Sequence[str] = ()
    """What each point is, where its work does not say it."""
    base: Taken | None = None
    """That of the same call with no work at all."""
    cost: str = "ms"
    also: dict[str, Any] = field(default_factory=dict)
    """More about the points: name -> one value a point."""


def many_pictures(plan: Plan, folder: Path) -> list[Curve]:
    """Pictures after each other in one process: time since the model was opened, and the most memory until then."""
    place = folder / "many"
    place.mkdir()
    files = pictures.make_folder(place, 20)
    runs = np.array([in_process("answer_pictures", place, *plan.pictures) for _ in range(plan.runs)])
    also = {"megabytes of JPEG a picture": [sum(f.stat().st_size for f in files) / len(files) / 1e6] * runs.shape[1]}
    wall, busy, memory = ([runs[:, i, [part]] for i in range(runs.shape[1])] for part in range(3))
    times = [Taken(*both) for both in zip(wall, busy)]
    return [
        Curve("pictures", "pictures in one process", "picture", plan.pictures, times, also=also),
        Curve(
            "memory_pictures",
            "memory, pictures in one process",
            "picture",
            plan.pictures,
            [Taken(m, m) for m in memory],
            cost="MB",
        ),
    ]


def many_questions(plan: Plan, folder: Path) -> list[Curve]:
    """Questions about one picture: a JPEG, a look, so many answers."""
    vqa, picture = VQA(threads=1), pictures.jpeg(pictures.mosaic(640, 480))

    def answer(count: int) -> None:
        scene = vqa.look(picture)
        for number in range(count):
            scene.ask(QUESTIONS[number % len(QUESTIONS)])

    base, *times = take_turns([_with(answer, count) for count in (0, *plan.questions)], plan.rounds)
    return [Curve("questions", "questions about a picture", "question", plan.questions, times, base=base)]


def many_words(plan: Plan, folder: Path) -> list[Curve]:
    """Words in a question, of which the engine takes up to 64 (the vocabulary hands it at most 20)."""
    vqa = VQA(threads=1)
    scene = vqa.engine.encode(os.urandom(vqa.model.side**2 * 3))

    def answer(count: int) -> None:
        vqa.engine.answer(scene, [2 + 7 * i % 300 for i in range(count)])

    times = take_turns([_with(answer, count) for count in plan.words], plan.rounds, burst=20)
    return [Curve("words", "words in a question", "word", plan.words, times)]


def picture_sizes(plan: Plan, folder: Path) -> list[Curve]:
    """From a JPEG, and from an array, to the model's pixels: time and memory."""
    sources: dict[str, list[Any]] = {"jpeg": [], "array": []}
    megapixels, files = [], []
    for number, wanted in enumerate(plan.megapixels):
        width, height = pictures.size_of(wanted)
        array = pictures.mosaic(width, height)
        coded = pictures.jpeg(array)
        files.append({"jpeg": folder / f"{number}.jpg", "array": folder / f"{number}.npy"})
        files[-1]["jpeg"].write_bytes(coded)
        np.save(files[-1]["array"], array)
        sources["jpeg"].append(coded)
        sources["array"].append(array)
        megapixels.append(width * height / 1e6)
    found = []
    bytes_ = {"megabytes of JPEG": [len(coded) / 1e6 for coded in sources["jpeg"]]}
    for kind, name, what in (("jpeg", "size", "JPEG"), ("array", "arrays", "array")):
        calls = [_with(lambda source: picture_pixels(source, 224), source) for source in sources[kind]]
        times = take_turns(calls, plan.picture_rounds)
        peaks = [np.array([[in_process("take_picture", kind, file[kind])] for _ in range(2)]) for file in files]
        memory = [Taken(peak, peak) for peak in peaks]
        also = bytes_ if kind == "jpeg" else {}
        found += [
            Curve(name, f"{what} to pixels", "megapixel", megapixels, times, also=also),
            Curve(f"memory_{name}", f"memory, {what} to pixels", "megapixel", megapixels, memory, cost="MB"),
        ]
    for file in files:
        file["array"].unlink()
    return found


def widths(plan: Plan, folder: Path) -> list[Curve]:
    """MobileNetV2 of several widths at 224 pixels, int8, random weights."""
    networks = [(224, width) for width in plan.widths]
    return [_networks("width", "width of the network", networks, [f"{w:g}" for w in plan.widths], plan, folder)]


def sides(plan: Plan, folder: Path) -> list[Curve]:
    """MobileNetV2 of width 1 on pictures of several sides, int8, random weights."""
    networks = [(side, 1.0) for side in plan.sides]
    return [_networks("side", "side of the network's picture", networks, [str(s) for s in plan.sides], plan, folder)]


def _networks(
    name: str, title: str, networks: Sequence[tuple[int, float]], labels: Sequence[str], plan: Plan, folder: Path
) -> Curve:
    engines, calls, macs = [], [], []
    for number, (side, width) in enumerate(networks):
        path, pixels = folder / f"{name}{number}.evqa", os.urandom(side * side * 3)
        make_network(path, side, mobilenet_v2(width), Head())
        engines.append(ProfiledEngine(path))
        macs.append(engines[-1].macs(pixels) / 1e6)
        calls.append(_with(engines[-1].encode, pixels))
    return Curve(name, title, "MMAC", macs, take_turns(calls, plan.rounds, burst=2), labels)


def threads(plan: Plan, processors: Sequence[int]) -> list[Curve]:
    """A look of the released network with 1 thread up to one a processor. All processors are free for all of them."""
    most = min(64, max(1, len(processors) or (os.cpu_count() or 1)))
    counts = [n for n in range(1, most + 1) if n <= 8 or n % 4 == 0 or n == most]
    before = os.sched_getaffinity(0) if processors else ()
    pin(processors)
    try:
        looks = []
        for count in counts:
            vqa = VQA(threads=count)
            looks.append(_with(vqa.engine.encode, os.urandom(vqa.model.side**2 * 3)))
        times = take_turns(looks, plan.rounds, burst=5, settle=SETTLE)
    finally:
        pin(sorted(before))
    return [Curve("threads", "threads of a look", "thread", counts, times)]


def _with(call: Callable[[Any], object], argument: Any) -> Callable[[], object]:
    return lambda: call(argument)


ON_ONE_PROCESSOR: dict[str, Callable[[Plan, Path], list[Curve]]] = {
    "pictures": many_pictures, "questions": many_questions, "words": many_words, "size": picture_sizes,
    "width": widths, "side": sides,
}  # fmt: skip
