"""From the start of a process to its answer, and the most memory it ever held."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .contender import PeerError
from .environments import ROOT
from .workers import child_variables

SECONDS = 120
"""After which a program that has not ended is ended."""


@dataclass(frozen=True)
class Start:
    """One process: milliseconds until it answered and until it had ended, most megabytes (10^6 bytes), its answer."""

    answered_ms: float
    ended_ms: float
    memory_mb: float
    answer: str


def command(python: str, program: str, arguments: Sequence[str]) -> list[str]:
    """How `python` runs a roster entry's `program`."""
    module, _, function = program.partition(":")
    # By -c and not -m: the module is then read from its cache of byte code like any other.
    called = f"from bench.peers.{module} import {function} as f; f(*sys.argv[1:])"
    return [python, "-c", f"import sys; sys.path.append({str(ROOT)!r}); {called}", *arguments]


def measure_starts(
    commands: Mapping[str, Sequence[str]], rounds: int, folder: Path
) -> tuple[dict[str, list[Start]], dict[str, str]]:
    """Start each in turn, `rounds` times in `folder`, after an uncounted round that warms disk and Python.

    Those that fail are missing, and why is the second result.
    """
    launcher = Path(__file__).with_name("launcher.py")
    found: dict[str, list[Start]] = {name: [] for name in commands}
    failed: dict[str, str] = {}
    with tempfile.TemporaryFile() as said, subprocess.Popen(
        [sys.executable, "-S", "-E", str(launcher), str(SECONDS)], cwd=folder, env=child_variables(), encoding="utf-8",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
    ) as process:  # fmt: skip
        for round_ in range(rounds + 1):
            names = list(found)
            first = round_ % len(names) if names else 0
            for name in names[first:] + names[:first]:
                try:
                    start = _start(process, commands[name], said)
                except PeerError as error:
                    failed[name] = str(error)
                    del found[name]
                else:
                    found[name] += [start] if round_ else []
    return found, failed


def _start(process: subprocess.Popen[str], command: Sequence[str], said: IO[bytes]) -> Start:
    assert process.stdin is not None and process.stdout is not None
    said.seek(0)
    said.truncate()
    process.stdin.write("\x1f".join(command) + "\n")
    process.stdin.flush()
    reply = process.stdout.readline().rstrip("\n").split("\x1f")
    if len(reply) != 5 or reply[0] != "0" or not reply[4]:
        said.seek(0)
        lines = said.read()[-4000:].decode("utf-8", "replace").strip().splitlines() or [f"exit status {reply[0]}"]
        raise PeerError(f"started as a program it gives no answer: {lines[-1].strip()}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Start(int(reply[1]) / 1e6, int(reply[2]) / 1e6, int(reply[3]) * unit / 1e6, reply[4])
