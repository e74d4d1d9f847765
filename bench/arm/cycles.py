"""The cycle model: for every block, how often it ran times the cycles that llvm-mca gives one execution of it.

llvm-mca schedules a block's instructions, again and again, on LLVM's description of a core: its issue width, its pipes,
the latency of each instruction. So every load hits the nearest cache, every branch is predicted, and a block runs as if
it followed itself. docs/arm.md says how far such cycles were from those of real boards.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from edge_vqa import EdgeVQAError

from .counted import Block, Region

LLVM = 19
"""Its models change from release to release, and with them every figure."""

MODELS = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a72", "cortex-a76": "neoverse-n1", "i8mm": "neoverse-n2"}
"""Core -> LLVM's name of the model. For Cortex-A76 it has none and takes Cortex-A57's; Neoverse N1 is the same core
made for servers. Cortex-A72 is modelled as Cortex-A57, its predecessor, whatever name one gives."""

SECOND_MODELS = {"cortex-a53": "cortex-a55"}
"""Models to see by how far a figure depends on the model: Cortex-A55 is Cortex-A53's successor, also in order, and LLVM
describes it in more detail, after Arm's own guide."""

COVERED = 0.995
"""Share of a region's instructions whose blocks are scheduled; the others are taken to run at their average."""

_ITERATIONS = 100
_ATTRIBUTES = "-mattr=+v8.6a,+dotprod,+i8mm,+bf16,+fp16fml,+sve2,+lse,+rcpc"
_NOP = 0xD503201F


class CycleModel:
    """The cycles of blocks on one core; each block is scheduled once.

    Raises EdgeVQAError when LLVM's tools are missing.
    """

    def __init__(self, core: str, name: str | None = None) -> None:
        """`name`: LLVM's, instead of the one in MODELS."""
        self.core, self.name = core, name or MODELS[core]
        self._cycles: dict[tuple[int, ...], float] = {}
        for tool in ("llvm-mc", "llvm-mca"):
            _tool(tool)

    def cycles(self, region: Region) -> float:
        """Modelled cycles of everything that ran in a region."""
        hot, share = hottest(region.times)
        self.schedule(block.words for block, _ in hot)
        return sum(self._cycles[block.words] * times for block, times in hot) / share if hot else 0.0

    def of_block(self, block: Block) -> float:
        """Modelled cycles of one execution."""
        return self.of_words(block.words)

    def of_words(self, words: tuple[int, ...]) -> float:
        """The same of instructions that are no block."""
        self.schedule([words])
        return self._cycles[words]

    def schedule(self, blocks: Iterable[tuple[int, ...]]) -> None:
        """Look at many blocks at once: starting llvm-mca costs more than a block does."""
        new = [words for words in dict.fromkeys(blocks) if words not in self._cycles]
        if not new:
            return
        text = disassemble([word for words in new for word in words])
        lines, at = [], 0
        for number, words in enumerate(new):
            body = text[at : at + len(words)]
            lines += [f"# LLVM-MCA-BEGIN {number}", *body, "# LLVM-MCA-END"]
            at += len(words)
        found = self._run("\n".join(lines) + "\n")
        for number, words in enumerate(new):
            # A block without anything that llvm-mca knows is not in its list.
            self._cycles[words] = found.get(str(number), float(len(words)))

    def _run(self, assembly: str) -> Mapping[str, float]:
        command = [
            _tool("llvm-mca"), "-mtriple=aarch64-linux-gnu", f"-mcpu={self.name}", _ATTRIBUTES, "-json",
            f"-iterations={_ITERATIONS}", "-call-latency=1", "-skip-unsupported-instructions=any",
        ]  # fmt: skip
        done = subprocess.run(command, input=assembly, capture_output=True, text=True)
        if done.returncode:
            raise EdgeVQAError(f"llvm-mca fails: {(done.stderr.strip() or 'no reason').splitlines()[0]}")
        regions = json.loads(done.stdout)["CodeRegions"]
        return {r["Name"]: r["SummaryView"]["TotalCycles"] / r["SummaryView"]["Iterations"] for r in regions}


def hottest(times: Mapping[Block, int], covered: float = COVERED) -> tuple[list[tuple[Block, int]], float]:
    """The blocks with most executed instructions, with how often they ran, and their share of all instructions."""
    ordered = sorted(times.items(), key=lambda item: -len(item[0].words) * item[1])
    total = sum(len(block.words) * n for block, n in ordered)
    taken = 0
    for count, (block, n) in enumerate(ordered):
        if taken >= covered * total:
            return ordered[:count], taken / total
        taken += len(block.words) * n
    return ordered, 1.0


def disassemble(words: Sequence[int]) -> list[str]:
    """Assembly, an instruction each; what LLVM does not know becomes a nop."""
    known = list(words)
    for _ in range(2):
        given = "\n".join(" ".join(f"0x{byte:02x}" for byte in word.to_bytes(4, "little")) for word in known)
        command = [_tool("llvm-mc"), "--disassemble", "-triple=aarch64", _ATTRIBUTES]
        done = subprocess.run(command, input=given, capture_output=True, text=True)
        lines = [line.strip() for line in done.stdout.splitlines()]
        found = [line for line in lines if line and not line.startswith(".")]
        if len(found) == len(known):
            return found
        for line in re.findall(r"^<stdin>:(\d+):\d+: warning: invalid", done.stderr, re.MULTILINE):
            known[int(line) - 1] = _NOP
    raise EdgeVQAError(f"llvm-mc disassembles {len(found)} of {len(known)} instructions")


def _tool(name: str) -> str:
    path = shutil.which(f"{name}-{LLVM}")
    if path is None:
        raise EdgeVQAError(f"{name}-{LLVM} is not installed; Debian: apt install llvm-{LLVM}")
    return path
