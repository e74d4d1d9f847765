"""Modelled cycles -> estimated milliseconds on boards.

The model knows no cache misses, so boards need more cycles. How many more was found by modelling an engine whose
times on boards are published: ncnn's int8 networks on one thread, published time times clock over modelled cycles. The
ranges below are from the least to the greatest of these quotients; estimates have nothing else of real hardware.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Board(NamedTuple):
    """A computer, its core, and its clock in GHz as sold."""

    name: str
    core: str
    ghz: float


BOARDS = (
    Board("Raspberry Pi 5", "cortex-a76", 2.4),
    Board("Raspberry Pi 4 (1.8 GHz)", "cortex-a72", 1.8),
    Board("Raspberry Pi 4 (1.5 GHz)", "cortex-a72", 1.5),
    Board("Raspberry Pi 3B+", "cortex-a53", 1.4),
    Board("Raspberry Pi 3", "cortex-a53", 1.2),
    Board("Raspberry Pi Zero 2 W", "cortex-a53", 1.0),
)

CALIBRATION = {"cortex-a53": (1.06, 1.64), "cortex-a72": (1.5, 2.0), "cortex-a76": (1.12, 1.16)}
"""Core -> least and greatest cycles on a board for one modelled cycle (A53: Pi 3B+ and Zero 2 W; A72: Pi 4 and RK3399;
A76: Pi 5)."""


def milliseconds(board: Board, cycles: float) -> tuple[float, float]:
    """The estimate's range."""
    low, high = CALIBRATION[board.core]
    return cycles * low / board.ghz / 1e6, cycles * high / board.ghz / 1e6


def estimates(result: Mapping[str, Any], contenders: Mapping[str, str]) -> list[list[str]]:
    """A heading, and a row a board: milliseconds of an answer. `contenders`: name in the result -> heading."""
    rows = [["", "core", *(f"{heading}, ms (estimated)" for heading in contenders.values())]]
    for board in BOARDS:
        found = result["cores"].get(board.core)
        if found:
            ranges = (milliseconds(board, found[name]["answer"]["cycles"]) for name in contenders if name in found)
            cells = [f"{low:.1f} to {high:.1f}" for low, high in ranges]
            rows.append([board.name, f"{proper(board.core)}, {board.ghz} GHz", *cells])
    return rows


def proper(core: str) -> str:
    """As Arm writes it."""
    return core.replace("cortex-a", "Cortex-A")
