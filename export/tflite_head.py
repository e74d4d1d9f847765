"""The head of an `.evqa` model as operations of TFLite: question and features to logits and attention.

The LSTM is written out word by word, so that the operations are ones that XNNPACK takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_vqa.evqa_file import FLOAT32
from edge_vqa.evqa_tensors import EvqaModel, head_tensors

from .tflite_encoder import less_128
from .tflite_writer import ACTIVATIONS, Array, Graph, Steps

Shape = tuple[int | None, ...]

_GROUP = 4
"""XNNPACK joins at most so many tensors at once."""
_OF_STATE = ("lstm_h", "scale", "shift", "question")
"""Matrices whose scale in the format is for an input in 127ths: the LSTM's state."""
_BIASES = {"lstm_x": "lstm_bias"}
"""The LSTM's one bias is added with what comes from the word."""


def add_question(graph: Graph, words: int, any_length: bool) -> dict[str, int]:
    """The graph's inputs: ids int32 [n,words] and, for questions of any length up to that, lengths int32 [n]."""
    inputs = {"ids": graph.tensor("ids", (None, words), "int32")}
    if any_length:
        inputs["lengths"] = graph.tensor("lengths", (None,), "int32")
    return inputs


def add_features(graph: Graph, model: EvqaModel) -> int:
    """The graph's input, float32 [n,cells,cells,channels]; one picture may serve all questions."""
    sizes = model.file.sizes
    return graph.tensor("features", (None, sizes.cells, sizes.cells, sizes.channels))


def add_head(graph: Graph, model: EvqaModel, features: int, question: dict[str, int]) -> dict[str, int]:
    """Logits float32 [n,answers+1] and attention float32 [n,cells,cells], by name."""
    return _Head(graph, model).add(features, question)


class _Head:
    """In the shapes below the question has a second size of 1, so that it meets the cells of [n,cells,channels]."""

    def __init__(self, graph: Graph, model: EvqaModel) -> None:
        self.graph, self.model, self.sizes = graph, model, model.file.sizes
        self.tensors = head_tensors(model)
        self.exact = self.sizes.precision == FLOAT32
        self.cells = self.sizes.cells**2

    def add(self, features: int, question: dict[str, int]) -> dict[str, int]:
        sizes = self.sizes
        state = self.read(question)
        asked = self.dense("question", state, "relu", scaled=False)
        scale, shift = self.dense("scale", state), self.dense("shift", state)
        cells = self.reshape(features, (None, self.cells, sizes.channels), "cells")
        pooled, attention = (self.attend if sizes.attention else self.pool)(cells, scale, shift, state)
        seen = self.dense("picture", pooled, "relu", scaled=False)
        joined = self.apply("MUL", [seen, asked], (None, 1, sizes.joint), "joined")
        answer = self.tensors["answer"].T
        if not self.exact:  # the two factors have been left in the steps of their matrices
            answer = answer * (self.steps("picture") * self.steps("question"))
        bias = self.tensors["answer_bias"]
        logits = self.product("logits_row", "answer", joined, answer, bias, (None, 1, sizes.answers + 1))
        return {
            "logits": self.reshape(logits, (None, sizes.answers + 1), "logits"),
            "attention": self.reshape(attention, (None, sizes.cells, sizes.cells), "attention"),
        }

    def read(self, question: dict[str, int]) -> int:
        """The LSTM's state after each question's last word, [n,1,hidden]."""
        sizes, graph = self.sizes, self.graph
        words = graph.shape(question["ids"])[1]
        assert words is not None
        seen = self.dense("lstm_x", self.embed(question["ids"], words))
        states: list[int] = []
        cell = -1
        for t in range(words):
            gates = self.cut(seen, t, 1, 4 * sizes.hidden, f"gates_{t}")
            if t:
                from_state = self.dense("lstm_h", states[-1], at=f"_{t}")
                gates = self.apply("ADD", [gates, from_state], (None, 1, 4 * sizes.hidden), f"sums_{t}")
            state, cell = self.step(gates, cell, t)
            states.append(state)
        if "lengths" not in question:
            graph.name(states[-1], "state")
            return states[-1]
        return self.select(states, question["lengths"])

    def embed(self, ids: int, words: int) -> int:
        """[n,words,embedding]"""
        graph, shape = self.graph, (None, words, self.sizes.embedding)
        table = self.tensors["embedding"]
        if self.exact:
            embedded = graph.tensor("words", shape)
            graph.operation("GATHER", [graph.constant("embedding", table), ids], [embedded], axis=0)
            return embedded
        # The matrix above has the embedding's step in its own scale.
        steps = Steps(1.0, self.model.file.embedding_zero - 128)
        rows = graph.tensor("words_int8", shape, "int8", steps)
        graph.operation("GATHER", [graph.constant("embedding", less_128(table), steps), ids], [rows], axis=0)
        return self.apply("DEQUANTIZE", [rows], shape, "words")

    def step(self, gates: int, cell: int, t: int) -> tuple[int, int]:
        """One word: state and cell [n,1,hidden]; `cell` is -1 before the first."""
        shape = (None, 1, self.sizes.hidden)
        forget, take, candidate, give = self.split(gates, 4, shape, f"gate_{t}")
        opened = {
            name: self.apply("LOGISTIC", [sums], shape, f"{name}_{t}")
            for name, sums in (("forget", forget), ("take", take), ("give", give))
            if name != "forget" or t
        }
        new = self.apply("TANH", [candidate], shape, f"new_{t}")
        new = self.apply("MUL", [opened["take"], new], shape, f"taken_{t}")
        if t:
            kept = self.apply("MUL", [opened["forget"], cell], shape, f"kept_{t}")
            new = self.apply("ADD", [kept, new], shape, f"cell_{t}")
        shown = self.apply("TANH", [new], shape, f"shown_{t}")
        return self.apply("MUL", [opened["give"], shown], shape, f"state_{t}"), new

    def select(self, states: list[int], lengths: int) -> int:
        """The state after the last word, [n,1,hidden], as a product with max(1 - |t + 1 - length|, 0)."""
        graph, words = self.graph, len(states)
        length = self.apply("CAST", [lengths], (None,), "length", inDataType=2, outDataType=0)
        length = self.reshape(length, (None, 1, 1), "length_of_one")
        places = graph.constant("places", np.arange(1, words + 1, dtype=np.float32).reshape(1, 1, words))
        apart = self.apply("SUB", [length, places], (None, 1, words), "past")
        apart = self.apply("ABS", [apart], (None, 1, words), "apart")
        one = graph.constant("one", np.ones((1, 1, 1), np.float32))
        last = self.apply("SUB", [one, apart], (None, 1, words), "last", "relu")
        rows = self.join(states, "states")
        return self.apply("BATCH_MATMUL", [last, rows], (None, 1, self.sizes.hidden), "state")

    def join(self, parts: list[int], name: str) -> int:
        """Tensors [n,1,hidden] as one, [n,parts,hidden]."""
        level = 0
        while len(parts) > 1:
            joined = []
            for i in range(0, len(parts), _GROUP):
                group = parts[i : i + _GROUP]
                if len(group) > 1:
                    size = sum(self.graph.shape(part)[1] or 0 for part in group)
                    shape = (None, size, self.sizes.hidden)
                    group = [self.apply("CONCATENATION", group, shape, f"{name}_{level}_{i}", axis=1)]
                joined += group
            parts, level = joined, level + 1
        return parts[0]

    def attend(self, cells: int, scale: int, shift: int, state: int) -> tuple[int, int]:
        """Pooled [n,1,(glimpses+1)*channels], attention [n,1,cells]."""
        sizes, graph = self.sizes, self.graph
        shape = (None, self.cells, sizes.channels)
        scaled = self.apply("MUL", [cells, scale], shape, "scaled")
        met = self.apply("ADD", [scaled, shift], shape, "modulated", "relu")
        # A further row of zeros: equal scores, so its softmax is the plain mean over the cells.
        score = np.concatenate([self.tensors["score"], np.zeros((1, sizes.channels), np.float32)])
        bias = np.concatenate([self.tensors["score_bias"], np.zeros(1, np.float32)])
        rows = sizes.glimpses + 1
        scores = self.product("scores", "score", met, score, bias, (None, self.cells, rows))
        order = graph.constant("order", np.array([0, 2, 1], np.int32))
        turned = self.apply("TRANSPOSE", [scores, order], (None, rows, self.cells), "turned")
        looks = self.apply("SOFTMAX", [turned], (None, rows, self.cells), "looks", beta=1.0)
        pooled = self.apply("BATCH_MATMUL", [looks, met], (None, rows, sizes.channels), "pooled")
        glimpses = self.cut(looks, 0, sizes.glimpses, self.cells, "glimpses")
        axis = graph.constant("glimpse_axis", np.array([1], np.int32))
        attention = self.apply("MEAN", [glimpses, axis], (None, 1, self.cells), "mean_look", keepDims=True)
        return self.reshape(pooled, (None, 1, rows * sizes.channels), "pooled_row"), attention

    def pool(self, cells: int, scale: int, shift: int, state: int) -> tuple[int, int]:
        """The same without attention: the mean over the cells, modulated."""
        sizes, graph = self.sizes, self.graph
        shape = (None, 1, sizes.channels)
        axis = graph.constant("cell_axis", np.array([1], np.int32))
        mean = self.apply("MEAN", [cells, axis], shape, "mean", keepDims=True)
        scaled = self.apply("MUL", [mean, scale], shape, "scaled")
        pooled = self.apply("ADD", [scaled, shift], shape, "modulated", "relu")
        # As many rows as there are questions: 0 times something of theirs, and 1 / cells.
        nothing = graph.constant("nothing", np.zeros((1, 1, 1), np.float32))
        zero = self.apply("MUL", [self.cut(state, 0, 1, 1, "any"), nothing], (None, 1, 1), "none")
        even = graph.constant("even", np.full((1, 1, self.cells), 1 / self.cells, np.float32))
        return pooled, self.apply("ADD", [zero, even], (None, 1, self.cells), "mean_look")

    def dense(self, name: str, source: int, activation: str = "none", at: str = "", scaled: bool = True) -> int:
        """One of the head's matrices with its bias. [n,rows,inputs] -> [n,rows,outputs]

        int8 weights make the runtime round each row of the input to int8 as it comes. It is told that a step of the
        weights is 1; the real ones, one a row of the matrix, are multiplied with afterwards, or not at all unless
        `scaled`: tflite-runtime 2.14 computes wrong sums when it is given several.
        """
        weights, bias = self.tensors[name], self.tensors.get(_BIASES.get(name, f"{name}_bias"))
        shape = (None, self.graph.shape(source)[1], len(weights))
        if self.exact:
            return self.product(f"{name}{at}", name, source, weights, bias, shape, activation)
        steps = self.steps(name)
        bias = None if bias is None else bias / steps
        if not scaled:
            return self.product(f"{name}{at}", name, source, weights, bias, shape, activation)
        sums = self.product(f"{name}_sums{at}", name, source, weights, bias, shape, activation)
        scale = self.graph.constant(f"{name}_scale", steps[None, None])
        return self.apply("MUL", [sums, scale], shape, f"{name}{at}")

    def steps(self, name: str) -> Array:
        """What a step of each row of int8 weights stands for, where the input is in real units."""
        scale: Array = self.tensors[f"{name}_scale"]
        return scale * np.float32(127) if name in _OF_STATE else scale

    def product(
        self, name: str, constants: str, source: int, weights: Array, bias: Array | None, shape: Shape,
        activation: str = "none",
    ) -> int:  # fmt: skip
        """The tensor `name`; weights and bias are called after `constants`."""
        graph = self.graph
        steps = Steps(1.0) if weights.dtype == np.int8 else None
        inputs = [source, graph.constant(f"{constants}_weights", np.ascontiguousarray(weights), steps)]
        if bias is not None:
            inputs.append(graph.constant(f"{constants}_bias", bias))
        return self.apply(
            "FULLY_CONNECTED", inputs, shape, name, activation, keepNumDims=True, asymmetricQuantizeInputs=True
        )

    def apply(
        self, kind: str, sources: list[int], shape: Shape, name: str, activation: str | None = None, **options: Any
    ) -> int:
        if activation is not None:
            options["fusedActivationFunction"] = ACTIVATIONS[activation]
        target = self.graph.tensor(name, shape)
        self.graph.operation(kind, sources, [target], **options)
        return target

    def reshape(self, source: int, shape: Shape, name: str) -> int:
        sizes = [-1 if size is None else size for size in shape]
        wanted = self.graph.constant(f"shape_{'_'.join(map(str, sizes))}", np.array(sizes, np.int32))
        return self.apply("RESHAPE", [source, wanted], shape, name, newShape=sizes)

    def split(self, source: int, parts: int, shape: Shape, name: str) -> list[int]:
        """In equal parts along the last axis."""
        axis = self.graph.constant("last_axis", np.array(2, np.int32))
        targets = [self.graph.tensor(f"{name}_{i}", shape) for i in range(parts)]
        self.graph.operation("SPLIT", [axis, source], targets, numSplits=parts)
        return targets

    def cut(self, source: int, begin: int, rows: int, columns: int, name: str) -> int:
        """Rows `begin` to `begin` + `rows` of [n,any,columns or more]."""
        ends = [("begin", [0, begin, 0]), ("end", [0, begin + rows, columns]), ("stride", [1, 1, 1])]
        at = [self.graph.constant(f"{k}_{'_'.join(map(str, v))}", np.array(v, np.int32)) for k, v in ends]
        # The mask leaves the first size as it is, whatever that will be.
        return self.apply("STRIDED_SLICE", [source, *at], (None, rows, columns), name, beginMask=1, endMask=1)
