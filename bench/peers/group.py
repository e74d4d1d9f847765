"""Contenders side by side, each in its worker process: asked about the same, timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .contender import PeerError
from .measure import take_turns
from .workers import OPEN_SECONDS, WorkerProcess

SETTLE = 0.02
"""Seconds. Some runtimes' threads spin for milliseconds after their work, on the processors of whoever comes next."""

AGREE = 0.8
"""A peer that answers fewer of the questions as we do runs another network, and is left out. Rounding alone, which
every runtime does in its own way, changes an answer where two are about equally likely."""

Asked = tuple[Path, tuple[int, ...]]
"""A file of pixels and word ids."""

T = TypeVar("T")


class Group:
    """Workers with the same number of threads, closed at the end of a with statement. The first is our own."""

    def __init__(self, threads: int, cpus: Sequence[int], lose: Callable[[str, str], None]) -> None:
        """`lose` is told who is out from here on, and why; it raises where that must not be."""
        self._threads, self._cpus, self._lose = threads, cpus, lose
        self.workers: dict[str, WorkerProcess] = {}

    def open(self, name: str, python: str, folder: Path, adapter: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Start one; name, version and detail as it says them, or nothing when it is lost."""
        self.workers[name] = WorkerProcess.start(python, folder, self._cpus)
        opening = {"adapter": adapter, "arguments": {**arguments, "threads": self._threads}}
        return self.each(lambda worker: worker.ask("open", OPEN_SECONDS, **opening), [name]).get(name, {})

    def each(self, do: Callable[[WorkerProcess], T], names: Iterable[str] | None = None) -> dict[str, T]:
        """What `do` gives for each; those that fail are lost."""
        found = {}
        for name in list(self.workers if names is None else names):
            try:
                found[name] = do(self.workers[name])
            except PeerError as error:
                self.lose(name, str(error))
        return found

    def lose(self, name: str, why: str) -> None:
        self.workers.pop(name).__exit__(None, None, None)
        self._lose(name, why)

    def show(self, asked: Asked) -> None:
        self.each(lambda worker: worker.ask("show", pixels=str(asked[0]), ids=list(asked[1])))

    def compare(self, asked: Sequence[Asked]) -> dict[str, dict[str, Any]]:
        """How many of the questions each peer answers as we do, and how far its logits are from ours at most.

        Those that differ in too many are lost.
        """
        own = next(iter(self.workers))
        found = {name: {"same": 0, "questions": len(asked), "largest_logit_difference": 0.0} for name in self.workers}
        for question in asked:
            self.show(question)
            answers = self.each(lambda worker: worker.ask("answer"))
            for name, answer in answers.items():
                found[name]["same"] += answer["place"] == answers[own]["place"]
                apart = max(abs(a - b) for a, b in zip(answers[own]["logits"], answer["logits"]))
                found[name]["largest_logit_difference"] = max(found[name]["largest_logit_difference"], apart)
        for name in list(self.workers):
            same, of = found[name]["same"], found[name]["questions"]
            if same < AGREE * of:
                self.lose(name, f"answers only {same} of {of} questions as we do")
        return {name: found[name] for name in self.workers if name != own}

    def time(
        self, requests: Mapping[str, Mapping[str, Mapping[str, Any]]], rounds: int
    ) -> dict[str, dict[str, list[list[float]]]]:
        """Milliseconds of each turn, by name and by what was asked for; requests of those who are lost are left out.

        `requests`: by name, then by what they are called, the arguments of worker.Worker.time.
        """
        turns, who = {}, {}
        for name, wanted in requests.items():
            for what, arguments in wanted.items():
                if name in self.workers:
                    who[f"{name} {what}"] = name, what
                    turns[f"{name} {what}"] = self._turn(name, arguments)
        settle = SETTLE if self._threads > 1 else 0.0
        times, failed = take_turns(turns, rounds, settle)
        found: dict[str, dict[str, list[list[float]]]] = {}
        for turn, why in failed.items():
            if who[turn][0] in self.workers:
                self.lose(who[turn][0], why)
        for turn, each in times.items():
            name, what = who[turn]
            if name in self.workers:
                found.setdefault(name, {})[what] = each
        return found

    def _turn(self, name: str, arguments: Mapping[str, Any]) -> Callable[[], list[float]]:
        worker = self.workers[name]
        return lambda: [ns / 1e6 for ns in worker.ask("time", **arguments)["ns"]]

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers.values():
            worker.__exit__(kind, error, trace)
