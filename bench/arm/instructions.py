"""What an AArch64 instruction is, from its 32 bits: its class, and the multiply-accumulates it does.

The encodings are those of the Arm Architecture Reference Manual (DDI 0487), chapter C4, "A64 instruction set encoding".
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

CLASSES = ("load", "store", "branch", "integer", "multiply", "dot", "matrix", "float", "vector")
"""branch: with hints, barriers and system calls. integer: of the general registers. multiply: of integer vectors. dot,
matrix: sdot, smmla and the like. float: fused multiply-adds. vector: every other one of vector and float registers."""


class Kind(NamedTuple):
    """A row of CLASSES, and how many products of two integers an instruction adds or writes."""

    name: str
    macs: int = 0


class _Pattern(NamedTuple):
    mask: int
    value: int
    name: str
    lanes: str
    """How many products: "long" from half a register, "whole" from the register, or a number for 128 bits."""


# Bit 30 (Q) is clear for 64 bits, and bit 29 (U) set for unsigned. Bits 22 and 23 are the size of an element.
_MULTIPLIES = (
    _Pattern(0x9FE0FC00, 0x0E809400, "dot", "16"),  # sdot, udot
    _Pattern(0x9FC0F400, 0x0F80E000, "dot", "16"),  # the same by element
    _Pattern(0xBFE0FC00, 0x0E809C00, "dot", "16"),  # usdot
    _Pattern(0xBF40F400, 0x0F00F000, "dot", "16"),  # usdot, sudot by element
    _Pattern(0xDFE0FC00, 0x4E80A400, "matrix", "32"),  # smmla, ummla
    _Pattern(0xFFE0FC00, 0x4E80AC00, "matrix", "32"),  # usmmla
    _Pattern(0x9F20DC00, 0x0E208000, "multiply", "long"),  # smlal, umlal, smlsl, umlsl
    _Pattern(0x9F20FC00, 0x0E20C000, "multiply", "long"),  # smull, umull
    _Pattern(0x9F00B400, 0x0F002000, "multiply", "long"),  # smlal, umlal, smlsl, umlsl by element
    _Pattern(0x9F00F400, 0x0F00A000, "multiply", "long"),  # smull, umull by element
    _Pattern(0x9F20FC00, 0x0E209400, "multiply", "whole"),  # mla, mls
    _Pattern(0xBF20FC00, 0x0E209C00, "multiply", "whole"),  # mul
    _Pattern(0xBF00B400, 0x2F000000, "multiply", "whole"),  # mla, mls by element
    _Pattern(0xBF00F400, 0x0F008000, "multiply", "whole"),  # mul by element
)
_FLOAT = (
    (0xBFA0FC00, 0x0E20CC00),  # fmla
    (0xBFA0FC00, 0x0EA0CC00),  # fmls
    (0xBF80B400, 0x0F801000),  # fmla, fmls by element
    (0xFF000000, 0x1F000000),  # fmadd, fmsub, fnmadd, fnmsub
)


@cache
def classify(word: int) -> Kind:
    """The class of an instruction. Atomic read-modify-writes and prefetches count as loads or stores."""
    if word & 0x0A000000 == 0x08000000:
        return Kind("load" if _is_load(word) else "store")
    if word & 0x1C000000 == 0x14000000:
        return Kind("branch")
    if word & 0x0E000000 != 0x0E000000:
        return Kind("integer")
    size = word >> 22 & 3
    for pattern in _MULTIPLIES:
        if word & pattern.mask == pattern.value and not (size == 3 and pattern.name == "multiply"):
            return Kind(pattern.name, _products(pattern.lanes, size, bool(word >> 30 & 1)))
    return Kind("float" if any(word & mask == value for mask, value in _FLOAT) else "vector")


def _products(lanes: str, size: int, whole_register: bool) -> int:
    if lanes == "long":
        return 8 >> size
    if lanes == "whole":
        return (16 if whole_register else 8) >> size
    return int(lanes) if whole_register else int(lanes) // 2


def _is_load(word: int) -> bool:
    opc, vector = word >> 22 & 3, word >> 26 & 1
    if word & 0x3B000000 == 0x18000000:  # from an address beside the program counter
        return True
    if word & 0x3A000000 == 0x38000000 or word & 0x3B000000 == 0x39000000:  # one register
        return opc == 3 or opc == 1 or (opc == 2 and not vector)
    return bool(opc & 1)  # pairs, structures, exclusive ones
