"""The four networks: shapes, positions, masking, and the LSTM against a hand-written one."""

import numpy as np
import pytest
import torch

from export.models import NAMES, Network, Shape, position_features


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_attention(name: str) -> None:
    network = Network(Shape(name, words=20, answers=7)).eval()
    ids, lengths = torch.randint(2, 20, (3, 6)), torch.tensor([6, 1, 4])
    for side in (64, 96):
        logits, looked = network(torch.rand(3, 3, side, side) * 255, ids, lengths)
        assert logits.shape == (3, 8)
        assert looked.shape == (3, side // 32, side // 32)
        torch.testing.assert_close(looked.sum((1, 2)), torch.ones(3))
        assert (looked.std() > 1e-6) == network.shape.attention


@pytest.mark.parametrize("name", NAMES)
def test_padding_does_not_change_an_answer(name: str) -> None:
    network = Network(Shape(name, words=20, answers=7)).eval()
    features = torch.rand(1, 256, 2, 2)
    short, _ = network.head(features, torch.tensor([[5, 6, 7]]), torch.tensor([3]))
    padded, _ = network.head(features, torch.tensor([[5, 6, 7, 0, 0, 0]]), torch.tensor([3]))
    torch.testing.assert_close(short, padded)
    other, _ = network.head(features, torch.tensor([[5, 6, 8]]), torch.tensor([3]))
    assert not torch.allclose(short, other)


def test_the_encoder_gets_the_widths_of_the_design() -> None:
    network = Network(Shape("mobilenetv2-lstm-attention", 20, 7)).eval()
    assert network.encoder(torch.zeros(1, 3, 224, 224)).shape == (1, 256, 7, 7)
    backbone = sum(p.numel() for p in network.encoder.backbone.parameters())
    assert backbone == 2_223_872  # torchvision's MobileNetV2 without its classifier


def test_the_lstm_is_the_text_book_one() -> None:
    """Gates i, f, g, o; c' = f c + i g; h = o tanh(c') (Hochreiter & Schmidhuber 1997, with forget gate)."""
    head = Network(Shape("cnn-lstm", words=20, answers=7, embedding=5, hidden=4)).head.eval()
    w = {k: v.detach().double().numpy() for k, v in head.lstm.named_parameters()}
    table = head.embedding.weight.detach().double().numpy()
    ids = [4, 9, 2]
    h, c = np.zeros(4), np.zeros(4)
    for x in table[ids]:
        z = w["weight_ih_l0"] @ x + w["bias_ih_l0"] + w["weight_hh_l0"] @ h + w["bias_hh_l0"]
        i, f, o = (1 / (1 + np.exp(-z[n * 4 : n * 4 + 4])) for n in (0, 1, 3))
        c = f * c + i * np.tanh(z[8:12])
        h = o * np.tanh(c)
    state = head.read(torch.tensor([ids]), torch.tensor([3]))
    np.testing.assert_allclose(state.detach().numpy()[0], h, atol=1e-6)


def test_positions_are_symmetric_and_fit_any_map() -> None:
    grid = position_features(7, 7)
    x, y = grid[0], grid[1]
    assert x[:, 3].abs().max() < 1e-6
    torch.testing.assert_close(x, -x.flip(1))
    torch.testing.assert_close(y, x.T)
    assert position_features(2, 5).shape == (8, 2, 5)


def test_moving_a_thing_changes_what_attention_sees() -> None:
    network = Network(Shape("cnn-lstm-attention", 20, 7)).eval()
    features = torch.zeros(2, 256, 3, 3)
    features[0, :, 0, 0] = features[1, :, 2, 2] = 5
    _, looked = network.head(network.encoder.place(features), torch.tensor([[3], [3]]), torch.tensor([1, 1]))
    assert not torch.allclose(looked[0], looked[1])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown model"):
        Shape("resnet-lstm", 10, 3)
