"""Which instructions beyond the baseline a compiled file holds, by GNU objdump."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from arm import builds

EXTENSIONS = {
    64: {
        "dotprod": re.compile(r"[su]dot\b(?!.*z\d)"),
        "i8mm": re.compile(r"(?:us?mmla|smmla|usdot|sudot)\b"),
        "lse": re.compile(r"(?:(?:ld|st)(?:add|clr|eor|set|[su]max|[su]min)a?l?[bh]?|swpa?l?[bh]?|casp?a?l?[bh]?)\b"),
        "rdm": re.compile(r"sqrdml[as]h\b"),
        "fp16": re.compile(r"f(?!cvtx?[ln])\w+\s.*\bv\d+\.[48]h\b|f(?!cvt|mov)\w+\s+h\d"),
        "bf16": re.compile(r"bf\w*(?:dot|mmla|mlal|cvt)\w*\b"),
        "rcpc": re.compile(r"ldapr"),
        "sve": re.compile(r".*\bz\d+\.[bhsd]\b"),
    },
    32: {"neon": re.compile(r".*\bq\d+\b|v(?:ld|st)[1-4]\.|vp(?:add|max|min)")},
}
"""What Arm v8.0 (64 bits) and v7 with VFPv3 (32 bits) lack: its instructions as objdump writes them."""

ALLOWED = {"neondot": {"dotprod"}, "neoni8mm": {"dotprod", "i8mm"}, "neon32": {"neon"}}
"""By the end of a source's name: the level that it is compiled for."""

EXAMPLES = {
    "dotprod": ("dotprod", "sdot v0.4s, v1.16b, v2.4b[1]"),
    "i8mm": ("i8mm", "smmla v0.4s, v1.16b, v2.16b"),
    "lse": ("lse", "ldaddal w0, w1, [x2]"),
    "rdm": ("rdm", "sqrdmlah v0.4s, v1.4s, v2.4s"),
    "fp16": ("fp16", "fadd v0.8h, v1.8h, v2.8h"),
    "bf16": ("bf16", "bfdot v0.4s, v1.8h, v2.8h"),
    "rcpc": ("rcpc", "ldapr x0, [x1]"),
    "sve": ("sve", "add z0.s, z1.s, z2.s"),
}
"""Of each extension of 64 bits: its name for the assembler, and an instruction."""


def need_objdump(bits: int) -> None:
    """Skip the test where there is none for this processor."""
    if not builds.tool(f"{builds.GNU[bits]}-objdump"):
        pytest.skip(f"{builds.GNU[bits]}-objdump is not installed (apt install binutils-{builds.GNU[bits]})")


def listed(file: Path, bits: int) -> list[str]:
    """The instructions of a compiled file, in order: "mnemonic operands"."""
    lines = builds.run([f"{builds.GNU[bits]}-objdump", "-d", "--no-show-raw-insn", file]).splitlines()
    return [" ".join(line.split("\t")[1:]) for line in lines if "\t" in line]


def extensions(file: Path, bits: int) -> dict[str, list[str]]:
    """The instructions of each extension that the file has any of."""
    every = listed(file, bits)
    found = {name: [line for line in every if wanted.match(line)] for name, wanted in EXTENSIONS[bits].items()}
    return {name: lines for name, lines in found.items() if lines}


def foreign(objects: Mapping[str, Path], bits: int) -> list[str]:
    """Complaints about objects, by their source's name, with extensions that their level does not have."""
    complaints = []
    for source, file in objects.items():
        stem = Path(source).stem
        allowed = next((names for level, names in ALLOWED.items() if re.search(f"(^|_){level}$", stem)), set())
        for name, lines in extensions(file, bits).items():
            if name not in allowed:
                complaints.append(
                    f"{source}: {len(lines)} instructions of {name} in a file that may have none: {lines[0]}"
                )
    return complaints


def shared(objects: Mapping[str, Path], bits: int) -> list[str]:
    """Functions of a level's objects that the linker might take for other objects', too (weak ones)."""
    complaints = []
    for source, file in objects.items():
        if any(Path(source).stem.endswith(level) for level in ALLOWED):
            symbols = builds.run([f"{builds.GNU[bits]}-nm", "--defined-only", file]).splitlines()
            complaints += [f"{source}: {line}" for line in symbols if line.split()[1] in "WVu"]
    return complaints
