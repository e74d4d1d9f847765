"""onnxruntime on the graphs of export.to_onnx."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_vqa.engines.onnx_graph import onnx_model
from edge_vqa.evqa_file import PRECISIONS
from edge_vqa.evqa_tensors import EvqaModel
from edge_vqa.model_file import ENCODER, HEAD


class OnnxRuntimePeer:
    """Sizes fixed when the graphs are loaded, inputs and outputs bound once."""

    name = "onnxruntime"

    def __init__(self, model: EvqaModel, folder: Path, threads: int) -> None:
        self._runtime = importlib.import_module("onnxruntime")
        self.version: str = self._runtime.__version__
        self.detail = f"{PRECISIONS[model.file.sizes.precision]}; sizes fixed, io binding"
        self._model, self._folder, self._threads = model, folder, threads
        self._encoder = self._session(ENCODER, threads, {"batch": 1}, "encoder")
        self._heads: dict[int, Any] = {}

    def _session(self, part: str, threads: int, sizes: dict[str, int], saved: str) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Its threads may spin while it works, not while others do.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        for name, size in sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        # The graph as optimised for this machine is what first_answer starts from.
        options.optimized_model_filepath = str(self._folder / f"{saved}-optimised.onnx")
        graph = onnx_model(self._model, part, int8_lstm=True)
        return self._runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        if len(ids) not in self._heads:
            fixed = {"pictures": 1, "questions": 1, "words": len(ids)}
            # One thread: the head's matrices are too small to share out.
            self._heads[len(ids)] = self._session(HEAD, 1, fixed, f"head-{len(ids)}")
        self._head = self._heads[len(ids)]
        sizes = self._model.file.sizes
        self._features = np.empty(self._encoder.get_outputs()[0].shape, np.float32)
        self._logits = np.empty((1, sizes.answers + 1), np.float32)
        attention = np.empty((1, sizes.cells, sizes.cells), np.float32)
        self._picture = np.frombuffer(pixels, np.uint8).reshape(1, sizes.side, sizes.side, 3).copy()
        self._ids, self._words = tuple(ids), np.array([ids], np.int64)
        words = {"ids": self._words, "lengths": np.array([len(ids)], np.int64)}
        self._encoding = self._bind(self._encoder, {"pixels": self._picture}, {"features": self._features})
        self._answering = self._bind(
            self._head, {"features": self._features, **words}, {"logits": self._logits, "attention": attention}
        )

    def _bind(self, session: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
        binding, held = session.io_binding(), []
        for arrays, bind in ((inputs, binding.bind_ortvalue_input), (outputs, binding.bind_ortvalue_output)):
            for name, array in arrays.items():
                held.append(self._runtime.OrtValue.ortvalue_from_numpy(array))  # shares the array's memory
                bind(name, held[-1])
        return binding, held

    def put(self, pixels: Any) -> None:
        self._picture[0] = pixels

    def encode(self) -> None:
        self._encoder.run_with_iobinding(self._encoding[0])

    def further(self) -> int:
        self._words[0] = self._ids
        self._head.run_with_iobinding(self._answering[0])
        return int(self._logits[0, :-1].argmax())

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        logits: list[float] = self._logits[0, :-1].tolist()
        return logits
