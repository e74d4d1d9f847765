"""From the start of a fresh process to its printed answer and to its end, and the most memory it ever held."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, NamedTuple

from ..errors import EngineError
from .timing import Budget

_LAUNCHER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of one ru_maxrss."""


class Start(NamedTuple):
    """One process: ms to its answer, ms to its end, its peak memory in MB (10^6 bytes; None: not told), its answer."""

    answered_ms: float
    ended_ms: float
    memory_mb: float | None
    answer: str


def command(image: str, question: str, model: str | None, engine: str | None, threads: int | None) -> list[str]:
    """What is started: `python -m edge_vqa.run`, as a user types it."""
    parts = [sys.executable, "-m", "edge_vqa.run", "--image", image, f"--q={question}"]
    named = (("model", model), ("engine", engine), ("threads", threads))
    return parts + [f"--{name}={value}" for name, value in named if value is not None]


def measure_starts(program: Sequence[str], budget: Budget) -> list[Start]:
    """Starts it again and again, after an uncounted start that fills the caches of the disk and of Python.

    Raises EngineError, with the last line of what the program said, when it does not end with exit code 0.
    """
    with tempfile.TemporaryFile() as said:
        launch = _Launcher(said) if hasattr(os, "posix_spawn") and hasattr(os, "wait4") else _Plain(said)
        with launch:
            launch.start(program)
            began = time.monotonic()
            found: list[Start] = []
            while len(found) < budget.least or (len(found) < budget.most and time.monotonic() - began < budget.seconds):
                found.append(launch.start(program))
    return found


class _Plain:
    """Starts programs itself: the time to the end is known, the answer's own and the memory are not."""

    def __init__(self, said: IO[bytes]) -> None:
        self.said = said

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, program: Sequence[str]) -> Start:
        began = time.perf_counter_ns()
        done = subprocess.run(program, stdout=subprocess.PIPE, stderr=self.said, check=False, env=_environment())
        ended = (time.perf_counter_ns() - began) / 1e6
        self.check(done.returncode)
        return Start(ended, ended, None, done.stdout.decode("utf-8", "replace").split("\n")[0])

    def check(self, code: int) -> None:
        """Raises EngineError unless the exit code is 0."""
        if code:
            self.said.seek(0)
            lines = self.said.read()[-2000:].decode("utf-8", "replace").strip().splitlines() or ["nothing"]
            raise EngineError(f"python -m edge_vqa.run ended with exit code {code} and said: {lines[-1]}")


class _Launcher(_Plain):
    """Has launcher.py start them."""

    def __init__(self, said: IO[bytes]) -> None:
        super().__init__(said)
        # A session of its own: Ctrl-C is for us, and we stop it.
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", _LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
            env=_environment(), encoding="utf-8", errors="surrogateescape", start_new_session=True,
        )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def start(self, program: Sequence[str]) -> Start:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write("\x1f".join(program) + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline().rstrip("\n").split("\x1f")
        except OSError:
            reply = []
        if len(reply) != 5:
            self.check(-1)
        self.check(int(reply[0]))
        return Start(int(reply[1]) / 1e6, int(reply[2]) / 1e6, int(reply[3]) * _RSS_UNIT / 1e6, reply[4])


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONIOENCODING": "utf-8"}
