"""Networks of export.models with random weights, small, and pictures for them: no training and no data are needed."""

from __future__ import annotations

import torch

from export.models import Network, Shape

SIDE, WORDS, ANSWERS = 64, 30, 9


def pictures(count: int, seed: int) -> torch.Tensor:
    """[count,3,SIDE,SIDE] uint8: patches of colour. Plain noise looks all the same to a network without training."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    return (torch.nn.functional.interpolate(coarse, SIDE, mode="bilinear") * 255).round().to(torch.uint8)


def network(name: str) -> Network:
    """Random, with BatchNorm that keeps most values in the straight part of ReLU6, as in a trained network."""
    torch.manual_seed(3)
    made = Network(Shape(name, WORDS, ANSWERS, width=40, embedding=24, hidden=32, joint=48))
    for m in made.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(m.weight, 0.4, 0.8)
            torch.nn.init.uniform_(m.bias, 2, 4)
            m.momentum = None  # the statistics are the mean over what is shown
        elif isinstance(m, torch.nn.Conv2d) and m.groups > 1:
            m.weight.data.abs_()
    with torch.no_grad():
        made.train().encoder(pictures(8, 100).float())
    return made.eval()
