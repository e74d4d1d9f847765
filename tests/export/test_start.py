"""Where an encoder starts from."""

from pathlib import Path

import pytest
import torch

from edge_vqa.errors import DataError
from export import start
from export.models import Network, Shape
from export.torchvision_import import mobilenet_v2


def network() -> Network:
    return Network(Shape("mobilenetv2-lstm", words=5, answers=2)).eval()


def test_torchvision_weights_see_the_same_picture_through_our_pixels() -> None:
    torch.manual_seed(0)
    theirs = mobilenet_v2(weights=None).eval()
    for m in theirs.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.5, 1.5)
    ours = network()
    start._load_backbone(ours, start.from_torchvision(theirs.state_dict()))
    pixels = torch.randint(0, 256, (1, 3, 64, 64)).float()
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    expected = theirs.features[0]((pixels / 255 - mean) / deviation)
    got = ours.encoder.backbone[0]((pixels - 128) / 127.5)
    # The border differs: what lies outside the picture is grey to us and the mean colour to them.
    torch.testing.assert_close(got[:, :, 1:, 1:], expected[:, :, 1:, 1:], atol=1e-5, rtol=1e-4)


def test_files_that_cannot_be_used_are_typed_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not safetensors at all")
    with pytest.raises(DataError, match="not a readable safetensors file"):
        start.start_encoder(network(), str(bad))
    with pytest.raises(DataError, match="no such file"):
        start.start_encoder(network(), "nowhere.safetensors")
    monkeypatch.setenv(start.WEIGHTS_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(DataError, match=f"{start.WEIGHTS_VARIABLE}: .*no such file"):
        start.start_encoder(network(), "imagenet")
    monkeypatch.setenv(start.WEIGHTS_VARIABLE, str(bad))
    with pytest.raises(DataError, match="not a readable"):
        start.start_encoder(network(), "imagenet")


def test_scratch_changes_nothing() -> None:
    torch.manual_seed(1)
    a = network()
    before = {k: v.clone() for k, v in a.state_dict().items()}
    start.start_encoder(a, "scratch")
    assert all(torch.equal(before[k], v) for k, v in a.state_dict().items())
