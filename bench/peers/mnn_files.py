"""What MNN's converter takes, as ONNX: the float32 encoder of export.to_onnx, and a head without loops.

The converter cannot take a layer that adds rounded numbers to others (the int8 encoder), nor an LSTM whose questions
have lengths; so the head is written for questions of one length, word by word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_vqa.engines.onnx_graph import onnx_model
from edge_vqa.engines.onnx_writer import GraphWriter
from edge_vqa.evqa_tensors import Array, EvqaModel, head_tensors
from edge_vqa.model_file import ENCODER

from .float_network import as_float32

_SQUASHED = 3
"""Of the four gates, those through a sigmoid; they stand first."""
_ORDER = (0, 1, 3, 2)
"""Of the format's gates (forget, input, candidate, output), so that those are neighbours."""


def write_graphs(model: EvqaModel, folder: Path, lengths: Sequence[int]) -> list[Path]:
    """encoder.onnx, and head-N.onnx for questions of N words."""
    plain = as_float32(model)
    written = {"encoder": onnx_model(plain, ENCODER)} | {f"head-{words}": head_graph(plain, words) for words in lengths}
    for name, content in written.items():
        (folder / f"{name}.onnx").write_bytes(content)
    return [folder / f"{name}.onnx" for name in written]


def head_graph(plain: EvqaModel, words: int) -> bytes:
    """Features [1, channels, cells, cells], ids int32 [words] -> logits [1, answers + 1]; `plain` is float32."""
    graph, sizes, head = GraphWriter("head"), plain.file.sizes, head_tensors(plain)
    channels, cells = sizes.channels, sizes.cells**2
    graph.input("features", "float32", (1, channels, sizes.cells, sizes.cells), "what the encoder saw")
    graph.input("ids", "int32", (words,), "the words' numbers")
    state = _read(graph, head, words, sizes.hidden)
    names = ("scale", "shift", "question")
    matrix, bias = (np.concatenate([head[name + part] for name in names]) for part in ("", "_bias"))
    parts = graph.split(_dense(graph, state, matrix, bias), [len(head[name]) for name in names], axis=1)
    scale, shift = (_reshape(graph, part, (1, channels, 1)) for part in parts[:2])
    flat = _reshape(graph, "features", (1, channels, cells))
    if sizes.attention:
        met = graph.node("Relu", graph.node("Add", graph.node("Mul", flat, scale), shift))
        products = graph.node("MatMul", graph.constant(head["score"][None]), met)
        scores = graph.node("Add", products, graph.constant(head["score_bias"][None, :, None]))
        share = graph.constant(np.full((1, 1, cells), 1 / cells, np.float32))
        # A further row of 1 / cells makes the plain mean over the cells part of the same product.
        looks = graph.node("Concat", graph.node("Softmax", scores, axis=-1), share, axis=1)
        pooled = graph.node("MatMul", looks, graph.node("Transpose", met, perm=(0, 2, 1)))
    else:
        mean = graph.node("ReduceMean", flat, axes=(2,), keepdims=1)
        pooled = graph.node("Relu", graph.node("Add", graph.node("Mul", mean, scale), shift))
    row = _reshape(graph, pooled, (1, head["picture"].shape[1]))
    seen = graph.node("Relu", _dense(graph, row, head["picture"], head["picture_bias"]))
    joined = graph.node("Mul", seen, graph.node("Relu", parts[2]))
    _dense(graph, joined, head["answer"].T, head["answer_bias"], out="logits")
    graph.output("logits", "float32", (1, sizes.answers + 1), "one an answer, the last: has no answer")
    return graph.model(("edge_vqa", ""), "", {})


def _read(graph: GraphWriter, head: dict[str, Array], words: int, hidden: int) -> str:
    """The LSTM's state after the last word, [1, hidden]."""

    def gates(name: str) -> Array:
        ordered: Array = head[name].reshape(4, hidden, -1)[list(_ORDER)].reshape(4 * hidden, -1)
        return ordered

    embedded = graph.node("Gather", graph.constant(head["embedding"]), "ids", axis=0)
    seen = graph.split(_dense(graph, embedded, gates("lstm_x"), gates("lstm_bias")[:, 0]), [1] * words, axis=0)
    from_state = graph.constant(np.ascontiguousarray(gates("lstm_h").T))
    state = cell = ""
    for sums in seen:
        if state:
            sums = graph.node("Add", sums, graph.node("MatMul", state, from_state))
        opened, candidate = graph.split(sums, [_SQUASHED * hidden, hidden], axis=1)
        forget, take, give = graph.split(graph.node("Sigmoid", opened), [hidden] * _SQUASHED, axis=1)
        new = graph.node("Mul", take, graph.node("Tanh", candidate))
        cell = graph.node("Add", graph.node("Mul", forget, cell), new) if cell else new
        state = graph.node("Mul", give, graph.node("Tanh", cell))
    return state


def _dense(graph: GraphWriter, source: str, weights: Array, bias: Array, out: str = "") -> str:
    product = graph.node("MatMul", source, graph.constant(np.ascontiguousarray(weights.T)))
    return graph.node("Add", product, graph.constant(bias), out=out)


def _reshape(graph: GraphWriter, source: str, shape: Sequence[int]) -> str:
    return graph.node("Reshape", source, graph.constant(np.array(shape, np.int64)))
