"""The plugin count.c: compiling it, and what it counted."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from edge_vqa import EdgeVQAError

from .instructions import classify

SOURCE = Path(__file__).with_name("count.c")
CLOCK_GETTIME = 113
"""Its number as a system call of AArch64."""


@dataclass(frozen=True)
class Block:
    """Instructions that run one after the other, up to a branch: where they begin, and their words."""

    address: int
    words: tuple[int, ...]

    def __hash__(self) -> int:  # of all words it would take most of the time of reading
        return self.address


class Region:
    """What ran between two markers."""

    def __init__(self, number: int, times: dict[Block, int] | Callable[[], dict[Block, int]]) -> None:
        """`times`: how often each block ran, or what reads it when it is asked for."""
        self.number, self._given = number, times

    @cached_property
    def times(self) -> dict[Block, int]:
        """How often each block ran."""
        return self._given() if callable(self._given) else self._given

    @property
    def instructions(self) -> int:
        return sum(len(block.words) * times for block, times in self.times.items())

    @property
    def macs(self) -> int:
        """Products of integers that instructions computed, those of idle lanes and of requantisation included."""
        return sum(products(block) * times for block, times in self.times.items())

    def classes(self) -> Counter[str]:
        """Executed instructions by class."""
        found: Counter[str] = Counter()
        for block, times in self.times.items():
            for word in block.words:
                found[classify(word).name] += times
        return found


def products(block: Block) -> int:
    """Multiply-accumulates of one execution."""
    return sum(classify(word).macs for word in block.words)


def joined(regions: Iterable[Region]) -> Region:
    """One after the other, as one region."""
    times: Counter[Block] = Counter()
    number = -1
    for region in regions:
        times.update(region.times)
        number = region.number
    return Region(number, dict(times))


def compile_plugin(folder: Path) -> Path:
    """Raises EdgeVQAError when this machine has no C compiler, or it fails."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise EdgeVQAError("there is no C compiler to build the counting plugin with; Debian: apt install gcc")
    plugin = folder / "count.so"
    command = [compiler, "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(plugin)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EdgeVQAError(f"{SOURCE.name} cannot be compiled: {(done.stderr.strip() or 'no reason').splitlines()[0]}")
    return plugin


def argument(plugin: Path, out: Path, syscall: int | None = None) -> str:
    """What qemu's -plugin takes. `syscall`: every call of it closes a region."""
    return f"{plugin},out={out}" + (f",syscall={syscall}" if syscall is not None else "")


def read_counts(path: Path) -> tuple[list[Region], str]:
    """Regions in the order in which they were closed; the last one, numbered -1, ran until the program's end.

    Also where its files lay: lines of /proc/self/maps. Raises EdgeVQAError when the program died before the plugin
    could write.
    """
    blocks: list[Block | str] = []
    regions: list[Region] = []
    maps: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("block"):
                blocks.append(line)
            elif line.startswith("map"):
                maps.append(line.removeprefix("map "))
            else:
                regions.append(Region(int(line.split(None, 2)[1]), partial(_times, blocks, line)))
    if not regions or regions[-1].number != -1:
        raise EdgeVQAError(f"{path}: is not complete: the emulated program did not end as it should")
    return regions, "".join(maps)


def _times(blocks: list[Block | str], line: str) -> dict[Block, int]:
    """Of a region's line. Most blocks belong to regions that nobody asks for: they stay the lines that they were."""
    times: Counter[Block] = Counter()  # a block may have been translated several times
    for entry in line.split()[2:]:
        number, count = (int(n) for n in entry.split(":"))
        block = blocks[number]
        if isinstance(block, str):
            address, *words = (int(word, 16) for word in block.split()[1:])
            block = blocks[number] = Block(address, tuple(words))
        times[block] += count
    return join_split(times)


def join_split(times: Mapping[Block, int]) -> dict[Block, int]:
    """Join every block that does not end in a branch with what it runs into: the same instructions, as they ran.

    qemu ends a block at a page's border, and where it has grown large. Scheduled apart, each piece of a loop would pay
    for its own latencies, and a figure would depend on where the code lies.
    """
    starting: dict[int, Counter[Block]] = {}
    for block in sorted(times, key=lambda b: (b.address, len(b.words)), reverse=True):
        here = starting.setdefault(block.address, Counter())
        left = times[block]
        if classify(block.words[-1]).name != "branch":
            behind = starting.get(block.address + 4 * len(block.words), Counter())
            for next_block, count in behind.most_common():
                both = min(left, count)
                left -= both
                behind[next_block] -= both
                if both:
                    here[Block(block.address, block.words + next_block.words)] += both
        here[block] += left
    return {block: n for found in starting.values() for block, n in found.items() if n}
