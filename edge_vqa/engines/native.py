"""The engine in C++ (runtime/), called through ctypes; runtime/include/edge_vqa.h says what each function does."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_size_t, c_ssize_t, c_uint8, c_void_p
from typing import Any

from ..errors import EdgeVQAError, EngineError, ModelError, QuestionError
from ..image import MAX_PIXELS
from ..model_file import ModelFile

INTERFACE = 1
"""EVQA_INTERFACE of the header that this file was written for."""

LIBRARY = {"darwin": "libedge_vqa.dylib", "win32": "libedge_vqa.dll"}.get(sys.platform, "libedge_vqa.so")
_RGB, _BGR, _GREY = 0, 1, 2
_ERRORS: dict[int, type[EdgeVQAError]] = {2: ModelError, 3: ModelError, 6: QuestionError}
"""Status -> error; the others are EngineError."""


class _Image(ctypes.Structure):
    _fields_ = (
        ("format", c_int32),
        ("width", c_int32),
        ("height", c_int32),
        ("plane", c_char_p * 2),
        ("stride", c_ssize_t * 2),
    )


class _About(ctypes.Structure):
    _fields_ = (
        *((name, c_int32) for name in ("side", "cells", "words", "answers", "attention", "threads")),
        ("temperature", c_float),
        ("isa", c_char_p),
        ("details", c_char_p),
    )


_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "open": (c_int, c_char_p, c_int, POINTER(c_void_p)),
    "clone": (c_int, c_void_p, c_int, POINTER(c_void_p)),
    "close": (None, c_void_p),
    "describe": (c_int, c_void_p, POINTER(_About)),
    "scene_create": (c_int, c_void_p, POINTER(c_void_p)),
    "scene_free": (None, c_void_p),
    "look": (c_int, c_void_p, POINTER(_Image), c_void_p),
    "ask_words": (c_int, c_void_p, c_void_p, POINTER(c_int32), c_int32, POINTER(c_float), POINTER(c_float)),
    "features": (c_int, c_void_p, c_void_p, POINTER(c_uint8), c_size_t),
    "jpeg_pixels": (c_int, c_char_p, c_size_t, c_int32, c_void_p, c_size_t),
    "resize": (c_int, POINTER(_Image), c_int32, c_void_p, c_size_t),
    "error": (c_char_p,),
    "version": (c_char_p,),
    "interface": (c_int,),
    "levels": (c_char_p,),
    "features_of_processor": (c_char_p,),
}
"""Name without evqa_ -> type of the result, types of the arguments."""


class Library:
    """The loaded library. Calls release the GIL.

    Raises EngineError when the file cannot be loaded or is of another interface.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            loaded = ctypes.CDLL(path)
            for name, (result, *arguments) in _FUNCTIONS.items():
                function = getattr(loaded, f"evqa_{name}")
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        except (OSError, AttributeError, ValueError) as error:
            raise EngineError(f"{path}: cannot be loaded as the native engine ({error}); {_REMEDY}") from error
        found = self.interface()
        if found != INTERFACE:
            raise EngineError(f"{path}: has interface {found}, this release needs {INTERFACE}; {_REMEDY}")

    def __getattr__(self, name: str) -> Any:  # never called: tells the type checker that functions are set above
        raise AttributeError(name)

    def check(self, status: int, path: str) -> None:
        """Raises the error that a status stands for; `path` is the model's. To be called right after the call."""
        if status:
            reason = self.error().decode("utf-8", "replace")
            raise _ERRORS.get(status, EngineError)(reason if path in reason else f"{path}: {reason}")


_REMEDY = "install edge_vqa anew, or choose another engine"


def find_library() -> str | None:
    """EDGE_VQA_LIBRARY; else the one compiled into this package; else that of an installed package.

    The last is for a checkout, which holds no compiled library: python -m takes the package from the folder it is
    called in, and the engine that `pip install` compiled lies further down the path. None: there is none.
    """
    named = os.environ.get("EDGE_VQA_LIBRARY")
    if named:
        return named
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for package in (here, *(os.path.join(entry, "edge_vqa") for entry in sys.path)):
        path = os.path.join(package, "_native", LIBRARY)
        if os.path.isfile(path):
            return path
    return None


def load_library() -> Library:
    """Raises ImportError when there is none, EngineError when it cannot be used."""
    path = find_library()
    if path is None:
        raise ImportError("this installation holds no compiled engine")
    return _load(path)


_load = functools.lru_cache(maxsize=None)(Library)


def jpeg_pixels(data: bytes, side: int) -> bytes | None:
    """`side` x `side` RGB pixels of an ordinary JPEG; None: it is another, or damaged, or `side` is beyond 1024.

    Raises ImportError when there is no library, EngineError when it cannot be used.
    """
    out = ctypes.create_string_buffer(side * side * 3)
    status: int = load_library().jpeg_pixels(data, len(data), side, out, len(out))
    return None if status else out.raw


def array_pixels(array: Any, side: int) -> bytes | None:
    """`side` x `side` RGB pixels of a frame in memory, which is not copied.

    The frame says where it lies by `__array_interface__`: [H,W], [H,W,1] or [H,W,3] of uint8, rows of whole pixels, the
    last also as a view that turns BGR into RGB. None: it is none of these, or the library refuses its size.
    Raises as jpeg_pixels does.
    """
    try:
        image = _frame(array.__array_interface__)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ):  # it is not what NumPy says it should be
        return None
    if image is None:
        return None
    out = ctypes.create_string_buffer(side * side * 3)
    return None if load_library().resize(byref(image), side, out, len(out)) else out.raw


def _frame(about: Any) -> _Image | None:
    lies, shape = about["data"], about["shape"]  # (address, read-only); a PIL picture hands out bytes
    if not isinstance(lies, tuple) or not isinstance(shape, tuple) or len(shape) not in (2, 3) or lies[0] <= 0:
        return None
    height, width, *more = shape
    samples = more[0] if more else 1
    row, pixel, *rest = about.get("strides") or (width * samples, samples, 1)
    format_ = {(1, 1): _GREY, (3, 1): _RGB, (3, -1): _BGR}.get((samples, rest[0] if samples > 1 else 1))
    plain = about["typestr"] == "|u1" and format_ is not None and pixel == samples and row >= width * samples
    if not plain or not 1 <= width * height <= MAX_PIXELS or min(width, height) < 1:
        return None
    address = lies[0] - (2 if format_ == _BGR else 0)
    return _Image(format_, width, height, (c_char_p * 2)(address, None), (c_ssize_t * 2)(row, 0))


def open_engine(model: ModelFile, threads: int) -> NativeEngine:
    """`threads`: 0 lets the library choose. Raises ModelError, EngineError; ImportError when there is no library."""
    return NativeEngine(load_library(), model, threads)


@functools.lru_cache(maxsize=64)
def _ids(count: int) -> type[ctypes.Array[c_int32]]:
    return c_int32 * count


class NativeScene:
    """Owns an evqa_scene: a picture that has been looked at."""

    def __init__(self, library: Library, handle: c_void_p, path: str) -> None:
        self.pointer = c_void_p()
        self._free = library.scene_free
        library.check(library.scene_create(handle, byref(self.pointer)), path)

    def __del__(self) -> None:
        if self.pointer:
            self._free(self.pointer)


class NativeEngine:
    """Owns an evqa handle. Callers in several threads wait for each other; a handle of one's own is cheap."""

    name = "native"

    def __init__(self, library: Library, model: ModelFile, threads: int) -> None:
        self._handle, self._pid = c_void_p(), os.getpid()
        self._library, self._path, self._threads = library, model.path, threads
        library.check(library.open(os.fsencode(model.path), threads, byref(self._handle)), model.path)
        about = self._about()
        found = (about.side, about.cells, about.words, about.answers)
        if found != (model.side, model.cells, len(model.vocabulary), len(model.answers)):
            raise ModelError(f"{model.path}: changed while it was being opened")
        self._side, self._ask_words = about.side, library.ask_words
        self._logits, self._cells = c_float * (about.answers + 1), c_float * about.cells**2
        self.isa: str = about.isa.decode()
        """The level of kernels in use."""
        self.threads: int = about.threads

    def clone(self, threads: int) -> NativeEngine:
        """Another handle of the same weights, with `threads` workers of its own. Raises EngineError."""
        other = NativeEngine.__new__(NativeEngine)
        other.__dict__.update(self.__dict__)
        other._handle, other._pid, other._threads = c_void_p(), os.getpid(), threads
        self._library.check(self._library.clone(self._own_handle(), threads, byref(other._handle)), self._path)
        other.threads = other._about().threads
        return other

    def encode(self, pixels: bytes) -> NativeScene:
        """See Engine.encode."""
        if len(pixels) != self._side**2 * 3:
            raise EngineError(f"{len(pixels)} bytes are not a picture of {self._side} x {self._side} RGB pixels")
        handle = self._own_handle()
        scene = NativeScene(self._library, handle, self._path)
        image = _Image(_RGB, self._side, self._side, (c_char_p * 2)(pixels, None))
        self._library.check(self._library.look(handle, byref(image), scene.pointer), self._path)
        return scene

    def answer(self, features: NativeScene, ids: Sequence[int]) -> tuple[Sequence[float], Sequence[float]]:
        """See Engine.answer. The results are ctypes arrays: what is not looked at is never made a Python number."""
        logits, attention = self._logits(), self._cells()
        words, count = _ids(len(ids))(*ids), len(ids)
        status = self._ask_words(self._own_handle(), features.pointer, words, count, logits, attention)
        if status:
            self._library.check(status, self._path)
        return logits, attention

    def features(self, scene: NativeScene, size: int) -> bytes:
        """The scene's features for comparing engines, `size` bytes: uint8 [cells * cells, channels], or float32."""
        out = (c_uint8 * size)()
        self._library.check(self._library.features(self._own_handle(), scene.pointer, out, size), self._path)
        return bytes(out)

    def _about(self) -> _About:
        about = _About()
        self._library.check(self._library.describe(self._handle, byref(about)), self._path)
        return about

    @property
    def handle(self) -> c_void_p:
        """The evqa handle, for functions of the C interface that have no method here."""
        return self._own_handle()

    def _own_handle(self) -> c_void_p:
        """The handle; in a forked child a clone of it, because the workers of the parent's are not there."""
        pid = os.getpid()
        if pid != self._pid:
            clone = c_void_p()
            self._library.check(self._library.clone(self._handle, self._threads, byref(clone)), self._path)
            self._handle, self._pid = clone, pid
        return self._handle

    def __del__(self, getpid: Any = os.getpid) -> None:
        # Not by the interpreter's exit functions: a thread that is still computing then holds on to its engine.
        if self._handle and self._pid == getpid():
            self._library.close(self._handle)
