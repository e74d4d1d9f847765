"""How much is measured, and on what."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from .timing import Budget, fixed

QUESTION = "món này là món gì"
PATIENCE = 4
"""Times the planned duration, after which what is not measured yet is left out: a slow engine on a slow board."""


class Plan(NamedTuple):
    """The command's options, as they shape the measurements."""

    model: str | None = None
    engine: str | None = None
    threads: int | None = None
    question: str = QUESTION
    image: str | None = None
    """The user's own picture, timed besides the drawn ones."""
    runs: int | None = None
    """Of every single measurement; None: as many as fit."""
    minutes: float = 0.0
    """Of the sustained run; 0: none."""
    quick: bool = False

    @property
    def seconds(self) -> float:
        """For one measurement."""
        return 0.3 if self.quick else 2.0

    @property
    def calls(self) -> Budget:
        """Of what is timed within this process."""
        return fixed(self.runs) if self.runs else Budget(self.seconds, 1000)

    @property
    def starts(self) -> Budget:
        """Of fresh processes."""
        return fixed(self.runs) if self.runs else Budget(4 * self.seconds, 20)

    @property
    def limit(self) -> float:
        """Seconds for everything but the sustained run; none where the user says how many runs."""
        return float("inf") if self.runs else PATIENCE * (15.0 if self.quick else 60.0)

    def options(self) -> dict[str, Any]:
        """What differs from a plain call, for the result file; files without their folders."""
        given: dict[str, Any] = {k: v for k, v in self._asdict().items() if v != self._field_defaults[k]}
        for name in {"model", "image"} & given.keys():
            given[name] = readable(os.path.basename(given[name]))
        return given


def readable(text: str) -> str:
    """What came from the system, as text for JSON, whatever the locale: UTF-8, with U+FFFD where it is not."""
    return os.fsencode(text).decode("utf-8", "replace")
