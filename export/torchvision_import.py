"""torchvision, also where only a build for another torch is to be had.

torchvision's compiled operators fail to load beside a torch they were not built for, and take the whole import down.
Models and transforms need none of them: declaring the two operators that the import looks up is enough.
"""

from __future__ import annotations

import torch

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    _declared = torch.library.Library("torchvision", "DEF")
    _declared.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.transforms.v2 import functional as transforms

__all__ = ["InvertedResidual", "MobileNet_V2_Weights", "mobilenet_v2", "torchvision", "transforms"]
