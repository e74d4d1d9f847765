"""Where an encoder starts from: nothing, ImageNet, or another network of ours."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from edge_vqa.errors import DataError

from .models import PIXEL_SCALE, PIXEL_ZERO, Network
from .torchvision_import import MobileNet_V2_Weights

WEIGHTS_VARIABLE = "EDGE_VQA_IMAGENET"
"""Environment variable with the path of MobileNetV2 ImageNet weights from Keras (safetensors, torchvision's names)."""

_LOCAL = Path(__file__).parents[2] / "shared" / "weights" / "mobilenetv2-1.0-160-features.safetensors"


def start_encoder(network: Network, start: str) -> None:
    """Load the encoder's first weights. Raises DataError when they cannot be had."""
    if start == "scratch":
        return
    if start == "imagenet":
        _load_backbone(network, _imagenet())
        return
    path = Path(start)
    if not path.is_file():
        raise DataError(f"start: {path}: no such file (or say imagenet or scratch)")
    weights = {k.removeprefix("encoder."): v for k, v in _read(path).items() if k.startswith("encoder.")}
    try:
        network.encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"start: {path} holds another network: {str(error).splitlines()[-1].strip()}") from error


def _imagenet() -> dict[str, torch.Tensor]:
    """Weights for our pixels: (p - 128) / 127.5."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    if named and not Path(named).is_file():
        raise DataError(f"{WEIGHTS_VARIABLE}: {named}: no such file")
    path = Path(named) if named else _LOCAL
    if path.is_file():
        return _from_tensorflow(_read(path))
    try:
        weights: dict[str, torch.Tensor] = MobileNet_V2_Weights.IMAGENET1K_V1.get_state_dict(progress=True)
    except OSError as error:
        raise DataError(
            f"no ImageNet weights: torchvision's cannot be downloaded ({error}); set {WEIGHTS_VARIABLE} to a file"
        ) from error
    return from_torchvision(weights)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: not a readable safetensors file ({error})") from error


def _from_tensorflow(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Keras took pixels as we do, but its BatchNorm adds 1e-3 to the variance where torchvision's adds 1e-5."""
    return {k: v + (1e-3 - 1e-5) if k.endswith("running_var") else v for k, v in weights.items()}


def from_torchvision(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Torchvision took (p / 255 - mean) / deviation; the difference to ours moves into the first convolution.

    p / 255 = x * 127.5 / 255 + 128 / 255 for our x, so each input channel's weights are scaled, and what is constant is
    taken from BatchNorm's running mean (exact but for the picture's border, where the convolution pads).
    """
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    first = weights["features.0.0.weight"]
    constant = (first.sum((2, 3)) * ((PIXEL_ZERO / 255 - mean) / deviation)).sum(1)
    scaled = first * (1 / (PIXEL_SCALE * 255) / deviation).view(1, 3, 1, 1)
    running = weights["features.0.1.running_mean"] - constant
    return {**weights, "features.0.0.weight": scaled, "features.0.1.running_mean": running}


def _load_backbone(network: Network, weights: dict[str, torch.Tensor]) -> None:
    weights = {k.removeprefix("features."): v for k, v in weights.items() if k.startswith("features.")}
    missing, _ = network.encoder.backbone.load_state_dict(weights, strict=False)
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing:
        raise DataError(
            f"the ImageNet weights do not fit this backbone: {len(missing)} tensors are missing ({missing[0]}, ...)"
        )
