"""What to measure, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

QUESTIONS = ("món này là món gì", "màu chủ đạo là gì", "có cà rốt trong món này không", "đây là gì")
"""The first is timed; all are asked when answers are compared."""


@dataclass
class Plan:
    """A round is a turn of each contender; a turn is a burst of calls, or fewer once it took `limit_ms`."""

    only: tuple[str, ...] = ()
    """Keys of the peers; none: all."""
    pythons: dict[str, str] = field(default_factory=dict)
    """Interpreters to use instead of making an environment, by key."""
    environments: Path = Path(".peers")
    threads: tuple[int, ...] = (1, 2)
    """The first is that of all columns; encoder and answer are measured again with each of the others."""
    cpu: int | None = None
    model: str | None = None
    engine: str | None = None
    peers_model: Path | None = None
    tflite_encoder: Path | None = None
    tflite_head: Path | None = None
    question: str = QUESTIONS[0]
    rounds: int = 200
    photo_rounds: dict[str, int] = field(default_factory=lambda: {"0.05mp": 100, "1mp": 60, "12mp": 30})
    starts: int = 31
    bursts: dict[str, int] = field(
        default_factory=lambda: {"encoder": 5, "answer": 5, "further_question": 20, "photo": 3}
    )
    limit_ms: float = 50.0

    def be_quick(self) -> None:
        """A few minutes instead of a quarter of an hour."""
        self.rounds, self.starts = 50, 5
        self.photo_rounds = {"0.05mp": 30, "1mp": 20, "12mp": 10}
