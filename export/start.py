"""Where an encoder starts from: nothing, ImageNet, or another network of ours."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file

from edge_vqa.errors import DataError

from .models import Network
from .torchvision_import import MobileNet_V2_Weights

WEIGHTS_VARIABLE = "EDGE_VQA_IMAGENET"
"""Environment variable with the path of MobileNetV2 ImageNet weights (safetensors, torchvision's key names)."""

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
    weights = {k.removeprefix("encoder."): v.float() for k, v in load_file(path).items() if k.startswith("encoder.")}
    try:
        network.encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"start: {path} holds another network: {str(error).splitlines()[-1].strip()}") from error


def _imagenet() -> dict[str, torch.Tensor]:
    path = Path(os.environ.get(WEIGHTS_VARIABLE, _LOCAL))
    if path.is_file():
        return load_file(path)
    try:
        return MobileNet_V2_Weights.IMAGENET1K_V1.get_state_dict(progress=True)
    except OSError as error:
        raise DataError(
            f"no ImageNet weights: torchvision's cannot be downloaded ({error}); set {WEIGHTS_VARIABLE} to a file"
        ) from error


def _load_backbone(network: Network, weights: dict[str, torch.Tensor]) -> None:
    weights = {k.removeprefix("features."): v.float() for k, v in weights.items() if k.startswith("features.")}
    missing, _ = network.encoder.backbone.load_state_dict(weights, strict=False)
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing:
        raise DataError(
            f"the ImageNet weights do not fit this backbone: {len(missing)} tensors are missing ({missing[0]}, ...)"
        )
    # Weights from TensorFlow were trained with BatchNorm's epsilon at 1e-3, torchvision's default is 1e-5. Keeping
    # torchvision's architecture, the difference moves into the running variance.
    if network.shape.name.startswith("mobilenetv2"):
        for m in network.encoder.backbone.modules():
            if isinstance(m, torch.nn.BatchNorm2d) and m.running_var is not None:
                m.running_var += 1e-3 - m.eps
