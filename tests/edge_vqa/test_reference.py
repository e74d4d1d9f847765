"""The reference against numbers worked out by hand, against double precision, and step by step."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
from tiny_model import KINDS, make_model  # noqa: E402

from edge_vqa.engines import reference as r  # noqa: E402
from edge_vqa.errors import EngineError  # noqa: E402
from edge_vqa.evqa_file import FLOAT32, NO_BOUND, PRECISIONS, Conv  # noqa: E402
from edge_vqa.evqa_tensors import load_tensors  # noqa: E402

F = np.float32


def grid(text: str, kind: type = np.int32):
    """Rows separated by slashes -> [h, w, 1]."""
    return np.array([row.split() for row in text.split("/")]).astype(kind)[:, :, None]


def under(picture: str, kernel: str, stride: int = 1, padding: int = 0):
    """A filter over a picture of one channel, [h', w']."""
    weights = grid(kernel)[None]
    return r.convolution(grid(picture), weights, stride, padding)[:, :, 0]


def test_a_picture_under_a_filter() -> None:
    picture = "9 4 1 2 2 / 1 1 1 0 4 / 1 2 1 0 6 / 1 0 0 2 0 / 9 6 7 4 0"
    kernel = "0 2 1 / 4 1 0 / 1 0 1"
    result = under(picture, kernel)
    # 2*4 + 1*1 + 4*1 + 1*1 + 1*1 + 1*1
    assert result[0, 0] == 16
    assert result.shape == (3, 3)
    assert under(picture, kernel, padding=1).shape == (5, 5)
    assert (under(picture, kernel, padding=1)[1:4, 1:4] == result).all()
    # At the corner 1 times the 9 below the centre row's middle: 0 above and to the left, 9 + 0*4, then 0*1 + 1*1.
    assert under(picture, kernel, padding=1)[0, 0] == 1 * 9 + 0 * 4 + 0 * 1 + 1 * 1


def test_a_binary_picture_under_a_filter() -> None:
    picture = "1 1 1 0 0 / 0 1 1 1 0 / 0 0 1 1 1 / 0 0 1 1 0 / 0 1 1 0 0"
    assert under(picture, "1 0 1 / 0 1 0 / 1 0 1").tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


def test_a_stride_of_two_takes_every_second_place() -> None:
    picture = "1 1 1 0 0 / 0 1 1 1 0 / 0 0 1 1 1 / 0 0 1 1 0 / 0 1 1 0 0"
    kernel = "1 0 1 / 0 1 0 / 1 0 1"
    assert (under(picture, kernel, 2) == [[4, 4], [2, 4]]).all()
    assert (under(picture, kernel, 2, 1) == under(picture, kernel, 1, 1)[::2, ::2]).all()


def test_channels_are_summed_or_kept_apart() -> None:
    picture = np.stack([grid("1 2 / 3 4"), grid("5 6 / 7 8")], -1)[:, :, 0]
    weights = np.array([[[[1, 10]]], [[[2, -1]]]])  # two outputs of 1x1
    assert r.convolution(picture, weights)[:, :, 0].tolist() == [[51, 62], [73, 84]]
    assert r.convolution(picture, weights)[:, :, 1].tolist() == [[-3, -2], [-1, 0]]
    ones = np.ones((3, 3, 2), np.int8) * np.array([1, 2], np.int8)
    assert r.depthwise(picture, ones)[0, 0].tolist() == [10, 52]


def test_pooling() -> None:
    picture = grid("2 2 7 3 / 9 4 6 1 / 8 5 2 4 / 3 1 2 6", np.float32)
    assert r.max_pool(picture, 2, 2)[:, :, 0].tolist() == [[9, 7], [8, 6]]
    assert r.average_pool(picture, 2, 2)[:, :, 0].tolist() == [[4.25, 4.25], [4.25, 3.5]]


def test_the_mean_over_cells_is_average_pooling() -> None:
    picture = grid("2 2 7 3 / 9 4 6 1 / 8 5 2 4 / 3 1 2 6", np.float32)
    pooled, look = r.pool(picture.reshape(16, 1).astype(np.int32), F(0.5), np.ones(1, F), np.zeros(1, F))
    assert pooled[0] == r.average_pool(picture, 4, 4)[0, 0, 0] / 2
    assert look.tolist() == [1 / 16] * 16


def test_exp_sigmoid_tanh() -> None:
    x = np.concatenate([np.linspace(-87, 87, 4001), np.linspace(-2, 2, 4001), [0, -0.0, 1, -1]]).astype(F)
    exact = x.astype(np.float64)
    assert np.abs(r.exp(x) / np.exp(exact) - 1).max() < 1e-6
    assert np.abs(r.sigmoid(x) - 1 / (1 + np.exp(-exact))).max() < 1e-6
    assert np.abs(r.tanh(x) - np.tanh(exact)).max() < 1e-6
    assert r.exp(np.array([0, -0.0], F)).tolist() == [1, 1]
    assert r.sigmoid(np.zeros(1, F)).tolist() == [0.5]
    assert r.tanh(np.zeros(1, F)).tolist() == [0]


def test_far_values_stay_finite() -> None:
    x = np.array([-np.inf, -1e30, -1e3, 1e3, 1e30, np.inf], F)
    assert np.isfinite(r.exp(x)).all()
    assert r.sigmoid(x).tolist() == pytest.approx([0, 0, 0, 1, 1, 1], abs=1e-30)
    assert np.abs(r.tanh(x)).max() <= 1


def test_the_gates_of_the_lstm_by_hand() -> None:
    """One unit. Gates' sums: forget ln 3, input 0, candidate (ln 3) / 2, output -ln 3; the cell held 2."""
    z = np.array([math.log(3), 0, math.log(3) / 2, -math.log(3)], F)
    hidden, cell = r.lstm_cell(z, np.array([2], F))
    # sigmoid(ln 3) = 3/4, sigmoid(0) = 1/2, tanh(ln 3 / 2) = (3 - 1) / (3 + 1) = 1/2, sigmoid(-ln 3) = 1/4
    assert cell[0] == pytest.approx(3 / 4 * 2 + 1 / 2 * 1 / 2, abs=1e-6)
    assert hidden[0] == pytest.approx(1 / 4 * math.tanh(1.75), abs=1e-6)


@pytest.mark.parametrize("gate", ["forget", "input", "candidate", "output"])
def test_each_gate_does_its_own_work(gate: str) -> None:
    """Wide open (40) or shut (-40) decides exactly what the gate is for."""
    place = ["forget", "input", "candidate", "output"].index(gate)

    def step(value: float) -> tuple[float, float]:
        z = np.array([40, 40, 40, 40], F)
        z[place] = value
        hidden, cell = r.lstm_cell(z, np.array([0.5], F))
        return float(hidden[0]), float(cell[0])

    open_hidden, open_cell = step(40)
    assert (open_hidden, open_cell) == (pytest.approx(math.tanh(1.5), abs=1e-6), pytest.approx(1.5))
    hidden, cell = step(-40)
    expected = {"forget": 1.0, "input": 0.5, "candidate": -0.5, "output": 1.5}[gate]
    assert cell == pytest.approx(expected, abs=1e-6)
    assert hidden == pytest.approx(0 if gate == "output" else math.tanh(expected), abs=1e-6)


def test_lstm_steps_against_double_precision() -> None:
    rng = np.random.default_rng(5)
    words, size = 7, 10
    head = {
        "lstm_x": rng.integers(-127, 128, (4 * size, words)).astype(np.int8),
        "lstm_h": rng.integers(-127, 128, (4 * size, size)).astype(np.int8),
        "lstm_x_scale": rng.uniform(1e-5, 5e-5, 4 * size).astype(F),
        "lstm_h_scale": rng.uniform(1e-5, 5e-5, 4 * size).astype(F),
        "lstm_bias": rng.normal(0, 1, 4 * size).astype(F),
    }
    state, cell = np.zeros(size, np.int8), np.zeros(size, F)
    exact_cell = np.zeros(size)
    for _ in range(12):
        word = rng.integers(0, 256, words).astype(np.uint8)
        z = (head["lstm_x"].astype(float) @ (word - 100.0)) * head["lstm_x_scale"]
        z = z + (head["lstm_h"].astype(float) @ state.astype(float)) * head["lstm_h_scale"] + head["lstm_bias"]
        forget, take, candidate, give = z.reshape(4, size)
        exact_cell = exact_cell / (1 + np.exp(-forget)) + np.tanh(candidate) / (1 + np.exp(-take))
        hidden = np.tanh(exact_cell) / (1 + np.exp(-give))
        state, cell = r.lstm_step(head, word, 100, state, cell)
        assert np.abs(cell - exact_cell).max() < 1e-5
        assert np.abs(state / 127 - hidden).max() < 0.5 / 127 + 1e-5


def test_a_tree_of_sums() -> None:
    """40 terms in 16 partial sums: the order is visible where large terms cancel."""
    terms = np.arange(1, 41, dtype=F)[None]
    assert r.tree_sum(terms).tolist() == [820]
    terms = np.zeros((1, 32), F)
    terms[0, [0, 16, 8]] = [1e8, -1e8, 1]  # 0 and 16 share a partial sum, so the 1 is not lost
    assert r.tree_sum(terms).tolist() == [1]
    terms[0, [16, 8, 24]] = [0, -1e8, 3]  # partial 8 is -1e8 + 3 = -1e8 + 0 (steps of 8)
    assert r.tree_sum(terms).tolist() == [0]
    assert r.tree_sum(np.ones((3, 5), F)).tolist() == [5, 5, 5]


def test_ordered_sums_are_taken_in_order() -> None:
    terms = np.array([[1e8], [1], [-1e8], [1]], F)
    assert r.ordered_sum(terms).tolist() == [1]
    assert np.signbit(r.ordered_sum(np.array([[-0.0]], F))).tolist() == [False]


def test_attention_looks_where_the_score_is_high() -> None:
    modulated = np.array([[0, 1], [math.log(3), 2]], F)  # two cells, two channels
    pooled, look = r.attend(modulated, np.array([[1, 0]], F), np.array([7], F))
    assert look.tolist() == pytest.approx([0.25, 0.75], abs=1e-6)
    third = 0.75 * math.log(3)
    assert pooled.tolist() == pytest.approx([third, 1.75, math.log(3) / 2, 1.5], abs=1e-6)


def test_two_glimpses_are_pooled_one_after_the_other_and_looked_at_together() -> None:
    modulated = np.array([[1, 2], [3, 4]], F)
    pooled, look = r.attend(modulated, np.array([[40, 0], [-40, 0]], F), np.zeros(2, F))
    assert pooled.tolist() == pytest.approx([3, 4, 1, 2, 2, 3], abs=1e-6)
    assert look.tolist() == pytest.approx([0.5, 0.5], abs=1e-6)


def test_joining_rounds_the_picture_to_eight_bits() -> None:
    head = {
        "picture": np.array([[1, 2], [-1, 0]], np.int8),
        "picture_scale": np.array([1, 1], F),
        "picture_bias": np.array([0.5, 1], F),
    }
    # 51 / 255 = 0.2: rounds to 51 and 255, in steps of 1 / 255
    assert r.join(head, np.array([0.2, 1], F)).tolist() == pytest.approx([561 / 255 + 0.5, 1 - 51 / 255], abs=1e-6)
    assert r.join(head, np.zeros(2, F)).tolist() == [0.5, 1]


def test_requantizing_rounds_to_even_and_clamps() -> None:
    conv = Conv(0, 1, 1, 1, 6, 1, 1, 0, 10, 9, 14)
    sums = np.array([[[1, 3, 5, -1, 9, -4]]], np.int32)
    assert r.requantize(conv, sums, np.full(6, 0.5, F), None)[0, 0].tolist() == [10, 12, 12, 10, 14, 9]


def test_a_residual_is_added_before_rounding() -> None:
    conv = Conv(0, 1, 1, 1, 2, 1, 1, 0, 10, 0, 255, residual=0, residual_scale=0.25, residual_zero=100)
    added = np.array([[[101, 98]]], np.uint8)
    # 0.5 + 0.25 and 0.5 - 0.5
    assert r.requantize(conv, np.array([[[1, 1]]], np.int32), np.full(2, 0.5, F), added)[0, 0].tolist() == [11, 10]


def test_padding_is_the_zero_point() -> None:
    conv = Conv(0, 3, 1, 1, 1, 2, 2, 7, 0, 0, 255)
    taken = np.full((2, 2, 1), 7, np.uint8)
    weights = np.full((1, 3, 3, 1), 5, np.int8)
    assert r.accumulate(conv, taken, weights, np.array([3], np.int32)).ravel().tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("inputs", [64, 1100])
def test_sums_are_exact(inputs: int) -> None:
    """Also where they no longer fit the 24 bits of a float32."""
    conv = Conv(0, 1, 1, inputs, 3, 2, 2, 255, 0, 0, 255)
    rng = np.random.default_rng(1)
    taken = rng.integers(0, 4, (2, 2, inputs)).astype(np.uint8)
    weights = np.concatenate([np.full((2, 1, 1, inputs), -128), rng.integers(-128, 128, (1, 1, 1, inputs))])
    bias = np.array([12345, -1, 7], np.int32)
    exact = (taken.astype(object) - 255) @ weights[:, 0, 0].T.astype(object) + bias
    assert (r.accumulate(conv, taken, weights.astype(np.int8), bias) == exact).all()
    assert inputs == 64 or np.abs(exact).max() > 1 << 24


def test_float32_products_are_summed_by_row_column_and_input() -> None:
    """1 is lost beside 1e8: the order is visible."""
    taken = np.zeros((3, 3, 2), F)
    taken[0, 0], taken[0, 1], taken[2, 2] = (1e8, 1), (-1e8, 3), (0, 4)  # 1e8 + 1 - 1e8 + 3 + 4
    conv = Conv(0, 3, 1, 2, 1, 3, 3, 0, 0, 0, 6)
    assert r.ordered_sums(conv, taken, np.ones((1, 3, 3, 2), F))[1, 1].tolist() == [7]
    taken = np.zeros((3, 3, 1), F)
    taken[0, 0], taken[0, 1], taken[1, 0], taken[2, 2] = 1e8, 1, -1e8, 3
    conv = Conv(1, 3, 1, 1, 1, 3, 3, 0, 0, 0, 6)
    assert r.ordered_sums(conv, taken, np.ones((3, 3, 1), F))[1, 1].tolist() == [3]
    assert r.ordered_sums(conv, taken[::-1], np.ones((3, 3, 1), F))[1, 1].tolist() == [1]
    matrix = np.array([[1e8, 1, -1e8, 1], [1, 2, 3, 4]], F)
    assert r.product(matrix, np.ones(4, F)).tolist() == [1, 10]


def test_float32_sums_become_outputs() -> None:
    conv = Conv(0, 1, 1, 1, 5, 1, 1, 0, 0, 0.0, 6.0)
    sums, bias = np.array([1, -3, 7, np.nan, -1], F), np.array([0.5, 1, 0, 0, 1], F)
    assert r.finish(conv, sums, bias, None).tolist() == [1.5, 0, 6, 0, 0]
    assert r.finish(conv, sums, bias, np.array([2, 3, -4, 1, 0.25], F)).tolist() == [3.5, 1, 3, 0, 0.25]
    free = Conv(0, 1, 1, 1, 5, 1, 1, 0, 0, -NO_BOUND, NO_BOUND)
    assert r.finish(free, np.array([-9, np.inf, np.nan], F), np.zeros(3, F), None).tolist() == [
        -9, float(F(NO_BOUND)), float(F(-NO_BOUND)),
    ]  # fmt: skip


def exact_features(model, picture):
    """A float32 model's features in double precision, [cells * cells, channels], by windows and einsum."""
    outputs = []
    taken = picture.astype(np.float64) - model.file.sizes.pixel_zero
    for number, conv in enumerate(model.file.convs):
        weights, bias = (model.tensors[f"conv{number}.{part}"].astype(np.float64) for part in ("weights", "bias"))
        pad = conv.kernel // 2
        padded = np.pad(taken, ((pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (conv.kernel, conv.kernel), (0, 1))
        windows = windows[:: conv.stride, :: conv.stride]
        y = np.einsum("yxcij,ijc->yxc" if conv.depthwise else "yxcij,oijc->yxo", windows, weights) + bias
        y += outputs[conv.residual] if conv.residual >= 0 else 0
        taken = np.clip(y, conv.low, conv.high)
        outputs.append(taken)
    return taken.reshape(-1, taken.shape[-1]) + model.tensors["head.place"]


def exact_answer(model, features, ids):
    """The same for logits and attention."""
    head = {name: array.astype(np.float64) for name, array in r.head_tensors(model).items()}
    sizes = model.file.sizes
    state, cell = np.zeros(sizes.hidden), np.zeros(sizes.hidden)
    for i in ids:
        z = head["lstm_x"] @ head["embedding"][i] + head["lstm_h"] @ state + head["lstm_bias"]
        forget, take, candidate, give = z.reshape(4, -1)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(candidate) / (1 + np.exp(-take))
        state = np.tanh(cell) / (1 + np.exp(-give))
    scale, shift, asked = (head[n] @ state + head[f"{n}_bias"] for n in ("scale", "shift", "question"))
    if sizes.attention:
        modulated = np.maximum(features * scale + shift, 0)
        scores = modulated @ head["score"].T + head["score_bias"]
        weights = np.exp(scores) / np.exp(scores).sum(0)
        pooled = np.concatenate([*(weights.T @ modulated), modulated.mean(0)])
        look = weights.mean(1)
    else:
        pooled, look = np.maximum(features.mean(0) * scale + shift, 0), np.full(sizes.cells**2, sizes.cells**-2.0)
    joined = np.maximum(head["picture"] @ pooled + head["picture_bias"], 0) * np.maximum(asked, 0)
    return joined @ head["answer"] + head["answer_bias"], look


@pytest.mark.parametrize("kind", KINDS)
def test_float32_models_against_double_precision(tmp_path: Path, kind: str) -> None:
    model = load_tensors(make_model(tmp_path / "a.evqa", kind, precision=FLOAT32))
    engine, side = r.ReferenceEngine(model), model.file.sizes.side
    picture = np.random.default_rng(3).integers(0, 256, (side, side, 3), np.uint8)
    features, exact = engine.encode(picture.tobytes()), exact_features(model, picture)
    assert features.dtype == F and np.abs(features - exact).max() < 1e-5 * np.abs(exact).max()
    for ids in ([2], [3, 1, 4, 2, 2, 0]):
        logits, look = engine.answer(features, ids)
        exact_logits, exact_look = exact_answer(model, exact, ids)
        assert np.abs(logits - exact_logits).max() < 1e-4 and np.abs(look - exact_look).max() < 1e-5


@pytest.mark.parametrize("precision", range(len(PRECISIONS)), ids=PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_whole_models(tmp_path: Path, kind: str, precision: int) -> None:
    """Activations are neither dead nor saturated, questions and pictures matter, attention sums to 1."""
    engine = r.ReferenceEngine(load_tensors(make_model(tmp_path / "a.evqa", kind, precision=precision)))
    side, cells = engine.model.file.sizes.side, engine.model.file.sizes.cells
    pictures = np.random.default_rng(2).integers(0, 256, (2, side, side, 3), np.uint8)
    for output, conv in zip(r.encode(engine.model, pictures[0]), engine.model.file.convs):
        assert output.shape == (conv.out_side, conv.out_side, conv.outputs)
        spread = ((output > conv.low) & (output < conv.high)).mean()
        assert spread > 0.2 and len(np.unique(output)) > 15, spread
    one, other = (engine.encode(p.tobytes()) for p in pictures)
    assert one.dtype == (F if precision == FLOAT32 else np.uint8)
    assert one.shape == (cells**2, engine.model.file.sizes.channels)
    logits, look = engine.answer(one, [2, 3])
    assert len(logits) == len(KINDS[kind].answers) + 1 and len(look) == cells**2
    assert sum(look) == pytest.approx(1, abs=1e-5)
    assert all(math.isfinite(v) for v in logits)
    assert engine.answer(one, [3, 2])[0] != logits != engine.answer(other, [2, 3])[0]


def test_what_cannot_be_computed(tmp_path: Path) -> None:
    engine = r.ReferenceEngine(load_tensors(make_model(tmp_path / "a.evqa", "dense")))
    with pytest.raises(EngineError, match="3071 bytes"):
        engine.encode(bytes(3071))
    features = engine.encode(bytes(3072))
    for ids in ([], [-1], [5], [2, 1000]):
        with pytest.raises(EngineError, match="0 to 4"):
            engine.answer(features, ids)
