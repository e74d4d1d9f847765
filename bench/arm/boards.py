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


class Published(NamedTuple):
    """Milliseconds of MobileNetV2 1.0 at 224 x 224 in int8, with XNNPACK on all cores of a board."""

    board: str
    core: str
    ghz: float
    threads: int
    ms: float


PUBLISHED = (
    Published("Raspberry Pi 4, 64 bits", "cortex-a72", 1.5, 4, 17.0),
    Published("Raspberry Pi 3B+, 32 bits", "cortex-a53", 1.4, 4, 30.0),
)
"""Of XNNPACK's README, "Raspberry Pi", measured by its authors in February 2022."""

PUBLISHED_MACS = 300.8e6
"""Multiply-accumulates of that network."""


def most_cycles(published: Published) -> float:
    """What one thread needed at most: all cores' cycles, as if sharing the work had cost nothing."""
    return published.ms / 1e3 * published.threads * published.ghz * 1e9


def published_factor(result: Mapping[str, Any], published: Published) -> float | None:
    """LiteRT's cycles on the board for one modelled, at most; None where it was not modelled."""
    litert = result["cores"].get(published.core, {}).get("litert")
    return most_cycles(published) / _modelled(result, litert) if litert else None


def _modelled(result: Mapping[str, Any], litert: Mapping[str, Any]) -> float:
    """Cycles of its encoder, for as many products as the published network has."""
    return float(litert["encoder"]["cycles"] * PUBLISHED_MACS / result["macs"])


def published_check(result: Mapping[str, Any]) -> list[list[str]]:
    """A heading, and a row a published time of XNNPACK: LiteRT's modelled encoder, for as many products, beside it."""
    rows = [
        [
            "",
            "published, ms",
            "threads",
            "Mcycles of one thread, at most",
            "modelled Mcycles",
            "board / modelled, at most",
        ]
    ]
    for published in PUBLISHED:
        factor = published_factor(result, published)
        if factor is not None:
            modelled = _modelled(result, result["cores"][published.core]["litert"]) / 1e6
            cells = [f"{published.ms:.0f}", str(published.threads), f"{most_cycles(published) / 1e6:.0f}"]
            rows.append([published.board, *cells, f"{modelled:.0f}", f"{factor:.2f}"])
    return rows


def milliseconds(board: Board, cycles: float, most: float | None = None) -> tuple[float, float]:
    """The estimate's range. `most`: cycles on the board for one modelled, when it is known that there are no more."""
    low, high = (min(factor, most or factor) for factor in CALIBRATION[board.core])
    return cycles * low / board.ghz / 1e6, cycles * high / board.ghz / 1e6


def estimates(result: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    """A heading, and a row a board: milliseconds of an answer, ours and the best peer's. `names`: of contenders."""
    with_peers = any(len(found) > 1 for found in result["cores"].values())
    rows = [["", "core", f"{names['ours']}, ms (estimated)", *(["best peer, ms (estimated)"] if with_peers else [])]]
    for board in BOARDS:
        found = result["cores"].get(board.core)
        if found:
            cells = [_range(board, found["ours"])]
            if with_peers:
                best = best_peer(found, "answer")
                known = next((p for p in PUBLISHED if p.core == board.core and best == "litert"), None)
                most = published_factor(result, known) if known else None
                cells.append(f"{_range(board, found[best], most)} ({names[best]})")
            rows.append([board.name, f"{proper(board.core)}, {board.ghz} GHz", *cells])
    return rows


def best_peer(found: Mapping[str, Any], part: str) -> str:
    """The one with fewest cycles for a part; there must be one."""
    return min((name for name in found if name != "ours"), key=lambda name: float(found[name][part]["cycles"]))


def _range(board: Board, contender: Mapping[str, Any], most: float | None = None) -> str:
    low, high = milliseconds(board, contender["answer"]["cycles"], most)
    digits = 1 if high < 20 else 0
    return f"{low:.{digits}f} to {high:.{digits}f}" if low < high else f"at most {high:.{digits}f}"


def proper(core: str) -> str:
    """As Arm writes it."""
    return core.replace("cortex-a", "Cortex-A")
