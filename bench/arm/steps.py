"""Where the modelled cycles of our encoder go: step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_vqa import EdgeVQAError
from edge_vqa.evqa_file import Conv

from ..layers import shape_of
from .counted import CLOCK_GETTIME, Region
from .cycles import CycleModel
from .worker import STEPS


def step_table(
    regions: Sequence[Region], steps: Sequence[Mapping[str, Any]], model: CycleModel, convs: Sequence[Conv]
) -> list[dict[str, Any]]:
    """A row a step: its layers, shape, multiply-accumulates, instructions, cycles.

    `regions`: of a run in which every reading of the clock closed one. Raises EdgeVQAError when they are not as many
    as the steps.
    """
    rows = []
    for step, region in zip(steps, _between_readings(regions, len(steps)), strict=True):
        first, last = step["first_layer"], step["first_layer"] + step["layers"] - 1
        layers = convs[first : last + 1] if step["macs"] else ()
        rows.append(
            {
                "step": step["name"], "layers": f"{first}-{last}" if layers else "", "shape": shape_of(layers),
                "macs": step["macs"], "instructions": region.instructions, "cycles": model.cycles(region),
            }
        )  # fmt: skip
    return rows


def _between_readings(regions: Sequence[Region], steps: int) -> Sequence[Region]:
    numbers = [region.number for region in regions]
    end = numbers.index(STEPS)  # what runs after the last reading
    begin = end
    while begin and numbers[begin - 1] == CLOCK_GETTIME:
        begin -= 1
    if end - begin != steps + 1:  # the first one runs before the first reading
        raise EdgeVQAError(f"the engine read its clock {end - begin} times for {steps} steps")
    return regions[begin + 1 : end]
