"""Questions about made-up pictures, and what an engine says to them as hashes: equal hashes are equal bits."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tiny_model import KINDS, make_model

from edge_vqa.evqa_file import FLOAT32, INT8, read_evqa

GOLDEN = Path(__file__).parent / "golden"
BUNDLED = Path(__file__).parents[1] / "edge_vqa" / "models"
SHIPPED = "mobilenetv2-lstm-attention"
MODELS = (SHIPPED, *(f"tiny-{kind}" for kind in KINDS), *(f"tiny-{kind}-float32" for kind in KINDS))


class BitEngine(Protocol):
    """Features must come as bytes here: of uint8 [cells * cells, channels], or of float32 in such a model."""

    def encode(self, pixels: bytes) -> Any: ...

    def features(self, encoded: Any) -> bytes: ...

    def answer(self, features: Any, ids: Sequence[int]) -> tuple[Sequence[float], Sequence[float]]: ...


def model_path(name: str, folder: Path) -> Path:
    """The shipped model, or a tiny one made in `folder`."""
    if name == SHIPPED:
        return BUNDLED / f"{SHIPPED}.evqa"
    kind = name.removeprefix("tiny-").removesuffix("-float32")
    return make_model(folder / f"{name}.evqa", kind, precision=FLOAT32 if name.endswith("-float32") else INT8)


def golden_path(name: str) -> Path:
    return GOLDEN / f"{name}.json"


def noise(count: int, seed: int) -> bytes:
    """Bits 16 to 23 of the linear congruential generator x -> 1664525 x + 1013904223 modulo 2^32."""
    out = bytearray(count)
    for i in range(count):
        seed = (1664525 * seed + 1013904223) & 0xFFFFFFFF
        out[i] = seed >> 16 & 255
    return bytes(out)


@functools.lru_cache(maxsize=4)
def pictures(side: int) -> dict[str, bytes]:
    """RGB pixels row by row: noise, black, white, a slope in every channel, and coarse blocks of noise."""
    slope = bytes(
        v for y in range(side) for x in range(side) for v in (x * 255 // side, y * 255 // side, (x + y) & 255)
    )
    blocks = noise(8 * 8 * 3, 7)
    coarse = b"".join(
        blocks[i : i + 3] for y in range(side) for x in range(side) for i in [(y * 8 // side * 8 + x * 8 // side) * 3]
    )
    count = side * side * 3
    return {
        "noise": noise(count, 1), "black": bytes(count), "white": b"\xff" * count, "slope": slope, "blocks": coarse,
    }  # fmt: skip


def questions(words: int) -> list[list[int]]:
    """One word, every special id, and up to 64 words: as many as the interface takes."""
    return [[2], [words - 1, 2, 1], [0, 1, words - 1], [2 + i * 7 % (words - 2) for i in range(20)], [1] * 64]


def answers(engine: BitEngine, path: Path, only: Sequence[str] | None = None) -> dict[str, Any]:
    """SHA-256 of the model file, of each picture's features, and of each answer's logits and attention (float32).

    `only`: names of pictures, where all would take too long.
    """
    sizes = read_evqa(path).sizes
    result: dict[str, Any] = {"model": hashlib.sha256(path.read_bytes()).hexdigest(), "pictures": {}}
    for name, pixels in pictures(sizes.side).items():
        if only is not None and name not in only:
            continue
        encoded = engine.encode(pixels)
        told = [engine.answer(encoded, ids) for ids in questions(sizes.words)]
        result["pictures"][name] = {
            "pixels": hashlib.sha256(pixels).hexdigest(),
            "features": hashlib.sha256(engine.features(encoded)).hexdigest(),
            "logits": [_hash(logits) for logits, _ in told],
            "attention": [_hash(attention) for _, attention in told],
        }
    return result


def _hash(values: Sequence[float]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(values)}f", *values)).hexdigest()


def golden(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(golden_path(name).read_text(encoding="utf-8"))
    return result


def open_reference(path: Path) -> BitEngine:
    from edge_vqa.engines.reference import ReferenceEngine
    from edge_vqa.evqa_tensors import load_tensors

    class Reference(ReferenceEngine):
        def features(self, encoded: Any) -> bytes:
            data: bytes = encoded.tobytes()
            return data

    return Reference(load_tensors(path))


def native_engines() -> dict[str, Callable[[Path], BitEngine]]:
    """The engine in C++ at every level of kernels that this processor runs, with one to three threads."""
    from edge_vqa.engines import native

    try:
        levels = native.load_library().levels().decode().split()
    except ImportError:  # not compiled
        return {}
    return {
        f"native {level} {threads}": functools.partial(_open_native, level, threads)
        for level in levels
        for threads in (1, 2, 3)
    }


def _open_native(level: str, threads: int, path: Path) -> BitEngine:
    from edge_vqa.engines import native
    from edge_vqa.model_file import load_model

    sizes = read_evqa(path).sizes
    size = sizes.cells**2 * sizes.channels * (4 if sizes.precision == FLOAT32 else 1)

    class Native(native.NativeEngine):
        def features(self, scene: native.NativeScene, size: int = size) -> bytes:
            return super().features(scene, size)

    before = os.environ.get("EDGE_VQA_ISA")
    os.environ["EDGE_VQA_ISA"] = level
    try:
        engine = Native(native.load_library(), load_model(path), threads)
    finally:
        del os.environ["EDGE_VQA_ISA"]
        if before is not None:
            os.environ["EDGE_VQA_ISA"] = before
    assert (engine.isa, engine.threads) == (level, threads)
    return engine


ENGINES: dict[str, Callable[[Path], BitEngine]] = {"reference": open_reference, **native_engines()}
"""Everything that must give the same bits: name -> how to open a model file with it."""
