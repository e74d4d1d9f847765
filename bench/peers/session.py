"""One whole comparison: environments, files, workers; whether they agree; then their times, in turns."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge_vqa.evqa_tensors import load_tensors
from edge_vqa.image import picture_pixels
from edge_vqa.model_file import find_model
from edge_vqa.question import Vocabulary

from . import cold_start, environments
from .contender import PeerError
from .environments import Environment
from .group import AGREE, Asked, Group
from .measure import SCALED, summary
from .photo_paths import OWN as OWN_PATH
from .photo_paths import SCALED as SCALED_PATH
from .photo_paths import USUAL as USUAL_PATH
from .pictures import Photo, photographs, small_pictures
from .pinning import pinned, processors
from .plan import QUESTIONS, Plan
from .result import Conditions, whole
from .roster import EXTRAS, OWN, PEERS, Entry
from .workers import MAKE_SECONDS, WorkerProcess

SUFFIXES = {OWN_PATH: "", USUAL_PATH: "", SCALED_PATH: SCALED}
"""Of a photograph's columns, by the way to its pixels."""


def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything that report.py shows, ready for JSON; `folder` takes files, `say` is told what is going on.

    Raises EdgeVQAError when our own package cannot be measured; a peer that cannot be is left out, with the reason.
    """
    return Session(plan, folder, say).run()


class Session:
    """What is known so far. Contenders are named as in the roster; a peer in `left_out` is in nothing else."""

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
        self.plan, self.folder, self.say = plan, folder.absolute(), say
        self.model_path = str(Path(plan.peers_model or find_model(plan.model)).absolute())
        self.model = load_tensors(self.model_path)
        self.entries = {e.name: e for e in (OWN, *PEERS) if e is OWN or not plan.only or e.key in plan.only}
        self.places: dict[str, Environment] = {}
        self.found: dict[str, dict[str, Any]] = {name: {} for name in self.entries}
        """By name: what was found out about it besides its columns."""
        self.columns: dict[str, dict[str, Any]] = {name: {} for name in self.entries}
        self.left_out: dict[str, str] = {}

        encode, side = Vocabulary(self.model.file.words).encode, self.model.file.sizes.side
        asked = [tuple(encode(q).ids) for q in (plan.question, *QUESTIONS[1:])]
        if plan.tflite_head:  # it serves one length
            asked = [ids for ids in asked if len(ids) == len(asked[0])]
        self.asked: list[tuple[int, ...]] = asked
        self.small = small_pictures(side, self.folder)
        self.shown: list[Asked] = [(pixel_file(path, side), ids) for path in self.small for ids in asked]
        self.photos = photographs(self.folder)

    def run(self) -> dict[str, Any]:
        self._each(self._prepare)
        self._each(self._make_files)
        before = Conditions.now()
        self._with_threads(self.plan.threads[0], self._drop, self._time_most)
        cpus = processors(self.plan.threads[0], self.plan.cpu)
        with pinned(cpus):
            self._start_all()
        for threads in self.plan.threads[1:]:
            self._with_threads(threads, partial(self._lost_with, threads), partial(self._time_threads, threads))
        for name, entry in self.entries.items():
            self._measure_size(name, entry)
        return whole(self, before, Conditions.now())

    def _each(self, do: Callable[[str, Entry], None]) -> None:
        """For every contender; one that raises PeerError is dropped."""
        for name, entry in list(self.entries.items()):
            try:
                do(name, entry)
            except PeerError as error:
                self._drop(name, str(error))

    def _drop(self, name: str, why: str) -> None:
        """Leave a peer out. Raises PeerError when it is our own package."""
        if name == OWN.name:
            raise PeerError(f"{name}: {why}")
        self.say(f"{name}: left out: {why}")
        self.left_out[name] = why
        for of in (self.entries, self.places, self.found, self.columns):
            of.pop(name, None)

    def _lost_with(self, threads: int, name: str, why: str) -> None:
        self._remark(name, f"not with {threads} threads: {why}")

    def _remark(self, name: str, what: str) -> None:
        """Something about one that is measured. Raises PeerError when our own package fails."""
        if name == OWN.name:
            raise PeerError(f"{name}: {what}")
        self.say(f"{name}: {what}")
        self.found[name].setdefault("remarks", []).append(what)

    def _prepare(self, name: str, entry: Entry) -> None:
        """Its environment."""
        if entry.key in self.plan.pythons:
            place = environments.given(self.plan.pythons[entry.key])
        else:
            extras = () if entry is OWN else EXTRAS
            folder = self.plan.environments.absolute() / entry.key
            place = environments.prepare(folder, entry.requirements, entry.python, extras, self.say)
        self.places[name] = place
        self.found[name].update(python=place.python_version, packages=place.packages)
        if place.extras_missing:
            self._remark(name, f"no scaled decode: {place.extras_missing}")

    def _make_files(self, name: str, entry: Entry) -> None:
        """Its folder, and in it what its `make` writes."""
        folder, lengths = self.folder / entry.key, sorted({len(ids) for ids in self.asked})
        folder.mkdir()
        (folder / "answers.txt").write_text("\n".join(self.model.file.answers), encoding="utf-8")
        if entry.make:
            python = self.places[name].python
            if entry.make_with:
                made = self.plan.environments.absolute() / f"{entry.key}-make"
                python = environments.prepare(made, entry.make_with, entry.python, (), self.say).python
            self.say(f"{name}: making its files")
            with WorkerProcess.start(python, folder, ()) as worker:
                worker.ask(
                    "make", MAKE_SECONDS, maker=entry.make, model=self.model_path, folder=str(folder), lengths=lengths
                )
        if name == "LiteRT":
            head = f"head-{len(self.asked[0])}"
            for given, file in ((self.plan.tflite_encoder, "encoder"), (self.plan.tflite_head, head)):
                if given:
                    shutil.copyfile(given, folder / f"{file}.tflite")
                    self._remark(name, f"runs {given.name}")

    def _with_threads(self, threads: int, lose: Callable[[str, str], None], measure: Callable[[Group], None]) -> None:
        """Open all with so many threads, see that they agree with ours, measure."""
        cpus = processors(threads, self.plan.cpu)
        with pinned(cpus), Group(threads, cpus, lose) as group:
            for name, entry in list(self.entries.items()):
                self.say(f"{name}: opening with {threads} thread{'s' * (threads > 1)}")
                folder = self.folder / entry.key
                arguments: Mapping[str, Any] = {"file": self.model_path, "folder": str(folder)}
                if entry is OWN:
                    arguments = {"model": self._own_model(), "engine": self.plan.engine}
                opened = group.open(name, self.places[name].python, folder, entry.adapter, arguments)
                if opened:
                    self.found[name].setdefault("opened", opened)
            for name, agreement in group.compare(self.shown).items():
                self.found[name].setdefault("agreement", agreement)
            measure(group)

    def _time_most(self, group: Group) -> None:
        """All columns of the first number of threads."""
        ways = {photo.name: self._agreeing_ways(group, photo) for photo in self.photos}
        self._time(group, {c: c for c in ("encoder", "answer", "further_question")})
        group.show(self.shown[0])
        for photo in self.photos:
            self.say(f"timing a photo of {photo.name}")
            requests = {
                name: {
                    f"jpeg_{photo.name}{SUFFIXES[way]}": {**self._turn("photo"), "path": str(photo.path), "way": way}
                    for way in found
                }
                for name, found in ways[photo.name].items()
            }
            self._keep(group.time(requests, self.plan.photo_rounds[photo.name]))

    def _time_threads(self, threads: int, group: Group) -> None:
        self._time(group, {f"threads{threads}_encoder": "encoder", f"threads{threads}": "answer"})

    def _turn(self, what: str) -> dict[str, Any]:
        return {"what": what, "burst": self.plan.bursts[what], "limit_ms": self.plan.limit_ms}

    def _time(self, group: Group, columns: Mapping[str, str]) -> None:
        """`columns`: what a worker times, by the column it fills."""
        group.show(self.shown[0])
        for column, what in columns.items():
            self.say(f"timing {column}")
            self._keep(group.time({name: {column: self._turn(what)} for name in group.workers}, self.plan.rounds))

    def _keep(self, times: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> None:
        for name, columns in times.items():
            self.columns[name].update({column: summary(turns) for column, turns in columns.items()})

    def _agreeing_ways(self, group: Group, photo: Photo) -> dict[str, list[str]]:
        """The ways to this photograph's pixels on which each gives our answers; the others are remarked upon."""
        found: dict[str, list[str]] = {name: [] for name in group.workers}
        same: dict[tuple[str, str], int] = {}
        for ids in self.asked:
            group.show((self.shown[0][0], ids))
            ours = group.workers[OWN.name].ask("photo", path=str(photo.path), way=OWN_PATH)["place"]
            for name, worker in group.workers.items():
                for way in (OWN_PATH,) if name == OWN.name else (USUAL_PATH, SCALED_PATH):
                    try:
                        answered = worker.ask("photo", path=str(photo.path), way=way)["place"]
                        same[name, way] = same.get((name, way), 0) + (answered == ours)
                    except PeerError as error:
                        if (name, way) not in same:
                            self._remark(name, f"no {way} path: {error}")
                        same[name, way] = -len(self.asked)
        for (name, way), count in same.items():
            if count >= AGREE * len(self.asked):
                found[name].append(way)
            elif count >= 0:
                self._remark(name, f"{way} path of {photo.name} left out: {count} of {len(self.asked)} answers as ours")
        return found

    def _own_model(self) -> str | None:
        """The file that was asked for; None: our package takes its own."""
        return str(Path(find_model(self.plan.model)).absolute()) if self.plan.model else None

    def _start_all(self) -> None:
        """Cold start and memory of each, in turns."""
        picture, ids = self.small[0], self.asked[0]
        shared = [str(picture), self.plan.question, ",".join(str(i) for i in ids), str(self.plan.threads[0])]
        own = [self._own_model() or "", self.plan.engine or ""]
        commands = {
            name: cold_start.command(
                self.places[name].python, entry.program,
                [str(self.folder / entry.key), *shared, *(own if entry is OWN else [])],
            )
            for name, entry in self.entries.items()
        }  # fmt: skip
        self.say("timing cold starts")
        starts, failed = cold_start.measure_starts(commands, self.plan.starts, self.folder)
        for name, why in failed.items():
            self._remark(name, why)
        for name, found in starts.items():
            if found[0].answer != starts[OWN.name][0].answer:
                self._remark(name, f"started as a program it answers {found[0].answer}")
                continue
            self.columns[name].update(
                cold_start=summary([[s.ended_ms] for s in found]),
                cold_start_until_answer=summary([[s.answered_ms] for s in found]),
                memory=summary([[s.memory_mb] for s in found]),
            )

    def _measure_size(self, name: str, entry: Entry) -> None:
        """Megabytes (10^6 bytes) on disk: packages, and the files that its program reads."""
        size = self.places[name].size
        if size is None:
            return
        for file in entry.files:
            path = self.folder / entry.key / file.format(words=len(self.asked[0]))
            if not path.is_file():
                self._remark(name, f"installed size not known: {path.name} is missing")
                return
            size += path.stat().st_size
        self.columns[name]["installed_size"] = summary([[size / 1e6]])


def pixel_file(picture: Path, side: int) -> Path:
    """A file of the pixels that a model is given of this picture."""
    path = picture.with_suffix(".rgb")
    path.write_bytes(picture_pixels(picture, side))
    return path
