"""How far a long run is, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TextIO

_BAR = 24
"""Characters."""


class Progress:
    """Counts pictures and draws: at most ten times a second on a terminal, every ten seconds elsewhere."""

    def __init__(self, stream: TextIO, count: Callable[[], int]) -> None:
        """`count`: finds out how many pictures there are; called beside the work, in a thread of its own."""
        self._stream, self._total = stream, 0
        self._terminal = stream.isatty()
        self._done = self._failed = self._before = 0
        self._began = self._drawn = time.monotonic()
        self._width = 0  # of what stands on the terminal's line now
        threading.Thread(target=self._count, args=(count,), name="edge_vqa-count", daemon=True).start()

    def _count(self, count: Callable[[], int]) -> None:
        self._total = count()

    def step(self, failed: bool = False) -> None:
        """A picture is done."""
        self._done += 1
        self._failed += failed
        if time.monotonic() - self._drawn >= (0.1 if self._terminal else 10):
            self._draw(self.text())

    def skip(self) -> None:
        """A picture had been done before this run; it does not count towards the speed."""
        self._before += 1
        self.step()

    def clear(self) -> None:
        """Make room on the terminal for something else, which leaves a whole line."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0

    def close(self) -> None:
        """Leave the last state on the screen."""
        seconds = time.monotonic() - self._began
        self._draw(f"{self.text(left=False)} in {duration(seconds)}")
        if self._terminal:
            self._stream.write("\n")
            self._stream.flush()

    def text(self, left: bool = True) -> str:
        """Pictures done of all, pictures a second, with `left` the time left, and failures."""
        seconds = max(time.monotonic() - self._began, 1e-3)
        rate = (self._done - self._before) / seconds
        total = max(self._total, self._done) if self._total else 0
        parts = [f"{self._done}/{total}" if total else f"{self._done}", f"{rate:.1f} pictures/s"]
        if total and self._terminal:
            full = _BAR * self._done // total
            parts.insert(0, f"[{'#' * full}{'.' * (_BAR - full)}]")
        if total and left and rate:
            parts.append(f"{duration((total - self._done) / rate)} left")
        if self._failed:
            parts.append(f"{self._failed} failed")
        return "  ".join(parts)

    def _draw(self, text: str) -> None:
        self._drawn = time.monotonic()
        if not self._terminal:
            self._stream.write(f"{text}\n")
        else:
            text = text[: self._columns() - 1]
            self._stream.write(f"\r{text.ljust(self._width)}")
            self._width = len(text)
        self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80


def duration(seconds: float) -> str:
    """Hours (where there are any), minutes and seconds: 1:02:03, 0:07."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
