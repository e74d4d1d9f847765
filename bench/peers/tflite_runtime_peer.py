"""tflite-runtime, LiteRT's forerunner, on files of export.to_tflite with the weights in float32.

It applies XNNPACK to floats only: static int8 takes many times as long, and dynamic int8 gives wrong answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_vqa.evqa_tensors import EvqaModel

from . import litert_peer
from .float_network import as_float32


def make(model: EvqaModel, folder: Path, lengths: Sequence[int]) -> None:
    """Writes encoder.tflite, and head-N.tflite for questions of N words, whose LSTM is unrolled."""
    litert_peer.make(as_float32(model), folder, lengths)


class TfliteRuntimePeer(litert_peer.LiteRtPeer):
    """The same interpreter under another name."""

    name = "tflite-runtime"
    module, package = "tflite_runtime.interpreter", "tflite-runtime"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        super().__init__(as_float32(model), folder, threads)
