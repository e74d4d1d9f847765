"""From the start of a process to its answer, and the most memory it ever held."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .contender import PeerError

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Start:
    """One process: milliseconds until it answered and until it had ended, most megabytes (10^6 bytes), its answer."""

    answered_ms: float
    ended_ms: float
    memory_mb: float
    answer: str


def command(function: str, arguments: Sequence[str]) -> list[str]:
    """The program of first_answer.py called `function`."""
    # By -c and not -m: the module is then read from its cache of byte code like any other.
    program = f"import sys; from bench.peers.first_answer import {function} as f; f(*sys.argv[1:])"
    return [sys.executable, "-c", program, *arguments]


def measure_starts(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Start]]:
    """Start each in turn, `rounds` times, after one uncounted round that fills the disk's and Python's caches.

    Raises PeerError when one of them fails, with the end of what it said.
    """
    launcher = Path(__file__).with_name("launcher.py")
    found: dict[str, list[Start]] = {name: [] for name in commands}
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryFile() as said, subprocess.Popen(
        [sys.executable, "-S", "-E", str(launcher)], cwd=ROOT, env=environment, encoding="utf-8",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        names = list(commands)
        for round_ in range(rounds + 1):
            for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
                process.stdin.write("\x1f".join(commands[name]) + "\n")
                process.stdin.flush()
                reply = process.stdout.readline().rstrip("\n").split("\x1f")
                if len(reply) != 5 or reply[0] != "0":
                    said.seek(0)
                    raise PeerError(f"{name}: no answer: {said.read()[-1000:].decode('utf-8', 'replace').strip()}")
                if round_:
                    found[name].append(_start(reply))
    return found


def _start(reply: Sequence[str]) -> Start:
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Start(int(reply[1]) / 1e6, int(reply[2]) / 1e6, int(reply[3]) * unit / 1e6, reply[4])
