"""The engine at one level of kernels, with the functions of the C interface that only measuring needs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_void_p
from pathlib import Path
from typing import NamedTuple

from bench.layers import MOST_STEPS
from bench.layers import Step as _Step
from edge_vqa.engines.native import NativeEngine, NativeScene, load_library
from edge_vqa.model_file import load_model


class Step(NamedTuple):
    """What the engine ran as one: `layers` convolutions of the file from `first` on, or none."""

    name: str
    first: int
    layers: int
    macs: int
    nanoseconds: int


def levels() -> list[str]:
    """Levels of kernels that this processor runs, best first. Raises ImportError without a compiled engine."""
    return load_library().levels().decode().split()


def processor() -> str:
    """As it calls itself."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def at_level(level: str | None) -> Iterator[None]:
    """What is opened inside takes these kernels; None: what the environment says, or the best."""
    before = os.environ.get("EDGE_VQA_ISA")
    try:
        if level:
            os.environ["EDGE_VQA_ISA"] = level
        yield
    finally:
        if level:
            del os.environ["EDGE_VQA_ISA"]
        if level and before is not None:
            os.environ["EDGE_VQA_ISA"] = before


class ProfiledEngine(NativeEngine):
    """A NativeEngine that tells the time of every step of a look."""

    def __init__(self, path: Path | str, level: str | None = None, threads: int = 1) -> None:
        with at_level(level):
            super().__init__(load_library(), load_model(path), threads)
        self._profile = ctypes.CDLL(load_library().path).evqa_profile_look
        self._profile.restype = c_int
        self._profile.argtypes = (c_void_p, c_char_p, c_void_p, POINTER(_Step), c_int32, POINTER(c_int32))
        self._room, self._count = (_Step * MOST_STEPS)(), c_int32()
        self._scene: NativeScene | None = None

    @property
    def side(self) -> int:
        """Of the pictures it takes, pixels."""
        return self._side

    def scene(self, pixels: bytes) -> NativeScene:
        """The scene that `profile` fills, of these pixels if it has filled none yet."""
        if self._scene is None:
            self._scene = self.encode(pixels)
        return self._scene

    def profile(self, pixels: bytes) -> int:
        """Look at a picture; returns how many steps it took. `step` tells of each."""
        scene = self.scene(pixels)
        status = self._profile(self.handle, pixels, scene.pointer, self._room, MOST_STEPS, byref(self._count))
        self._library.check(status, self._path)
        return self._count.value

    def step(self, index: int) -> Step:
        """Of the last `profile`."""
        s = self._room[index]
        return Step(s.name.decode(), s.first_layer, s.layers if s.macs else 0, s.macs, s.nanoseconds)

    def nanoseconds(self, index: int) -> int:
        """Of one step of the last `profile`."""
        return int(self._room[index].nanoseconds)

    def macs(self, pixels: bytes) -> int:
        """Multiply-accumulates of a look."""
        return sum(self.step(i).macs for i in range(self.profile(pixels)))
