"""What is being measured at the moment, on standard error."""

from __future__ import annotations

from typing import TextIO


class Progress:
    """One line that changes on a terminal, a line each step elsewhere; `stream` None: silent."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.terminal = stream is not None and stream.isatty()
        self._written = 0

    def step(self, text: str) -> None:
        """Something new begins."""
        if self.terminal:
            self._show(text)
        elif self.stream is not None:
            print(text, file=self.stream, flush=True)

    def update(self, text: str) -> None:
        """The same goes on; of interest only where the line changes."""
        if self.terminal:
            self._show(text)

    def clear(self) -> None:
        if self.terminal:
            self._show("")
            self._write("\r")

    def _show(self, text: str) -> None:
        text = text[:100]
        self._write("\r" + text.ljust(self._written))
        self._written = len(text)

    def _write(self, text: str) -> None:
        assert self.stream is not None
        self.stream.write(text)
        self.stream.flush()
