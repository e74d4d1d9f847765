"""Every line of layers.txt, and whole looks: the same bits as the reference's, then the engine's own time."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest

from bench.suite.conftest import Tell
from bench.suite.engines import ProfiledEngine
from bench.suite.layers import Layer, read_layers
from bench.suite.networks import make_layer
from edge_vqa.engines.reference import ReferenceEngine
from edge_vqa.evqa_tensors import load_tensors
from edge_vqa.model_file import find_model


class StepClock:
    """A clock that only the timed step moves.

    Each reading counts as a nanosecond: pytest-benchmark finds out how fine a clock is by reading it until it moves.
    """

    def __init__(self) -> None:
        self.nanoseconds = 0

    def __call__(self) -> float:
        """Seconds."""
        self.nanoseconds += 1
        return self.nanoseconds / 1e9


CLOCK = StepClock()


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("layer", read_layers(), ids=lambda layer: layer.name)
def test_layer(benchmark: Any, tell: Tell, layer: Layer, level: str, threads: int, tmp_path: Path) -> None:
    path, pixels = tmp_path / "layer.evqa", os.urandom(layer.height * layer.width * 3)
    _, first = make_layer(path, layer)
    engine = ProfiledEngine(path, level, threads)
    check(engine, path, pixels)
    steps = [engine.step(i) for i in range(engine.profile(pixels))]
    (index,) = (i for i, step in enumerate(steps) if step.layers and step.first == first)
    assert (steps[index].layers, steps[index].macs) == (len(layer.filters()), layer.macs())

    def look() -> None:
        engine.profile(pixels)
        CLOCK.nanoseconds += engine.nanoseconds(index)

    tell(f"layers, {level}, {threads} threads", level=level, threads=threads, macs=layer.macs())
    benchmark(look)
    say_rate(benchmark, layer.macs())


@pytest.mark.parametrize("model", ["mobilenetv2-lstm-attention", "tiny"])
def test_look(benchmark: Any, tell: Tell, model: str, level: str, threads: int) -> None:
    path = Path(find_model(model))
    engine = ProfiledEngine(path, level, threads)
    pixels = os.urandom(engine.side**2 * 3)
    check(engine, path, pixels)
    macs = engine.macs(pixels)
    tell(f"look, {level}, {threads} threads", level=level, threads=threads, macs=macs)
    benchmark(engine.encode, pixels)
    say_rate(benchmark, macs)


def check(engine: ProfiledEngine, path: Path, pixels: bytes) -> None:
    """The engine's features of this picture are the reference's, bit by bit, by both ways to look."""
    wanted = reference(path, path.stat().st_mtime_ns).encode(pixels).tobytes()
    assert engine.features(engine.encode(pixels), len(wanted)) == wanted
    engine.profile(pixels)
    assert engine.features(engine.scene(pixels), len(wanted)) == wanted


@functools.lru_cache(maxsize=4)
def reference(path: Path, changed: int) -> ReferenceEngine:
    return ReferenceEngine(load_tensors(path))


def say_rate(benchmark: Any, macs: int) -> None:
    """Puts the rate at the median into the result, where there is one."""
    if benchmark.stats:
        benchmark.extra_info["gmac_per_second"] = macs / benchmark.stats.stats.median / 1e9
