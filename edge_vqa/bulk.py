"""Many pictures: every core answers, memory stays as it is, and what cannot be used does not stop the rest.

for picture, answers, error in answer_many(VQA(), sorted(Path("photos").iterdir()), ["món này là món gì"]):
    print(picture, error or answers[0].text)
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from .engines import usable_processors
from .errors import EngineError, ImageError, QuestionError
from .vqa import VQA, Answer

if TYPE_CHECKING:
    from .image import ImageLike

AHEAD = 8
"""Pictures a worker that may be under way or waiting for their turn to be handed out; so many are in memory."""

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
"""Endings by which pictures are found in a folder."""


class Task(NamedTuple):
    """What is asked about one picture."""

    name: str
    """What the picture is called in results; the caller's own."""
    source: ImageLike | ImageError
    """The picture, or why there is none."""
    questions: Sequence[str]


class Result(NamedTuple):
    """What came of one picture: an answer to every question, or an error."""

    picture: ImageLike
    answers: tuple[Answer, ...]
    """In the order of the questions; empty where there is an error."""
    error: ImageError | None


def answer_many(
    vqa: VQA, pictures: Iterable[ImageLike], questions: Iterable[str], jobs: int | None = None, top: int = 3
) -> Iterator[Result]:
    """Ask every question about every picture; results come in the order of the pictures.

    `jobs`: how many pictures are worked on at the same time, each by one thread with a clone of `vqa` (None: one for
    each processor; 1: `vqa` itself, here and now). Pictures are taken from the iterable as they are needed, at most
    `jobs * AHEAD` before their results are. A picture that cannot be used gives a Result with its ImageError.
    Raises QuestionError at the first picture when a question is empty or not text, EngineError when the engine fails or
    `jobs` is none of 1 to 1024.
    """
    if isinstance(questions, str):
        raise QuestionError("give the questions as a list, also where there is one")
    questions = tuple(questions)
    for question in questions:
        vqa.model.vocabulary.encode(question)
    if jobs is not None and not 1 <= jobs <= 1024:
        raise EngineError(f"{jobs} jobs: give 1 to 1024")
    tasks = (Task("", picture, questions) for picture in pictures)
    for task, result in answer_tasks(vqa, tasks, jobs or usable_processors(), top=top):
        assert not isinstance(task.source, ImageError)
        answers, error = ((), result) if isinstance(result, ImageError) else (result, None)
        yield Result(task.source, answers, error)


Outcome = tuple[Task, "tuple[Answer, ...] | ImageError"]


def answer_tasks(vqa: VQA, tasks: Iterable[Task], jobs: int, threads: int = 1, top: int = 3) -> Iterator[Outcome]:
    """The same for tasks, with `threads` for each of the jobs' clones (where there is one job, `vqa` has its own)."""
    if jobs == 1:
        yield from ((task, _answer(vqa, task, top)) for task in tasks)
        return
    idle: SimpleQueue[VQA] = SimpleQueue()
    for _ in range(jobs):
        idle.put(vqa.clone(threads))

    def work(task: Task) -> tuple[Answer, ...] | ImageError:
        mine = idle.get()
        try:
            return _answer(mine, task, top)
        finally:
            idle.put(mine)

    pool = ThreadPoolExecutor(jobs, "edge_vqa")
    under_way: deque[tuple[Task, Future[tuple[Answer, ...] | ImageError]]] = deque()
    try:
        for task in tasks:
            under_way.append((task, pool.submit(work, task)))
            while under_way and (len(under_way) >= jobs * AHEAD or under_way[0][1].done()):
                task, future = under_way.popleft()
                yield task, future.result()
        while under_way:
            task, future = under_way.popleft()
            yield task, future.result()
    finally:
        # Interrupted, nobody wants to wait for a picture that lies on a disk that has gone to sleep.
        pool.shutdown(wait=False, cancel_futures=True)


def _answer(vqa: VQA, task: Task, top: int) -> tuple[Answer, ...] | ImageError:
    if isinstance(task.source, ImageError):
        return task.source
    try:
        scene = vqa.look(task.source)
        return tuple(scene.ask(question, top) for question in task.questions)
    except ImageError as error:
        return error


def find_pictures(folder: str, recursive: bool) -> Iterator[tuple[str, str | ImageError]]:
    """Name and path, or what is wrong, of every picture in a folder, in order of file name.

    `recursive`: then those of its sub-folders, too; links to folders are not followed. One folder's names are read at
    a time. Folders that cannot be read come last.
    """
    unreadable: list[OSError] = []
    empty = True
    for inside, folders, files in os.walk(folder, onerror=unreadable.append):
        for name in sorted(files):
            path = os.path.join(inside, name)
            if os.path.splitext(name)[1].lower() in PICTURES and (os.path.isfile(path) or not os.path.exists(path)):
                empty = False
                yield path, path
        folders[:] = sorted(folders) if recursive else []
    for error in unreadable:
        yield error.filename, ImageError(f"{error.filename}: {error.strerror}")
    if empty and not unreadable:
        yield folder, ImageError(f"{folder}: no pictures in this folder")
