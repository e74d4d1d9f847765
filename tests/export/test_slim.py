"""Cutting channels, against networks whose cut is known beforehand."""

import pytest
import torch

from export.models import Encoder, Head, Shape
from export.slim import slim_encoder, slim_head


def shape(**sizes: object) -> Shape:
    return Shape("mobilenetv2-lstm-attention", 20, 5, width=16, **sizes)


def randomised(encoder: Encoder) -> Encoder:
    """With BatchNorm statistics and scales that are not those of a new network."""
    torch.manual_seed(1)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    return encoder.eval()


def test_nothing_cut_is_the_same_network():
    wide, narrow = randomised(Encoder(shape())), Encoder(shape()).eval()
    slim_encoder(wide, narrow)
    pixels = torch.rand(1, 3, 64, 64) * 255
    assert torch.equal(wide(pixels), narrow(pixels))


@pytest.mark.parametrize("multiplier", [0.35, 0.5, 0.75])
def test_channels_that_do_nothing_are_the_ones_cut(multiplier):
    """A narrow network hidden in a wide one, whose other channels are scaled by 0, is found again."""
    hidden = randomised(Encoder(shape(multiplier=multiplier, last=640)))
    wide = Encoder(shape()).eval()
    places = _hide(hidden, wide)
    found = Encoder(shape(multiplier=multiplier, last=640)).eval()
    slim_encoder(wide, found)
    pixels = torch.rand(1, 3, 64, 64) * 255
    torch.testing.assert_close(found(pixels), hidden(pixels), rtol=1e-4, atol=1e-4)
    assert places > 30


def test_a_shorter_network_keeps_what_lies_before_the_cut():
    wide, short = randomised(Encoder(shape())), Encoder(shape(blocks=15, tail_expansion=3, last=0)).eval()
    slim_encoder(wide, short)
    assert len(short.backbone) == 16 and short.project[0].in_channels == 160
    pixels = torch.rand(1, 3, 64, 64)
    assert torch.equal(wide.backbone[:15](pixels), short.backbone[:15](pixels))
    assert short.backbone[15].conv[1][0].out_channels == 480
    kept = {tuple(row.flatten().tolist()) for row in wide.backbone[15].conv[1][0].weight}
    assert all(tuple(row.flatten().tolist()) in kept for row in short.backbone[15].conv[1][0].weight)


def test_a_head_without_loss_is_the_same_head():
    torch.manual_seed(2)
    wide, same = Head(shape()).eval(), Head(shape()).eval()
    slim_head(wide, same)
    asked = torch.rand(2, 16, 3, 3), torch.tensor([[3, 4, 5], [6, 7, 0]]), torch.tensor([3, 2])
    for got, wanted in zip(same(*asked), wide(*asked), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_units_that_do_nothing_are_the_ones_cut():
    """Words that differ along 8 axes only, LSTM and joint units that nothing reads: a smaller head says the same."""
    torch.manual_seed(3)
    wide = Head(shape(embedding=24, hidden=20, joint=30)).eval()
    with torch.no_grad():
        wide.embedding.weight.copy_(torch.randn(20, 8) @ torch.randn(8, 24))
        for layer in (wide.scale, wide.shift, wide.join_question):
            layer.weight[:, ::2] = 0
        wide.lstm.weight_hh_l0[:, ::2] = 0
        wide.answer.weight[:, 1::3] = 0
    narrow = Head(shape(embedding=8, hidden=10, joint=20)).eval()
    slim_head(wide, narrow)
    asked = torch.rand(2, 16, 3, 3), torch.tensor([[3, 4, 5], [6, 7, 0]]), torch.tensor([3, 2])
    for got, wanted in zip(narrow(*asked), wide(*asked), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def _hide(narrow: Encoder, wide: Encoder) -> int:
    """Put every tensor of `narrow` into the first channels of `wide`; all else is 0. Returns how many were put."""
    state = wide.state_dict()
    count = 0
    for name, value in narrow.state_dict().items():
        target = state[name]
        if value.dim() == 0:
            continue
        target.zero_()
        if name.endswith("running_var"):
            target.fill_(1)
        target[tuple(slice(n) for n in value.shape)] = value
        count += 1
    wide.load_state_dict(state)
    return count
