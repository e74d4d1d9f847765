"""What can be chosen when a network is quantized."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Defaults are what is shipped: the choice is explained, with figures on val, in docs/quantization.md."""

    pictures: int = 64
    """Calibration pictures, spread evenly over the training pictures in the data set's order."""
    per_channel: bool = True
    """One step for each output channel of a convolution and each row of a matrix, or one for the whole tensor."""
    activation_range: str = "percentile"
    """What a tensor's 256 steps span: "max" (smallest to largest value), "percentile", "mse" (least squared error)."""
    percentile: float = 99.99
    weight_range: str = "max"
    """What 127 steps of a weight span: "max" or "mse"."""
    equalize: bool = False
    """Scale channels so that one step suits all of a tensor's; the layers' outputs are then not the network's own."""
    correct_bias: bool = True
    """Take off each channel's mean error, measured in the quantized network."""
    reconstruct: bool = False
    """Round weights for the least squared error of the layer's output, not each to the nearest step."""
