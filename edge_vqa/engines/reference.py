"""The arithmetic of docs/evqa-format.md in plain NumPy: slow, and the definition of every bit of an answer.

Integers are exact, so their sums may be taken in any order. Every float is float32, every operation on floats one
rounding; sums of floats are written as loops because their order is part of the definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import EngineError
from ..evqa_file import FLOAT32, Conv
from ..evqa_tensors import Array, EvqaModel, accumulator_bound, head_tensors, load_tensors
from ..model_file import ModelFile

F = np.float32
ZERO, ONE, TWO, TINY = F(0), F(1), F(2), F(2**-100)
_BLOCK = 1024
"""Positions of a float32 convolution that are summed together: what of them is used stays in the caches."""
_TAYLOR = tuple(F(1 / divisor) for divisor in (720, 120, 24, 6, 2, 1, 1))


def open_engine(model: ModelFile, threads: int) -> ReferenceEngine:
    """Raises ModelError when the file is not a sound .evqa file. One thread is used."""
    return ReferenceEngine(load_tensors(model.path))


class ReferenceEngine:
    """See Engine. Features are [cells * cells, channels], uint8 or, in a float32 model, float32."""

    name = "reference"

    def __init__(self, model: EvqaModel) -> None:
        self.model = model
        self._head = head_tensors(model)

    def encode(self, pixels: bytes) -> Array:
        """See Engine.encode."""
        side = self.model.file.sizes.side
        if len(pixels) != side * side * 3:
            raise EngineError(f"{len(pixels)} bytes of pixels; {side} x {side} x 3 are needed")
        picture = np.frombuffer(pixels, np.uint8).reshape(side, side, 3)
        return place(self.model, encode(self.model, picture)[-1])

    def answer(self, features: Array, ids: Sequence[int]) -> tuple[list[float], list[float]]:
        """See Engine.answer. Raises EngineError when an id is not the model's or there is none."""
        sizes = self.model.file.sizes
        if not ids or not all(0 <= i < sizes.words for i in ids):
            raise EngineError(f"word ids {list(ids)}; 0 to {sizes.words - 1} are known")
        head = self._head
        state = read_question(self.model, head, ids)
        scale, shift = dense(head, "scale", state), dense(head, "shift", state)
        asked = np.maximum(dense(head, "question", state), ZERO)
        real = sizes.precision == FLOAT32
        centred = features if real else features.astype(np.int32) - np.int32(sizes.features_zero)
        if sizes.attention:
            modulated = modulate(centred, scale * F(sizes.features_scale), shift)
            pooled, look = attend(modulated, head["score"], head["score_bias"])
        else:
            pooled, look = pool(centred, F(sizes.features_scale), scale, shift)
        joined = join(head, pooled) * asked
        logits = ordered_sum(joined[:, None] * head["answer"]) + head["answer_bias"]
        return logits.tolist(), look.tolist()


def encode(model: EvqaModel, picture: Array) -> list[Array]:
    """Every convolution's output [out_side, out_side, outputs], uint8 or float32; `picture`: uint8 [side, side, 3]."""
    outputs: list[Array] = []
    real = model.file.sizes.precision == FLOAT32
    taken = picture.astype(F) - F(model.file.sizes.pixel_zero) if real else picture
    for number, conv in enumerate(model.file.convs):
        weights, bias = (model.tensors[f"conv{number}.{part}"] for part in ("weights", "bias"))
        added = outputs[conv.residual] if conv.residual >= 0 else None
        if real:
            taken = finish(conv, ordered_sums(conv, taken, weights), bias, added)
        else:
            scale = model.tensors[f"conv{number}.scale"]
            taken = requantize(conv, accumulate(conv, taken, weights, bias), scale, added)
        outputs.append(taken)
    return outputs


def ordered_sums(conv: Conv, taken: Array, weights: Array) -> Array:
    """The float32 sums [out_side, out_side, outputs], each begun with 0; `taken` is float32."""
    if conv.depthwise:
        return ZERO + depthwise(taken, weights, conv.stride)  # 0 at the end is the same as at the beginning
    return ordered_convolution(taken, weights, conv.stride)


def ordered_convolution(taken: Array, weights: Array, stride: int) -> Array:
    """As `convolution` in float32, each output's products summed by kernel row, kernel column, input, from 0 on."""
    outputs, kernel = weights.shape[:2]
    windows = _windows(taken, kernel, stride, None)
    height, width, inputs = windows[0, 0].shape
    sums = np.zeros((outputs, height * width), F)
    for (i, j), window in windows.items():
        columns = np.ascontiguousarray(window.reshape(-1, inputs).T)
        for start in range(0, height * width, _BLOCK):
            some, total = columns[:, start : start + _BLOCK], sums[:, start : start + _BLOCK]
            for c in range(inputs):
                total += weights[:, i, j, c, None] * some[c]
    return sums.T.reshape(height, width, outputs)


def finish(conv: Conv, sums: Array, bias: Array, added: Array | None) -> Array:
    """float32 sums -> outputs, after adding another convolution's output where there is one; not a number -> low."""
    y = sums + bias
    if added is not None:
        y = y + added
    y = np.where(y > F(conv.low), y, F(conv.low))
    return np.where(y < F(conv.high), y, F(conv.high))


def accumulate(conv: Conv, taken: Array, weights: Array, bias: Array) -> Array:
    """The int32 sums [out_side, out_side, outputs], bias + sum (q_in - z_in) w; `taken` is uint8."""
    centred = taken.astype(np.int32) - np.int32(conv.in_zero)
    if conv.depthwise:
        return depthwise(centred, weights, conv.stride) + bias
    # All sums are whole numbers below the bound, so a matrix product in floats is exact too, and faster.
    exact = np.float32 if accumulator_bound(conv, weights, bias).max() < 1 << 24 else np.float64
    return convolution(centred.astype(exact), weights.astype(exact), conv.stride).astype(np.int32) + bias


def convolution(taken: Array, weights: Array, stride: int = 1, padding: int | None = None) -> Array:
    """[h, w, inputs] under [outputs, k, k, inputs] -> [h', w', outputs], in the arguments' own type.

    out[y, x, o] = sum_{i, j, c} taken[stride y + i - padding, stride x + j - padding, c] weights[o, i, j, c], with 0
    beyond the edge; the padding is k // 2 unless it is said.
    """
    kernel = weights.shape[1]
    outputs = [window @ weights[:, i, j, :].T for (i, j), window in _windows(taken, kernel, stride, padding).items()]
    return _sum(outputs)


def depthwise(taken: Array, weights: Array, stride: int = 1, padding: int | None = None) -> Array:
    """[h, w, channels] under [k, k, channels] -> [h', w', channels]: every channel by itself."""
    windows = _windows(taken, weights.shape[0], stride, padding)
    return _sum([window * weights[i, j].astype(taken.dtype) for (i, j), window in windows.items()])


def max_pool(taken: Array, kernel: int, stride: int) -> Array:
    """[h, w, channels] -> [h', w', channels]: the largest value under each window."""
    pooled: Array = np.max(list(_windows(taken, kernel, stride, 0).values()), 0)
    return pooled


def average_pool(taken: Array, kernel: int, stride: int) -> Array:
    """[h, w, channels] -> [h', w', channels]: the mean of the values under each window."""
    return _sum(list(_windows(taken, kernel, stride, 0).values())) / taken.dtype.type(kernel * kernel)


def _windows(taken: Array, kernel: int, stride: int, padding: int | None) -> dict[tuple[int, int], Array]:
    """For each place (i, j) of the kernel, the values that lie under it, [h', w', channels]."""
    p = kernel // 2 if padding is None else padding
    padded = np.pad(taken, ((p, p), (p, p), (0, 0)))
    height, width = ((side - kernel) // stride + 1 for side in padded.shape[:2])
    return {
        (i, j): padded[i : i + stride * height : stride, j : j + stride * width : stride][:height, :width]
        for i in range(kernel)
        for j in range(kernel)
    }


def _sum(arrays: list[Array]) -> Array:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


def requantize(conv: Conv, sums: Array, scale: Array, added: Array | None) -> Array:
    """int32 sums -> uint8, after adding another convolution's output where there is one."""
    y = sums.astype(F) * scale
    if added is not None:
        y = y + (added.astype(np.int32) - np.int32(conv.residual_zero)).astype(F) * F(conv.residual_scale)
    rounded = np.rint(y).astype(np.int32) + np.int32(conv.out_zero)
    return np.clip(rounded, conv.low, conv.high).astype(np.uint8)


def place(model: EvqaModel, seen: Array) -> Array:
    """The features, [cells * cells, channels]: the last output with what each cell's position means."""
    sizes = model.file.sizes
    if sizes.precision == FLOAT32:
        return seen.reshape(-1, sizes.channels) + model.tensors["head.place"]
    centred = seen.reshape(-1, sizes.channels).astype(np.int32) - np.int32(model.file.convs[-1].out_zero)
    y = centred.astype(F) * F(sizes.place_scale) + model.tensors["head.place"]
    return np.clip(np.rint(y).astype(np.int32) + np.int32(sizes.features_zero), 0, 255).astype(np.uint8)


def exp(x: Array) -> Array:
    """Of every element, float32."""
    x = np.minimum(np.maximum(x, F(-87)), F(87))
    n = (x * F(1.44269504) + F(12582912)) - F(12582912)
    r = (x - n * F(0.693359375)) - n * F(-2.12194440e-4)
    e = np.full_like(r, _TAYLOR[0])
    for coefficient in _TAYLOR[1:]:
        e = e * r + coefficient
    return (e.view(np.int32) + (n.astype(np.int32) << 23)).view(F)


def sigmoid(x: Array) -> Array:
    return ONE / (ONE + exp(-x))


def tanh(x: Array) -> Array:
    return TWO * sigmoid(TWO * x) - ONE


def read_question(model: EvqaModel, head: Mapping[str, Array], ids: Sequence[int]) -> Array:
    """The LSTM's state after the last word, [H]: int8 in 127ths or, in a float32 model, float32."""
    sizes = model.file.sizes
    cell = np.zeros(sizes.hidden, F)
    if sizes.precision == FLOAT32:
        hidden = np.zeros(sizes.hidden, F)
        for i in ids:
            z = product(head["lstm_x"], head["embedding"][i]) + product(head["lstm_h"], hidden)
            hidden, cell = lstm_cell(z + head["lstm_bias"], cell)
        return hidden
    state = np.zeros(sizes.hidden, np.int8)
    for i in ids:
        state, cell = lstm_step(head, head["embedding"][i], model.file.embedding_zero, state, cell)
    return state


def product(matrix: Array, x: Array) -> Array:
    """Float32 [rows, columns] times [columns], summed over the columns in order."""
    return ordered_sum(matrix.T * x[:, None])


def lstm_step(head: Mapping[str, Array], word: Array, word_zero: int, state: Array, cell: Array) -> tuple[Array, Array]:
    """One word: its embedding uint8 [E], state int8 [H] and cell float32 [H] -> the next state and cell."""
    from_word = head["lstm_x"].astype(np.int32) @ (word.astype(np.int32) - np.int32(word_zero))
    from_state = head["lstm_h"].astype(np.int32) @ state.astype(np.int32)
    z = from_word.astype(F) * head["lstm_x_scale"] + from_state.astype(F) * head["lstm_h_scale"]
    hidden, cell = lstm_cell(z + head["lstm_bias"], cell)
    return np.rint(hidden * F(127)).astype(np.int8), cell


def lstm_cell(z: Array, cell: Array) -> tuple[Array, Array]:
    """The four gates' sums float32 [4 H] (forget, input, candidate, output), cell [H] -> h [H], the next cell [H]."""
    forget, take, candidate, give = z.reshape(4, -1)
    cell = sigmoid(forget) * cell + sigmoid(take) * tanh(candidate)
    return sigmoid(give) * tanh(cell), cell


def dense(head: Mapping[str, Array], name: str, state: Array) -> Array:
    """A matrix applied to the question's state, float32 [rows]."""
    if f"{name}_scale" not in head:
        return product(head[name], state) + head[f"{name}_bias"]
    sums = head[name].astype(np.int32) @ state.astype(np.int32)
    return sums.astype(F) * head[f"{name}_scale"] + head[f"{name}_bias"]


def ordered_sum(terms: Array) -> Array:
    """The sum over the first axis, one term after the other, beginning with 0."""
    total = np.zeros(terms.shape[1:], F)
    for term in terms:
        total = total + term
    return total


def modulate(centred: Array, scale: Array, shift: Array) -> Array:
    """m, float32 [cells, channels]: the features scaled and shifted by the question, at least 0."""
    return np.maximum(centred.astype(F) * scale + shift, ZERO)


def attend(modulated: Array, score: Array, score_bias: Array) -> tuple[Array, Array]:
    """With attention: pooled [(G + 1) C] and look [cells] from m [cells, C]."""
    cells, glimpses = len(modulated), len(score)
    weights = np.stack([softmax(tree_sum(modulated * score[g]) + score_bias[g]) for g in range(glimpses)])
    glimpsed = [ordered_sum(weights[g][:, None] * modulated) for g in range(glimpses)]
    mean = ordered_sum(modulated) * (ONE / F(cells))
    return np.concatenate([*glimpsed, mean]), ordered_sum(weights) * (ONE / F(glimpses))


def tree_sum(terms: Array) -> Array:
    """The sum over the last axis: 16 partial sums of every 16th term, then halves added to halves."""
    rows, columns = terms.shape
    padded = np.zeros((rows, -(-columns // 16) * 16), F)
    padded[:, :columns] = terms
    partial = ordered_sum(padded.reshape(rows, -1, 16).transpose(1, 0, 2))
    for half in (8, 4, 2, 1):
        partial = partial[:, :half] + partial[:, half:]
    return partial[:, 0]


def softmax(scores: Array) -> Array:
    powers = exp(scores - scores.max())
    return powers / ordered_sum(powers)


def pool(centred: Array, features_scale: np.float32, scale: Array, shift: Array) -> tuple[Array, Array]:
    """Without attention: pooled [C], look [cells]."""
    cells = len(centred)
    total = ordered_sum(centred) if centred.dtype == F else centred.sum(0, np.int32).astype(F)
    mean = total * (features_scale / F(cells))
    return np.maximum(mean * scale + shift, ZERO), np.full(cells, ONE / F(cells))


def join(head: Mapping[str, Array], pooled: Array) -> Array:
    """v, float32 [joint]: the pooled picture, rounded to 8 bits where that is int8, under `picture`, at least 0."""
    if "picture_scale" not in head:
        return np.maximum(dense(head, "picture", pooled), ZERO)
    top = pooled.max()
    if not top >= TINY:
        quantized, back = np.zeros(pooled.shape, np.int32), ZERO
    else:
        quantized, back = np.rint(pooled * (F(255) / top)).astype(np.int32), top / F(255)
    sums = head["picture"].astype(np.int32) @ quantized
    return np.maximum(sums.astype(F) * head["picture_scale"] * back + head["picture_bias"], ZERO)
