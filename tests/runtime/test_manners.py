"""How the engine behaves over weeks: idle workers sleep, answering allocates nothing, handles are apart."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from native_library import needs_native

pytest.importorskip("numpy")
from tiny_model import make_model

from edge_vqa.engines import native
from edge_vqa.model_file import load_model

pytestmark = needs_native
SIDE = 64
PICTURE = bytes((11 * i) & 255 for i in range(SIDE * SIDE * 3))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny.evqa", "mobile-attention")


def test_idle_workers_use_no_processor_time(file: Path) -> None:
    engine = native.NativeEngine(native.load_library(), load_model(file), 4)
    for _ in range(20):
        engine.encode(PICTURE)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.5)
    used = time.process_time() - before
    assert used < 0.1, f"{used:.3f} s of processor time in 0.5 s of idleness"


class _Mallinfo(ctypes.Structure):
    """struct mallinfo2 of glibc 2.33 and newer."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
    ))  # fmt: skip


def allocated() -> Callable[[], int]:
    """A function that says how many bytes are in use from malloc, and from mmap through it."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo

    def bytes_() -> int:
        found = mallinfo()
        return int(found.uordblks + found.hblkhd)

    return bytes_


def looks_and_answers(path: str) -> list[int]:
    """What stays allocated after each of some looks and answers with one handle and one scene."""
    library = native.load_library()
    engine = native.NativeEngine(library, load_model(path), 2)
    scene = engine.encode(PICTURE)
    photo = bytes(640 * 480 * 3)
    image = native._Image(0, 640, 480, (ctypes.c_char_p * 2)(photo, None))
    ids, logits = (ctypes.c_int32 * 3)(2, 3, 4), (ctypes.c_float * 64)()
    loaded = ctypes.CDLL(library.path)
    question, answer = "món này là món gì".encode(), (ctypes.c_uint64 * 64)()
    marks, in_use = (ctypes.c_size_t * 12)(), allocated()
    for i in range(len(marks)):
        assert not loaded.evqa_look(engine.handle, ctypes.byref(image), scene.pointer)
        assert not loaded.evqa_ask_words(engine.handle, scene.pointer, ids, 3, logits, None)
        assert not loaded.evqa_ask(engine.handle, scene.pointer, question, answer)
        marks[i] = in_use()
    return list(marks)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="no mallinfo2 in this C library")
def test_looking_and_answering_allocates_nothing(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(file)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONMALLOC": "pymalloc"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    marks = [int(v) for v in done.stdout.split()]
    assert len(set(marks[2:])) == 1, f"memory in use changes: {marks}"


def test_clones_answer_at_the_same_time_and_alike(file: Path) -> None:
    library = native.load_library()
    engine = native.NativeEngine(library, load_model(file), 1)
    scene = engine.encode(PICTURE)
    expected = list(engine.answer(scene, (2, 3, 4))[0])
    loaded = ctypes.CDLL(library.path)
    found: list[list[float]] = []

    def work() -> None:
        handle, logits = ctypes.c_void_p(), (ctypes.c_float * len(expected))()
        assert not loaded.evqa_clone(engine.handle, 2, ctypes.byref(handle))
        for _ in range(50):
            ids = (ctypes.c_int32 * 3)(2, 3, 4)
            assert not loaded.evqa_ask_words(handle, scene.pointer, ids, 3, logits, None)
            found.append(list(logits))
        loaded.evqa_close(handle)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 200


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_the_caller_may_move_between_processors(file: Path) -> None:
    """Workers keep off the caller's processor; where it has but one they are left asleep. The answers stay the same."""
    engine = native.NativeEngine(native.load_library(), load_model(file), 3)
    size = 2 * 2 * 56
    expected = engine.features(engine.encode(PICTURE), size)
    before = os.sched_getaffinity(0)
    try:
        for processors in (*({p} for p in sorted(before)), before):
            os.sched_setaffinity(0, processors)
            for _ in range(5):
                assert engine.features(engine.encode(PICTURE), size) == expected
    finally:
        os.sched_setaffinity(0, before)


def test_a_scene_that_was_not_looked_at_and_one_of_another_model_are_refused(file: Path, tmp_path: Path) -> None:
    library = native.load_library()
    engine = native.NativeEngine(library, load_model(file), 1)
    other = native.NativeEngine(library, load_model(make_model(tmp_path / "other.evqa", "dense")), 1)
    loaded, logits = ctypes.CDLL(library.path), (ctypes.c_float * 64)()
    loaded.evqa_error.restype = ctypes.c_char_p
    ids = (ctypes.c_int32 * 1)(2)
    blank = native.NativeScene(library, engine.handle, "x")
    assert loaded.evqa_ask_words(engine.handle, blank.pointer, ids, 1, logits, None) == 1
    assert b"not been looked at" in loaded.evqa_error()
    assert loaded.evqa_ask_words(other.handle, engine.encode(PICTURE).pointer, ids, 1, logits, None) == 1
    assert b"another model" in loaded.evqa_error()
    for call in (lambda: loaded.evqa_look(None, None, None), lambda: loaded.evqa_open(None, 0, None)):
        assert call() == 1
        assert b"null" in loaded.evqa_error()


if __name__ == "__main__":
    print(*looks_and_answers(sys.argv[1]))
