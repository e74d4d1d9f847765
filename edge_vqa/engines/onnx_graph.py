"""The ONNX graphs of an `.evqa` model (docs/formats.md says what goes in and out).

int8: the encoder is in QDQ form: every value between convolutions is rounded to uint8 by its own scale and zero point.
It computes what docs/evqa-format.md says, but for one rounding more before a residual is added. The head multiplies
the same 8-bit integers, exactly, but for the LSTM, whose operator knows only floats: its state is rounded to 8 bits
after the last word, not after each. Weights are stored in 8 bits everywhere.

float32: floats throughout, summed in whatever order the runtime prefers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import __version__
from ..evqa_file import FLOAT32, Conv
from ..evqa_tensors import Array, EvqaModel, head_tensors
from ..model_file import ENCODER, HEAD, WHOLE, describe
from ..onnx_file import METADATA_KEY
from .onnx_writer import GraphWriter

_TINY = np.float32(2**-100)
_BYTE = np.float32(255)


def onnx_model(model: EvqaModel, part: str, int8_lstm: bool = False) -> bytes:
    """The serialized ONNX model of WHOLE, ENCODER or HEAD.

    `int8_lstm`: onnxruntime's own operator computes an int8 model's LSTM, a little faster; no other runtime has it.
    """
    graph = GraphWriter(part)
    sizes = model.file.sizes
    pictures = "pictures" if part == HEAD else "batch"
    questions = "batch" if part == WHOLE else "questions"
    features = ("features", "float32", (pictures, sizes.channels, sizes.cells, sizes.cells), "what the encoder saw")
    if part != HEAD:
        graph.input("pixels", "uint8", (pictures, sizes.side, sizes.side, 3), "RGB, row by row from the top left")
        _encode(graph, model)
    if part == ENCODER:
        graph.output(*features)
    else:
        (graph.input if part == HEAD else graph.declare)(*features)
        graph.input("ids", "int64", (questions, "words"), "a word's number, 0 after the last word")
        graph.input("lengths", "int64", (questions,), "words of each question")
        _answer(graph, model, int8_lstm)
        graph.output("logits", "float32", (questions, sizes.answers + 1), "one an answer, the last: has no answer")
        graph.output("attention", "float32", (questions, sizes.cells, sizes.cells), "where it looked, sums to 1")
    about = model.file.about
    metadata: dict[str, str | bytes] = {
        METADATA_KEY: describe(model.file, part),
        "model_license": str(about.get("licence", "")),
    }
    doc = f"{about.get('name', '')}: answers questions about a picture ({part}). Inputs, outputs, words: metadata."
    return graph.model(("edge_vqa", __version__), doc, metadata)


def _encode(graph: GraphWriter, model: EvqaModel) -> None:
    """Pixels -> features."""
    taken = graph.node("Transpose", "pixels", perm=(0, 3, 1, 2))
    encode = _encode_float if model.file.sizes.precision == FLOAT32 else _encode_int8
    encode(graph, model, taken)


def _encode_float(graph: GraphWriter, model: EvqaModel, pixels: str) -> None:
    zero = graph.constant(np.float32(model.file.sizes.pixel_zero))
    taken = graph.node("Sub", graph.node("Cast", pixels, to=1), zero)
    for number, conv in enumerate(model.file.convs):
        bounded, added = conv.low > -1e38 or conv.high < 1e38, conv.residual >= 0
        name = f"conv{number}"
        weights = graph.constant(_ordered(conv, model.tensors[f"{name}.weights"]), f"{name}.weights")
        bias = graph.constant(model.tensors[f"{name}.bias"], f"{name}.bias")
        y = _convolution(graph, conv, taken, weights, bias, out="" if bounded or added else name)
        if added:
            y = graph.node("Add", y, f"conv{conv.residual}", out="" if bounded else name)
        if bounded:
            bounds = (graph.constant(np.float32(bound)) for bound in (conv.low, conv.high))
            y = graph.node("Clip", y, *bounds, out=name)
        taken = y
    graph.node("Add", taken, graph.constant(_places(model), "head.place"), out="features")


def _encode_int8(graph: GraphWriter, model: EvqaModel, pixels: str) -> None:
    sizes = model.file.sizes
    scale, taken = sizes.pixel_scale, _dequantize(graph, pixels, sizes.pixel_scale, sizes.pixel_zero)
    for number, conv in enumerate(model.file.convs):
        y = _convolution(graph, conv, taken, *_int8_weights(graph, model, number, scale))
        scale = conv.out_scale
        if conv.residual >= 0:
            # Rounded before the addition, too: runtimes have 8-bit convolutions only from bytes to bytes.
            steps = _sums_steps(conv)
            rounded = _dequantize(graph, _quantize(graph, y, *steps), *steps)
            y = graph.node("Add", rounded, f"conv{conv.residual}")
        rounded = _quantize(graph, y, scale, conv.out_zero)
        if (conv.low, conv.high) != (0, 255):
            bounds = (graph.constant(np.uint8(bound)) for bound in (conv.low, conv.high))
            rounded = graph.node("Clip", rounded, *bounds)
        taken = _dequantize(graph, rounded, scale, conv.out_zero, out=f"conv{number}")
    places = graph.constant((_places(model) * np.float64(sizes.features_scale)).astype(np.float32), "head.place")
    placed = _quantize(graph, graph.node("Add", taken, places), sizes.features_scale, sizes.features_zero)
    _dequantize(graph, placed, sizes.features_scale, sizes.features_zero, out="features")


def _sums_steps(conv: Conv) -> tuple[float, int]:
    """Scale and zero point of sums to which an earlier output is still to be added: those of the result.

    Where its range is much longer on one side of 0, the sums need that length on both.
    """
    reach = max(conv.out_zero, 255 - conv.out_zero)
    return (conv.out_scale, conv.out_zero) if reach <= 160 else (conv.out_scale * reach / 127, 128)


def _int8_weights(graph: GraphWriter, model: EvqaModel, number: int, in_scale: float) -> tuple[str, str]:
    """Weights and bias, dequantized: w is worth scale * out_scale / in_scale, bias scale * out_scale."""
    conv, name = model.file.convs[number], f"conv{number}"
    weights, bias, scale = (model.tensors[f"{name}.{part}"] for part in ("weights", "bias", "scale"))
    step = scale.astype(np.float64) * conv.out_scale
    weights_scale = graph.constant((step / in_scale).astype(np.float32), f"{name}.weights_scale")
    bias_scale = graph.constant(step.astype(np.float32), f"{name}.bias_scale")
    zeros = graph.constant(np.zeros(conv.outputs, np.int8))
    stored = graph.constant(_ordered(conv, weights), f"{name}.weights")
    return (
        graph.node("DequantizeLinear", stored, weights_scale, zeros, axis=0),
        graph.node("DequantizeLinear", graph.constant(bias, f"{name}.bias"), bias_scale, axis=0),
    )


def _ordered(conv: Conv, weights: Array) -> Array:
    """[outputs, inputs / groups, kernel, kernel]"""
    return weights.transpose(2, 0, 1)[:, None] if conv.depthwise else weights.transpose(0, 3, 1, 2)


def _convolution(graph: GraphWriter, conv: Conv, taken: str, weights: str, bias: str, out: str = "") -> str:
    return graph.node(
        "Conv",
        taken,
        weights,
        bias,
        out=out,
        group=conv.inputs if conv.depthwise else 1,
        kernel_shape=(conv.kernel, conv.kernel),
        strides=(conv.stride, conv.stride),
        pads=(conv.kernel // 2,) * 4,
    )


def _quantize(graph: GraphWriter, name: str, scale: float, zero: int) -> str:
    """To uint8."""
    return graph.node("QuantizeLinear", name, graph.constant(np.float32(scale)), graph.constant(np.uint8(zero)))


def _dequantize(graph: GraphWriter, name: str, scale: float, zero: int, out: str = "") -> str:
    """From uint8."""
    constants = graph.constant(np.float32(scale)), graph.constant(np.uint8(zero))
    return graph.node("DequantizeLinear", name, *constants, out=out)


def _places(model: EvqaModel) -> Array:
    """[1, channels, cells, cells]"""
    sizes = model.file.sizes
    return model.tensors["head.place"].T.reshape(1, sizes.channels, sizes.cells, sizes.cells)


def _answer(graph: GraphWriter, model: EvqaModel, int8_lstm: bool) -> None:
    """Features, ids, lengths -> logits, attention. Names the formula's values in docs/evqa-format.md."""
    sizes, head = model.file.sizes, head_tensors(model)
    channels, cells = sizes.channels, sizes.cells
    state = _read(graph, model, head, int8_lstm)
    scale, shift, question = _ask(graph, state, model, head)
    column = graph.constant(np.array([-1, channels, 1], np.int64))
    scale, shift = graph.node("Reshape", scale, column), graph.node("Reshape", shift, column)
    flat = graph.node("Reshape", "features", graph.constant(np.array([-1, channels, cells**2], np.int64)))
    if sizes.attention:
        pooled, look = _attend(graph, _modulate(graph, flat, scale, shift), head)
    else:
        mean = graph.node("ReduceMean", flat, axes=(2,), keepdims=1)
        pooled = graph.node("Squeeze", _modulate(graph, mean, scale, shift), graph.constant(np.array([2], np.int64)))
        look = _look_everywhere(graph, question, cells)
    joined = graph.node("Mul", _join(graph, pooled, model, head), graph.node("Relu", question))
    product = graph.node("MatMul", joined, graph.constant(head["answer"], "head.answer"))
    graph.node("Add", product, graph.constant(head["answer_bias"], "head.answer_bias"), out="logits")
    graph.node("Reshape", look, graph.constant(np.array([-1, cells, cells], np.int64)), out="attention")


def _read(graph: GraphWriter, model: EvqaModel, head: dict[str, Array], int8_lstm: bool) -> str:
    """The LSTM's state after each question's last word, [questions, hidden], -1 to 1.

    ONNX has the gates in the order input, output, forget, cell.
    """
    hidden, int8 = model.file.sizes.hidden, model.file.sizes.precision != FLOAT32
    forget, take, candidate, give = np.arange(4 * hidden).reshape(4, hidden)
    order = np.concatenate([take, give, forget, candidate])
    words = graph.node("Gather", graph.constant(head["embedding"], "head.embedding"), "ids")
    if int8:
        words = _dequantize(graph, words, 1.0, model.file.embedding_zero)
    words = graph.node("Transpose", words, perm=(1, 0, 2))
    bias = np.concatenate([head["lstm_bias"][order], np.zeros(4 * hidden, np.float32)])[None]
    rest = (graph.constant(bias, "head.lstm_bias"), graph.node("Cast", "lengths", to=6))
    if int8 and int8_lstm:
        kept, scaled = zip(*(_int8_lstm_matrix(graph, head, name, order) for name in _STEPS))
        kind, inputs, domain = "DynamicQuantizeLSTM", (*kept, *rest, "", "", "", *sum(scaled, ())), "com.microsoft"
    else:
        matrices = (_lstm_matrix(graph, head, name, order) for name in _STEPS)
        kind, inputs, domain = "LSTM", (*matrices, *rest), ""
    last = graph.node(kind, words, *inputs, skipped=1, domain=domain, hidden_size=hidden)
    return graph.node("Reshape", last, graph.constant(np.array([-1, hidden], np.int64)), out="state")


_STEPS = {"lstm_x": 1, "lstm_h": 127}
"""How many steps of a matrix's input stand for 1 in the format: its state is 8-bit."""


def _lstm_matrix(graph: GraphWriter, head: dict[str, Array], name: str, order: Array) -> str:
    """float32 [1, 4 hidden, columns]; an int8 one is stored as such and multiplied out when the graph is loaded."""
    stored = graph.constant(head[name][order][None], f"head.{name}")
    if head[name].dtype != np.int8:
        return stored
    scale = _lstm_scale(head, name, order)[..., None]
    return graph.node("Mul", graph.node("Cast", stored, to=1), graph.constant(scale, f"head.{name}_scale"))


def _int8_lstm_matrix(
    graph: GraphWriter, head: dict[str, Array], name: str, order: Array
) -> tuple[str, tuple[str, str]]:
    """Int8 [1, columns, 4 hidden]; its scales and zero points [1, 4 hidden]."""
    scale = _lstm_scale(head, name, order)
    zeros = graph.constant(np.zeros(scale.shape, np.int8))
    stored = graph.constant(head[name][order].T[None], f"head.{name}")
    return stored, (graph.constant(scale, f"head.{name}_scale"), zeros)


def _lstm_scale(head: dict[str, Array], name: str, order: Array) -> Array:
    """[1, 4 hidden]"""
    scale: Array = (head[f"{name}_scale"][order] * np.float32(_STEPS[name]))[None]
    return scale


def _ask(graph: GraphWriter, state: str, model: EvqaModel, head: dict[str, Array]) -> list[str]:
    """s, t, and what becomes u, [questions, rows] each: three matrices on the state, stored as one."""
    names = ("scale", "shift", "question")
    matrix = np.concatenate([head[name] for name in names])
    bias = graph.constant(np.concatenate([head[f"{name}_bias"] for name in names]), "head.state_bias")
    if model.file.sizes.precision == FLOAT32:
        product = graph.node("MatMul", state, graph.constant(matrix.T, "head.state"))
    else:
        # Of int8 matrices, runtimes multiply those with unsigned bytes fastest.
        steps = graph.node("Round", graph.node("Mul", state, graph.constant(np.float32(127))))
        zero = graph.constant(np.uint8(128))
        rounded = graph.node("Cast", graph.node("Add", steps, graph.constant(np.float32(128))), to=2)
        scale = np.concatenate([head[f"{name}_scale"] for name in names])
        product = _integers(graph, (rounded, zero), matrix, scale, "head.state")
    return graph.split(graph.node("Add", product, bias), [len(head[name]) for name in names], axis=1)


def _integers(graph: GraphWriter, bytes_: Sequence[str], matrix: Array, scale: Array, name: str) -> str:
    """Uint8 [questions, columns], less its zero point, times an int8 matrix [rows, columns], times each row's scale."""
    sums = graph.node("MatMulInteger", bytes_[0], graph.constant(matrix.T, name), *bytes_[1:])
    return graph.node("Mul", graph.node("Cast", sums, to=1), graph.constant(scale, f"{name}_scale"))


def _modulate(graph: GraphWriter, cells: str, scale: str, shift: str) -> str:
    return graph.node("Relu", graph.node("Add", graph.node("Mul", cells, scale), shift))


def _attend(graph: GraphWriter, modulated: str, head: dict[str, Array]) -> tuple[str, str]:
    """Modulated cells [questions, channels, cells] -> pooled [questions, (glimpses + 1) channels], look [.., cells]."""
    glimpses, channels = head["score"].shape
    scores = graph.node("MatMul", graph.constant(head["score"], "head.score"), modulated)
    scores = graph.node("Add", scores, graph.constant(head["score_bias"][:, None], "head.score_bias"))
    weights = graph.node("Softmax", scores, axis=-1)
    glimpsed = graph.node("MatMul", weights, graph.node("Transpose", modulated, perm=(0, 2, 1)))
    glimpsed = graph.node("Reshape", glimpsed, graph.constant(np.array([-1, glimpses * channels], np.int64)))
    mean = graph.node("ReduceMean", modulated, axes=(2,), keepdims=0)
    look = graph.node("ReduceMean", weights, axes=(1,), keepdims=0)
    return graph.node("Concat", glimpsed, mean, axis=1), look


def _look_everywhere(graph: GraphWriter, question: str, cells: int) -> str:
    """1 / cells^2, [questions, cells^2]: without attention, every cell counts alike."""
    count = graph.node("Shape", graph.node("ReduceMax", question, axes=(1,), keepdims=1))
    share = graph.node("Expand", graph.constant(np.full((1, cells**2), 1 / cells**2, np.float32)), count)
    return share


def _join(graph: GraphWriter, pooled: str, model: EvqaModel, head: dict[str, Array]) -> str:
    """Pooled [questions, columns] -> v [questions, joint]; in bytes, of a 255th of each question's largest value."""
    bias = graph.constant(head["picture_bias"], "head.picture_bias")
    if model.file.sizes.precision == FLOAT32:
        product = graph.node("MatMul", pooled, graph.constant(head["picture"].T, "head.picture"))
    else:
        top = graph.node("Max", graph.node("ReduceMax", pooled, axes=(1,), keepdims=1), graph.constant(_TINY))
        steps = graph.node("Mul", pooled, graph.node("Div", graph.constant(_BYTE), top))
        rounded = graph.node("Cast", graph.node("Round", steps), to=2)
        product = _integers(graph, (rounded,), head["picture"], head["picture_scale"], "head.picture")
        product = graph.node("Mul", product, graph.node("Div", top, graph.constant(_BYTE)))
    return graph.node("Relu", graph.node("Add", product, bias))
