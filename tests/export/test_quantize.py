"""Quantizing: against numbers worked out by hand, against the exact network, and against the reference engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_data import VNFOOD, needs_vnfood
from tiny_network import ANSWERS, SIDE, WORDS, network, pictures

from edge_vqa.engines.reference import ReferenceEngine
from edge_vqa.errors import EngineError, ModelError
from edge_vqa.evqa_file import EvqaFile
from edge_vqa.evqa_tensors import load_tensors, save_tensors
from export.models import NAMES, PIXEL_SCALE, PIXEL_ZERO
from export.quantization import study
from export.quantization.encoder import Activation, quantize_layer
from export.quantization.equalize import equalize
from export.quantization.layers import Layer, encoder_layers, run
from export.quantization.model import Contents, float_contents, quantize
from export.quantization.ranges import Grid, activation_grid, grid, weight_steps
from export.quantization.rounding import reconstruct, second_moments
from export.quantization.settings import Settings
from export.quantization.simulate import features

PLAIN = Settings(activation_range="max", correct_bias=False, reconstruct=False, equalize=False)


def write(path: Path, made: Contents) -> ReferenceEngine:
    words, answers = (tuple(f"{letter}{i}" for i in range(n)) for letter, n in (("w", WORDS - 2), ("a", ANSWERS)))
    if made.sizes.words != WORDS:
        words, answers = (tuple(f"t{i}" for i in range(n)) for n in (made.sizes.words - 2, made.sizes.answers))
    save_tensors(path, EvqaFile(path, {}, words, answers, made.sizes, made.convs, made.embedding_zero), made.tensors)
    return ReferenceEngine(load_tensors(path))


def pixels(picture: torch.Tensor) -> bytes:
    return picture.permute(1, 2, 0).contiguous().numpy().tobytes()


def pointwise(weights: list[list[float]], bias: list[float], **bounds: float) -> Layer:
    return Layer(torch.tensor(weights)[:, :, None, None], torch.tensor(bias), 1, False, **bounds)


def test_one_layer_worked_by_hand() -> None:
    layer = pointwise([[1.27, -0.64]], [0.3], low=0.0, high=6.0)
    exact = torch.tensor([[[[0.0, 2.0]], [[1.0, -1.0]]]])
    taken = Activation(exact, torch.tensor([[[[10, 14]], [[12, 8]]]], dtype=torch.uint8), Grid(0.5, 10))
    conv, out = quantize_layer(layer, taken, None, PLAIN)
    assert conv.weights.flatten().tolist() == [127, -64]  # steps of 0.01
    assert conv.bias.tolist() == [60]  # 0.3 in steps of 0.01 * 0.5
    step = 3.48 / 255  # 1.27 * 2 + 0.64 + 0.3; the other place is clamped to 0
    assert conv.record.out_scale == pytest.approx(step)
    assert 0.005 / step * 2**16 == pytest.approx(24011.03)
    assert conv.scale.tolist() == [24011 / 2**16]  # the nearest multiple; the weights' steps are as much smaller
    assert (conv.record.in_zero, conv.record.out_zero, conv.record.low, conv.record.high) == (10, 0, 0, 255)
    assert out.given.flatten().tolist() == [0, 255]  # -128 + 60 is below 0; 508 + 128 + 60 are 254.997 steps


def test_a_channel_that_hardly_varies_keeps_its_bias_alone() -> None:
    layer = pointwise([[1e-9], [1.0]], [3.0, 0.0])
    exact = torch.linspace(0, 6, 256).view(1, 1, 1, -1)
    taken = Activation(exact, Grid(6 / 255, 0).round(exact), Grid(6 / 255, 0))
    conv, out = quantize_layer(layer, taken, None, PLAIN)
    assert conv.scale[0] == 2.0**-16
    assert conv.weights.flatten().tolist()[0] == 0
    assert out.real[0, 0].flatten().tolist() == pytest.approx([3.0] * 256, abs=0.51 * out.grid.step)


def test_a_residual_is_added_in_its_own_steps() -> None:
    layer = replace(pointwise([[1.27]], [0.0]), residual=0)
    taken = Activation(torch.tensor([[[[2.0]]]]), torch.tensor([[[[4]]]], dtype=torch.uint8), Grid(0.5, 0))
    added = Activation(torch.tensor([[[[-1.0]]]]), torch.tensor([[[[96]]]], dtype=torch.uint8), Grid(0.25, 100))
    conv, out = quantize_layer(layer, taken, added, PLAIN)
    assert out.exact.item() == pytest.approx(1.54)
    assert conv.record.residual_scale == pytest.approx(0.25 / (1.54 / 255))
    assert conv.record.residual_zero == 100
    assert out.given.item() == 255


def test_relu6_is_a_bound_in_steps() -> None:
    layer = pointwise([[1.0]], [0.0], low=0.0, high=6.0)
    exact = torch.linspace(0, 9, 1000).view(1, 1, 1, -1)
    taken = Activation(exact, Grid(9 / 255, 0).round(exact), Grid(9 / 255, 0))
    conv, out = quantize_layer(layer, taken, None, PLAIN)
    assert conv.record.out_scale == pytest.approx(6 / 255)
    assert out.real.max() == pytest.approx(6)


def test_grids() -> None:
    assert grid(-1, 2) == Grid(pytest.approx(3 / 255), 85)
    assert grid(1, 2) == Grid(pytest.approx(2 / 255), 0)
    values = torch.cat([torch.linspace(0, 1, 100_000), torch.tensor([40.0])])
    assert activation_grid(values, PLAIN).step == pytest.approx(40 / 255)
    clipped = activation_grid(values, replace(PLAIN, activation_range="percentile", percentile=99.9))
    assert clipped.step * 255 == pytest.approx(1, abs=0.02)
    values = torch.cat([torch.linspace(-1, 1, 1_000_000), torch.tensor([4.0])])
    chosen = activation_grid(values, replace(PLAIN, activation_range="mse"))

    def error(g: Grid) -> float:
        return float(((g.real(g.round(values)) - values) ** 2).sum())

    assert error(chosen) < 0.5 * error(activation_grid(values, PLAIN))


def test_weight_steps() -> None:
    weights = torch.tensor([[1.27, -0.5], [-2.54, 0.1]])
    assert weight_steps(weights, PLAIN).tolist() == pytest.approx([0.01, 0.02])
    assert weight_steps(weights, replace(PLAIN, per_channel=False)).tolist() == pytest.approx([0.02, 0.02])


def test_bias_correction_makes_up_for_rounding_on_average() -> None:
    """A channel that hardly varies under huge weights shifts the output; the corrected bias takes that off."""
    generator = torch.Generator().manual_seed(1)
    layer = Layer(torch.randn(6, 4, 3, 3, generator=generator), torch.zeros(6), 1, False)
    layer.weight[:, 0] *= 40
    exact = torch.rand(4, 4, 12, 12, generator=generator)
    exact[:, 0] = 1 + 0.01 * exact[:, 0]
    taken = Activation(exact, Grid(1.01 / 255, 0).round(exact), Grid(1.01 / 255, 0))

    def shift(settings: Settings) -> float:
        _, out = quantize_layer(layer, taken, None, settings)
        return float((out.real - out.exact).mean((0, 2, 3)).abs().mean())

    assert shift(replace(PLAIN, correct_bias=True)) < 0.1 * shift(PLAIN)


@pytest.mark.parametrize(("depthwise", "share"), [(False, 0.5), (True, 0.8)])
def test_weights_rounded_together_keep_the_output_better(depthwise: bool, share: float) -> None:
    """Nine weights of a depthwise channel can make up for less than the 144 of the other."""
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(16, 1 if depthwise else 16, 3, 3, generator=generator)
    layer = Layer(weight, torch.zeros(16), 1, depthwise)
    mixed = torch.randn(8, 4, 10, 10, generator=generator)  # 16 channels made of 4: what rounds off can be made up for
    given = torch.einsum("oc,nchw->nohw", torch.randn(16, 4, generator=generator), mixed)
    given = torch.nn.functional.avg_pool2d(given, 3, 1, 1)
    steps = weight_steps(weight, PLAIN) * 8  # 4 bits, where it matters more
    unit = steps.view(-1, 1, 1, 1)
    together = reconstruct(layer, steps, second_moments(layer, given))
    alone = torch.round(weight / unit)
    assert together.abs().max() <= 127
    assert torch.equal(together, together.round())

    def error(whole: torch.Tensor) -> float:
        difference = layer.convolve(given, whole * unit - weight)
        return float((difference - difference.mean((0, 2, 3), keepdim=True)).square().mean())

    assert error(together) < share * error(alone)


@pytest.mark.parametrize("name", ["mobilenetv2-lstm", "cnn-lstm"])
def test_equalized_channels_are_the_same_network(name: str) -> None:
    made, shown = network(name), pictures(2, 5)
    layers, x = encoder_layers(made.encoder), (pictures(2, 5).float() - PIXEL_ZERO) * PIXEL_SCALE
    with torch.no_grad():
        expected = made.encoder.see(shown.float())
        torch.testing.assert_close(run(layers, x), expected, atol=1e-4, rtol=1e-4)
        factors = equalize(layers, shown)
        torch.testing.assert_close(run(layers, x) / factors.view(-1, 1, 1), expected, atol=1e-3, rtol=1e-3)
    assert factors.min() >= 1


def test_an_operation_that_the_format_lacks() -> None:
    made = network("cnn-lstm")
    made.encoder.backbone[2][2] = torch.nn.Sigmoid()
    with pytest.raises(ModelError, match="no such operation"):
        encoder_layers(made.encoder)
    made.encoder.backbone[2][2] = torch.nn.Conv2d(96, 96, 5, padding=2)
    with pytest.raises(ModelError, match="no such operation"):
        encoder_layers(made.encoder)


@pytest.mark.parametrize("name", NAMES)
def test_the_simulation_is_the_engine(name: str, tmp_path: Path) -> None:
    settings = Settings(equalize=name == "mobilenetv2-lstm-attention")
    model = quantize(network(name), pictures(8, 100), settings, 1.5)
    engine = write(tmp_path / "m.evqa", model.contents())
    shown, ids = pictures(2, 7), [3, 17, 5, 29]
    simulated = features(model.convs, model.sizes, model.place, shown)
    logits, look = model.head.answer(simulated, torch.tensor([ids, [4, 0, 0, 0]]), torch.tensor([4, 1]))
    for n, asked in enumerate((ids, [4])):
        seen = engine.encode(pixels(shown[n]))
        assert np.array_equal(simulated[n].numpy(), seen)
        own, own_look = engine.answer(seen, asked)
        np.testing.assert_allclose(logits[n].numpy(), own, atol=1e-4)
        np.testing.assert_allclose(look[n].numpy(), own_look, atol=1e-5)


def test_whole_scales_do_not_make_channels_larger() -> None:
    """Largest weights are 127 steps and stay so: were all steps made larger, every channel's gain would grow."""
    generator = torch.Generator().manual_seed(3)
    layer = Layer(torch.randn(400, 1, 3, 3, generator=generator), torch.zeros(400), 1, True, low=0.0, high=3.0)
    exact = torch.rand(2, 400, 8, 8, generator=generator)
    taken = Activation(exact, Grid(1 / 255, 0).round(exact), Grid(1 / 255, 0))
    conv, out = quantize_layer(layer, taken, None, PLAIN)
    largest = conv.weights.abs().flatten(1).max(1).values * conv.scale * out.grid.step * 255
    gain = (largest / layer.weight.abs().flatten(1).max(1).values).double()
    assert (gain - 1).abs().max() <= 1 / 127
    assert abs(float(gain.mean()) - 1) < 3e-4
    assert float((gain - 1).abs().mean()) > 5e-4  # they do change, but either way


def test_scales_are_whole_multiples_but_where_something_is_added() -> None:
    made = quantize(network("mobilenetv2-lstm-attention"), pictures(8, 100), Settings()).contents()
    for n, conv in enumerate(made.convs):
        scale = made.tensors[f"conv{n}.scale"].astype(np.float64)
        whole = np.array_equal(scale * 2**16, np.rint(scale * 2**16)) and scale.max() <= 1
        assert whole == (conv.residual < 0), n


@pytest.mark.parametrize("name", NAMES)
def test_int8_stays_close_and_float32_is_the_network(name: str, tmp_path: Path) -> None:
    made, shown = network(name), pictures(1, 7)
    ids = [3, 17, 5]
    with torch.no_grad():
        seen = made.encoder(shown.float())
        expected, looked = made.head(seen, torch.tensor([ids]), torch.tensor([3]))
    cells = seen.flatten(2)[0].T.numpy()
    exact = write(tmp_path / "float.evqa", float_contents(made, SIDE, 1.5))
    found = exact.encode(pixels(shown[0]))
    np.testing.assert_allclose(found, cells, atol=1e-4)
    logits, look = exact.answer(found, ids)
    np.testing.assert_allclose(logits, expected[0].numpy(), atol=1e-4)
    np.testing.assert_allclose(look, looked.flatten().numpy(), atol=1e-5)
    model = quantize(made, pictures(8, 100), Settings())
    real = (features(model.convs, model.sizes, model.place, shown)[0].float() - model.sizes.features_zero).numpy()
    error = real * model.sizes.features_scale / model.channel_scale.numpy() - cells
    assert 10 * np.log10((cells**2).sum() / (error**2).sum()) > 20


@needs_vnfood
def test_the_simulation_is_the_engine_on_photographs(tmp_path: Path) -> None:
    from export.data import load_dataset
    from export.release import RELEASED
    from export.run_folder import RunFolder
    from export.to_evqa import calibration_pictures

    made, _, _, side = RunFolder(RELEASED / "cnn-lstm-attention").load()
    shown = calibration_pictures(load_dataset(VNFOOD), side, 6)
    model = quantize(made, shown[:4], Settings())
    engine = write(tmp_path / "m.evqa", model.contents())
    for n, simulated in enumerate(features(model.convs, model.sizes, model.place, shown[4:])):
        assert np.array_equal(simulated.numpy(), engine.encode(pixels(shown[4 + n])))


def test_the_study_measures_with_either_engine() -> None:
    made, shown = network("cnn-lstm-attention"), pictures(4, 7)
    model = quantize(made, pictures(8, 100), Settings())
    ids, lengths, picture = torch.tensor([[3, 17, 5], [4, 0, 0], [9, 8, 0]]), torch.tensor([3, 1, 2]), torch.arange(3)
    with torch.no_grad():
        cells = made.encoder(shown.float())
        logits, _ = made.head(cells[picture], ids, lengths)
    names = tuple(tuple(f"{n}" for n in range(count)) for count in (WORDS - 2, ANSWERS))
    split = study.Split(*names, shown, ids, lengths, picture, logits[:, :-1].argmax(1), cells.flatten(2).mT, logits)
    found = study.measure(model, split)
    assert found["agreement"] == 1
    assert found["points_lost"] == 0
    assert 0 < found["divergence"] < 0.05
    assert found["sqnr"] > 20
    try:
        seen, answers = study.computed(model, split)
    except EngineError:
        pytest.skip("the engine in C++ is not compiled")
    own, own_answers = study.simulated(model, split)
    assert torch.equal(seen, own)
    torch.testing.assert_close(answers, own_answers, atol=1e-4, rtol=0)
