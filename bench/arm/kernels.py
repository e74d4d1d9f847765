"""The inner loops that did most of a contender's multiplications, and the most that a core's multipliers can do."""

from __future__ import annotations

import re
import shutil
import subprocess
from bisect import bisect_right
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from .counted import Block, Region, products
from .cycles import LLVM, CycleModel

_HIGHEST = 2**64

LEAST = 0.01
"""Loops with a smaller share of a contender's cycles are not shown."""

_STREAMS = {
    # Instruction on registers 0 to 15, each with an accumulator of its own. smull writes what smlal2 adds to: together
    # they are the 16 products of two registers of bytes.
    "smull, smlal2": [0x0E3EC3E0, 0x4E3E83E0],
    "sdot": [0x4E9E97E0],
    "smmla": [0x4E9EA7E0],
}
_NEEDS = {"sdot": ("cortex-a76", "i8mm"), "smmla": ("i8mm",)}


def limits(model: CycleModel) -> dict[str, float]:
    """Products of bytes a cycle of endless multiplications that wait for nothing, for each instruction the core has."""
    found = {}
    for name, words in _STREAMS.items():
        if model.core in _NEEDS.get(name, (model.core,)):
            block = Block(0, tuple(word | register for word in words for register in range(16)))
            found[name] = products(block) / model.of_block(block)
    return found


def inner_loops(contender: str, region: Region, model: CycleModel, maps: str) -> list[dict[str, Any]]:
    """The function of each hot loop, products and cycles of one round, and how much of the region's cycles it takes.

    A loop is a block that ran again and again; `maps` is the program's /proc/self/maps. Functions have names where the
    library has symbols. Of a function, the loop with most products is shown, with the share of the whole function.
    """
    total = model.cycles(region)
    names = Symbols(maps)
    functions: dict[str, list[tuple[Block, int]]] = defaultdict(list)
    multiplying = {block: times for block, times in region.times.items() if products(block)}
    known = {names.function(block.address) for block in multiplying}
    for block, times in region.times.items():
        if (function := names.function(block.address)) in known:
            functions[function].append((block, times))
    found = []
    for function, blocks in functions.items():
        block = max(blocks, key=lambda item: products(item[0]) * item[1])[0]
        cycles, share = model.of_block(block), model.cycles(Region(0, dict(blocks))) / total
        if share >= LEAST:
            row = {"contender": contender, "function": function, "share": share, "instructions": len(block.words)}
            found.append({**row, "macs": products(block), "cycles": cycles, "macs_per_cycle": products(block) / cycles})
    return sorted(found, key=lambda row: -row["share"])


def by_file(region: Region, maps: str) -> dict[str, int]:
    """Instructions by the program's or library's file, most first."""
    names = Symbols(maps)
    found: Counter[str] = Counter()
    for block, times in region.times.items():
        found[Path(names.file(block.address)).name or "unknown"] += len(block.words) * times
    return dict(found.most_common())


class Symbols:
    """Addresses of an emulated program -> names of functions."""

    def __init__(self, maps: str) -> None:
        """`maps`: lines of `begin-end rights offset device inode path`."""
        self._files: list[tuple[int, int, str]] = []
        bases: dict[str, int] = {}
        for line in maps.splitlines():
            span, _, offset, _, _, *path = line.split(None, 5)
            if path:
                begin, end = (int(address, 16) for address in span.split("-"))
                if not int(offset, 16):
                    bases.setdefault(path[0].rstrip(), begin)
                self._files.append((begin, end, path[0].rstrip()))
        self._files.sort()
        self._bases = bases
        self._tables: dict[str, tuple[list[int], list[str]]] = {}

    def file(self, address: int) -> str:
        """The path of the file that lies there, or nothing."""
        at = bisect_right(self._files, (address, _HIGHEST, "")) - 1
        begin, end, path = self._files[at] if at >= 0 else (0, 0, "")
        return path if begin <= address < end else ""

    def function(self, address: int) -> str:
        """`name (library)`; without a symbol the library's offset, where the function may have begun earlier."""
        path = self.file(address)
        if not path:
            return f"{address:#x}"
        offset = address - self._bases.get(path, 0)
        if path not in self._tables:
            self._tables[path] = _symbols(Path(path))
        begins, names = self._tables[path]
        at = bisect_right(begins, offset) - 1
        return names[at] if at >= 0 else f"{Path(path).name.split('.')[0]}+{offset:#x}"


def _symbols(path: Path) -> tuple[list[int], list[str]]:
    """Where functions begin, in order, and their names without arguments; none of a stripped library."""
    tool = shutil.which(f"llvm-nm-{LLVM}")
    if tool is None or not path.is_file():
        return [], []
    done = subprocess.run([tool, "--demangle", "--numeric-sort", str(path)], capture_output=True, text=True)
    found = re.findall(r"^([0-9a-f]+) [tTwW] (.+)$", done.stdout, re.MULTILINE)
    functions = [(int(a, 16), _short(name)) for a, name in found if not name.startswith("$")]
    return [address for address, _ in functions], [name for _, name in functions]


def _short(name: str) -> str:
    """Without namespaces, parameters and what the compiler made of it; template arguments stay."""
    name = re.sub(r"\(anonymous namespace\)::|\bevqa::|^void ", "", name)
    name = re.sub(r"\(\w+\)(?=\d)", "", name)  # what kind of number a template argument is
    return re.sub(r"\(.*$", "", name)
