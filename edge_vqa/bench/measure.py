"""The measurements, one after the other; what was measured is kept when a later one fails or is interrupted."""

from __future__ import annotations

import datetime
import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ..errors import EdgeVQAError
from ..image import picture_pixels
from ..vqa import VQA
from . import cautions, machine, setup
from .pictures import SIZES, Picture, draw, own_picture
from .plan import Plan
from .progress import Progress
from .result_file import SCHEMA, VERSION
from .sensors import Sensors
from .start import command, measure_starts
from .sustained import sustain
from .timing import summary, timed

MOST_AT_ONCE = 32
"""Pictures of a batch."""


def run(plan: Plan, sensors: Sensors, progress: Progress) -> dict[str, Any]:
    """The whole result, ready for JSON (docs/measure.md says what is in it).

    Raises ModelError or EngineError when there is nothing to measure with, ImageError or QuestionError when the
    user's picture or question cannot be used. Ctrl-C ends it early, with `interrupted` naming what was being measured.
    """
    session = Session(plan, sensors, progress)
    session.run()
    return session.result


class Session:
    """One run: the engine, the pictures, and the result as far as it is known."""

    def __init__(self, plan: Plan, sensors: Sensors, progress: Progress) -> None:
        self.plan, self.sensors, self.progress = plan, sensors, progress
        progress.step("opening the model")
        self.vqa = VQA(plan.model, plan.engine, plan.threads)
        self.vqa.model.vocabulary.encode(plan.question)
        own = [own_picture(plan.image)] if plan.image else []
        progress.step("drawing the pictures")
        self.pictures = [draw(*size) for size in SIZES] + own
        self.small, self.large = self.pictures[:2]
        self.rows: list[dict[str, Any]] = []
        self.during: list[dict[str, Any]] = []
        self.result: dict[str, Any] = {
            "schema": SCHEMA, "schema_version": VERSION,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "interrupted": None, "seconds": 0.0,
            "setup": setup.describe(plan, self.vqa, self.pictures), "machine": machine.describe(sensors),
            "sensors": {}, "warnings": [], "failed": {}, "left_out": {}, "memory": None, "sustained": None,
            "answers": {}, "measurements": self.rows,
        }  # fmt: skip

    def run(self) -> None:
        """Everything of the plan."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("cold start", self.cold_start), ("opening the model", self.opening), ("the encoder", self.encoder),
            *((f"{p.label}, to pixels and to the answer", partial(self.picture, p)) for p in self.pictures),
            ("threads", self.threads), ("pictures in a row", self.batch), ("memory", self.memory),
        ]  # fmt: skip
        if self.plan.minutes:
            steps.append(("sustained run", self.sustained))
        began = time.monotonic()
        name = "the sensors"
        told: dict[str, Any] = {"during": self.during}
        self.result["sensors"] = told
        try:
            told["before"] = self.sensors.snapshot()
            self.progress.step("looking what else is running")
            told["busy_before"] = self.sensors.busy(0.3 if self.plan.quick else 1.0)
            for number, (name, step) in enumerate(steps, 1):
                if time.monotonic() - began > self.plan.limit and name != "sustained run":
                    self.result["left_out"][name] = "too slow here for the time planned; --runs 3 measures it all"
                    continue
                self.progress.step(f"[{number}/{len(steps)}] {name}")
                self._try(name, step)
        except KeyboardInterrupt:
            self.result["interrupted"] = name
        self.progress.clear()
        told["after"] = self.sensors.snapshot()
        told["not_told"], told["faults"] = self.sensors.missing, dict(sorted(self.sensors.faults.items()))
        self.result["seconds"] = round(time.monotonic() - began, 1)
        self.result["warnings"] = cautions.find(self.result)

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except (EdgeVQAError, OSError, MemoryError, RuntimeError) as error:
            self.result["failed"][name] = str(error) or type(error).__name__

    def cold_start(self) -> None:
        """Fresh processes that answer once."""
        plan = self.plan
        with tempfile.TemporaryDirectory(prefix="edge_vqa_bench") as folder:
            path = os.path.join(folder, "small.jpg")
            with open(path, "wb") as stream:
                stream.write(self.small.content)
            starts = measure_starts(command(path, plan.question, plan.model, plan.engine, plan.threads), plan.starts)
        self._sense("cold start")
        self._row("cold_start.answer", "cold start: a process, to its answer", "ms", [s.answered_ms for s in starts])
        self._row("cold_start.end", "cold start: a process, to its end", "ms", [s.ended_ms for s in starts])
        self.result["answers"]["a process of its own"] = starts[0].answer
        peaks = [s.memory_mb for s in starts if s.memory_mb is not None]
        if peaks:
            self._row("cold_start.memory", "most memory of that process", "MB", peaks)

    def opening(self) -> None:
        """A new engine and its first answer, Python and all modules being there."""
        opened: list[VQA] = []
        plan = self.plan

        def open_it() -> None:
            opened[:] = [VQA(plan.model, plan.engine, plan.threads)]

        first: list[float] = []

        def open_and_ask() -> None:
            open_it()
            began = time.perf_counter_ns()
            opened[0].ask(self.small.content, plan.question)
            first.append((time.perf_counter_ns() - began) / 1e6)

        budget = plan.calls._replace(most=min(plan.calls.most, 50)) if not plan.runs else plan.calls
        both = timed(open_and_ask, budget)
        first = first[-len(both) :]
        self._sense("opening the model")
        self._row("open", "open the model", "ms", [b - f for b, f in zip(both, first)])
        self._row("first_answer", "first answer after that", "ms", first)

    def encoder(self) -> None:
        """The parts of an answer that do not depend on how the picture came."""
        vqa, question = self.vqa, self.plan.question
        pixels = picture_pixels(self.small.content, vqa.model.side)
        features, ids = vqa.engine.encode(pixels), vqa.model.vocabulary.encode(question).ids
        scene = vqa.look(self.small.content)
        self._time("encoder", "encoder: pixels to features", lambda: vqa.engine.encode(pixels))
        self._time("head", "head: features and words to answer", lambda: vqa.engine.answer(features, ids))
        self._time("further_question", "a further question, as text", lambda: scene.ask(question))

    def picture(self, picture: Picture) -> None:
        """From the bytes of a file to pixels, and to the answer."""
        vqa, content, side = self.vqa, picture.content, self.vqa.model.side
        self.result["answers"][picture.name] = vqa.ask(content, self.plan.question).text
        self._time(f"pixels.{picture.name}", f"{picture.label}: to pixels", lambda: picture_pixels(content, side))
        self._time(
            f"answer.{picture.name}", f"{picture.label}: to the answer", lambda: vqa.ask(content, self.plan.question)
        )

    def threads(self) -> None:
        """Encoder and whole answer with one thread, two, and so on."""
        if self.vqa.engine.name == "reference":
            self.result["left_out"]["threads"] = "the reference engine has none"
            return
        content, question = self.large.content, self.plan.question
        pixels = picture_pixels(content, self.vqa.model.side)
        for count in thread_counts(machine.usable_processors()):
            vqa = self._opened(count)
            self.progress.update(f"threads: {count}")
            encode, ask = partial(vqa.engine.encode, pixels), partial(vqa.ask, content, question)
            self._time(f"threads.{count}.encoder", _with("encoder", count), encode)
            self._time(f"threads.{count}.answer", _with(f"{self.large.label}: to the answer", count), ask)

    def batch(self) -> None:
        """Many pictures in a row: by one thread, by one engine with all threads, by engines of one thread each."""
        count, all_ = self._at_once(), machine.usable_processors()
        names = f"{count} pictures in a row ({self.large.label})"
        one = [self._opened(1)]
        self._rate("batch.1", f"{names}, 1 thread", count, one)
        if all_ > 1 and self.vqa.engine.name != "reference":
            self._rate("batch.threads", f"{names}, {all_} threads each", count, [self._opened(all_)])
        if all_ > 1:
            workers = one + [self._opened(1) for _ in range(all_ - 1)]
            self._rate("batch.workers", f"{names}, {all_} at a time", count, workers)

    def _opened(self, threads: int) -> VQA:
        return VQA(self.plan.model, self.plan.engine, threads)

    def _at_once(self) -> int:
        """So many that a batch takes half of a measurement's time, 2 at least."""
        median = next((row["median"] for row in self.rows if row["key"] == "answer.1mp"), 0.0)
        fitting = int(500 * self.plan.seconds / median) if median else MOST_AT_ONCE
        return max(2, min(MOST_AT_ONCE, fitting))

    def _rate(self, key: str, label: str, count: int, workers: Sequence[VQA]) -> None:
        content, question = self.large.content, self.plan.question

        def share(number: int) -> None:
            for _ in range(number, count, len(workers)):
                workers[number].ask(content, question)

        budget = self.plan.calls._replace(most=min(self.plan.calls.most, 20))
        if len(workers) == 1:
            times = timed(lambda: share(0), budget)
        else:
            with ThreadPoolExecutor(len(workers)) as pool:
                times = timed(lambda: list(pool.map(share, range(len(workers)))), budget)
        self._sense(key)
        self._row(key, label, "pictures/s", [1e3 * count / ms for ms in times])

    def memory(self) -> None:
        """What this process holds more after many answers than before them."""
        content, question = self.large.content, self.plan.question
        self.vqa.ask(content, question)
        gc.collect()
        before = _resident_mb()
        if before is None:
            raise OSError("the memory of a process is not told by this system (/proc/self/statm)")
        answers = len(timed(lambda: self.vqa.ask(content, question), self.plan.calls))
        gc.collect()
        after = _resident_mb() or before
        self.result["memory"] = {"growth_mb": round(after - before, 3), "answers": answers, "resident_mb": after}

    def sustained(self) -> None:
        """Answers without a pause. Ctrl-C ends it, and the rest of the program."""
        seconds, content, question = self.plan.minutes * 60, self.large.content, self.plan.question

        def tell(found: Any) -> None:
            text = f"sustained run: {found['to_s']:.0f} of {seconds:.0f} s, {found['median']:.2f} ms"
            text += "" if found["celsius"] is None else f", {found['celsius']:.0f} °C"
            self.progress.update(text + ("" if found["mhz"] is None else f", {found['mhz']:.0f} MHz"))

        before = _resident_mb()
        found = sustain(lambda: self.vqa.ask(content, question), seconds, self.sensors.brief, tell)
        found["picture"], found["growth_mb"] = self.large.label, None
        if before is not None:
            found["growth_mb"] = round((_resident_mb() or before) - before, 3)
        self.result["sustained"] = found
        if found["ended_early"]:
            raise KeyboardInterrupt

    def _time(self, key: str, label: str, call: Callable[[], object]) -> None:
        self.progress.update(label)
        times = timed(call, self.plan.calls)
        self._sense(key)
        self._row(key, label, "ms", times)

    def _sense(self, key: str) -> None:
        self.during.append({"after": key, **self.sensors.brief()})

    def _row(self, key: str, label: str, unit: str, values: Sequence[float]) -> None:
        figures = {k: v if k == "runs" else float(f"{v:.6g}") for k, v in summary(values).items()}
        times = [float(f"{v:.5g}") for v in values]
        self.rows.append({"key": key, "label": label, "unit": unit, **figures, "times": times})


def thread_counts(usable: int) -> list[int]:
    """Up to 4 each count, beyond only doublings and the last."""
    return [n for n in range(1, usable + 1) if n <= 4 or n == usable or n & (n - 1) == 0]


def _with(what: str, threads: int) -> str:
    return f"{what}, {threads} thread{'s' * (threads > 1)}"


def _resident_mb() -> float | None:
    """10^6 bytes of memory that this process holds now."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError, AttributeError):
        return None
