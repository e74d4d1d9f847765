"""The process in which one contender runs, in its own environment; workers.py starts it and asks.

One request a line on stdin, one reply a line on what stdout was, both JSON objects. A request names what to do under
"do", with the arguments of the method of that name; the reply has the method's result, or "error".
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

Calls = dict[str, Callable[[], object]]


class Worker:
    """What can be asked for; a method's keywords are those of the request."""

    def __init__(self) -> None:
        self._contender: Any = None
        self._calls: Calls = {}
        self._photos: dict[tuple[str, str], Callable[[], int]] = {}

    def make(self, maker: str, model: str, folder: str, lengths: list[int]) -> dict[str, Any]:
        """Run a roster entry's `make`."""
        from pathlib import Path

        from edge_vqa.evqa_tensors import load_tensors

        find(maker)(load_tensors(model), Path(folder), lengths)
        return {}

    def open(self, adapter: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Set the contender up: `arguments` go to contender.Own, or name the model's file, a folder and threads."""
        maker = find(adapter)
        if "file" in arguments:
            from pathlib import Path

            from edge_vqa.evqa_tensors import load_tensors

            model = load_tensors(arguments["file"])
            self._contender = maker(model, Path(arguments["folder"]), arguments["threads"])
            self._side = model.file.sizes.side
        else:
            self._contender = maker(**arguments)
        opened = self._contender
        self._calls = {"encoder": opened.encode, "answer": opened.answer, "further_question": opened.further}
        self._threads = arguments["threads"]
        return {"name": opened.name, "version": opened.version, "detail": opened.detail}

    def show(self, pixels: str, ids: list[int]) -> dict[str, Any]:
        """A file of RGB bytes, and word ids."""
        self._contender.show(read(pixels), tuple(ids))
        return {}

    def answer(self) -> dict[str, Any]:
        """The best answer's place and all logits."""
        return {"place": int(self._contender.answer()), "logits": [float(v) for v in self._contender.logits()]}

    def photo(self, path: str, way: str) -> dict[str, Any]:
        """Answer about a JPEG; `way`: own, usual or scaled (photo_paths.py)."""
        return {"place": int(self._photo(path, way)())}

    def time(self, what: str, burst: int, limit_ms: float, path: str = "", way: str = "") -> dict[str, Any]:
        """Nanoseconds of up to `burst` calls, after an uncounted one that brings its data back into the caches.

        `what`: encoder, answer, further_question, or photo with the arguments of `photo`. The turn ends early, with at
        least one counted call, once it took `limit_ms`.
        """
        call = self._photo(path, way) if what == "photo" else self._calls[what]
        clock = time.perf_counter_ns
        found: list[int] = []
        ends = clock() + int(limit_ms * 1e6)
        gc.disable()
        try:
            call()
            while len(found) < burst and (not found or clock() < ends):
                began = clock()
                call()
                found.append(clock() - began)
        finally:
            gc.enable()
        return {"ns": found}

    def _photo(self, path: str, way: str) -> Callable[[], int]:
        if (path, way) not in self._photos:
            content, contender = read(path), self._contender
            if way == "own":
                self._photos[path, way] = lambda: contender.answer_jpeg(content)
            else:
                from .photo_paths import decoder

                decode, side = decoder(way, self._threads), self._side

                def answer() -> int:
                    contender.put(decode(content, side))
                    return int(contender.answer())

                self._photos[path, way] = answer
        return self._photos[path, way]


def find(name: str) -> Any:
    """What a roster's "module:name" is called."""
    module, _, wanted = name.partition(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), wanted)


def read(path: str) -> bytes:
    """A whole file."""
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def main(processors: Sequence[int]) -> None:
    """Serve until stdin ends. Runtimes look at the processors they may use when they are imported."""
    if processors:
        os.sched_setaffinity(0, processors)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a runtime prints must not come between replies
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # the runtimes' own errors share no base class but this
            reply = {"error": f"{error}" if type(error).__name__ == "PeerError" else f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
