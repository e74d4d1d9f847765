"""Worker processes seen from the comparison: asked one at a time, given up on when they die, hang or talk nonsense."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .contender import PeerError
from .environments import ROOT

OPEN_SECONDS, MAKE_SECONDS, ASK_SECONDS = 300.0, 900.0, 60.0
"""How long to wait for a reply to open, to make, to anything else."""

PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from bench.peers.worker import main; "
    "main([int(cpu) for cpu in sys.argv[2].split(',') if cpu])"
)
"""The checkout comes last on the path: a package that is installed is taken from there."""


def child_variables() -> dict[str, str]:
    """What programs in other environments may see of this one's variables."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PYTHONIOENCODING": "utf-8"}


class WorkerProcess:
    """worker.py in another environment. It sleeps while it is not asked."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        """`folder` is where it runs, and must hold no Python modules."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed by __exit__)
        self._process = subprocess.Popen(
            command, cwd=folder, env=child_variables(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        self._unread = b""

    @classmethod
    def start(cls, python: str, folder: Path, processors: Sequence[int]) -> WorkerProcess:
        """On these processors (none: any)."""
        return cls([python, "-c", PROGRAM, str(ROOT), ",".join(str(cpu) for cpu in processors)], folder)

    def ask(self, do: str, seconds: float = ASK_SECONDS, **arguments: Any) -> dict[str, Any]:
        """The reply. Raises PeerError when it is an error, none, or takes more than `seconds`; and from then on."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise PeerError(self._ended()) from error
        line = self._line(time.monotonic() + seconds, f"gave no answer to {do} within {seconds:.0f} s")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            self.close()
            raise PeerError(f"answered {do} with {line[:80]!r}")
        if "error" in reply:
            raise PeerError(str(reply["error"]))
        return reply

    def _line(self, deadline: float, late: str) -> bytes:
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            if not select.select([source], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.close()
                raise PeerError(late)
            more = os.read(source, 1 << 16)
            if not more:
                raise PeerError(self._ended())
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _ended(self) -> str:
        """How it ended, with its last words."""
        self.close()
        self._said.seek(0)
        lines = self._said.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
        status = self._process.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"its process {how}" + (f": {lines[-1].strip()}" if lines else "")

    def close(self) -> None:
        """End it, at once if it does not end by itself."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._said.close()
