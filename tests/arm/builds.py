"""The engine cross-compiled to look into it: its objects, kernel_test, and libraries with a fault put in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runtime.wheels.compiler import compiler as zig_compiler
from runtime.wheels.compiler import find_zig
from runtime.wheels.platforms import PLATFORMS

ROOT = Path(__file__).resolve().parents[2]
MACHINES = {64: "aarch64", 32: "armv7l"}
"""The wheels' platforms."""
GNU = {64: "aarch64-linux-gnu", 32: "arm-linux-gnueabihf"}
"""How the names of Debian's cross compilers and binutils begin."""


def tool(name: str) -> str | None:
    """A program of this environment or the system."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


@dataclass(frozen=True)
class Build:
    """A build folder of one compiler for 32 or 64 bits."""

    folder: Path
    compiler: str
    bits: int

    @classmethod
    def configured(cls, folder: Path, compiler: str, bits: int) -> Build:
        """Ready to compile with "zig" as wheels are, or with "g++" of Debian. Raises WheelError without Zig."""
        folder.mkdir(parents=True)
        build, options = cls(folder, compiler, bits), []
        if compiler == "zig":
            zig_compiler(find_zig(), PLATFORMS[MACHINES[bits]], folder)
        else:
            options = ["-DCMAKE_EXE_LINKER_FLAGS=-static"]  # its libc may be newer than the machine's
        run([tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", "-S", ROOT, "-B", folder,
             f"-DCMAKE_C_COMPILER={build._program('cc')}", f"-DCMAKE_CXX_COMPILER={build._program('c++')}",
             "-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={MACHINES[bits]}", "-DEVQA_BUILD_TESTS=ON",
             *options])  # fmt: skip
        return build

    def kernel_test(self) -> Path:
        run([tool("cmake"), "--build", self.folder, "--target", "kernel_test"])
        return self.folder / "runtime" / "kernel_test"

    def objects(self) -> dict[str, Path]:
        """The engine's object files by their source's path in runtime/, once kernel_test is built."""
        folder = self.folder / "runtime" / "CMakeFiles" / "edge_vqa_objects.dir"
        return {str(o.relative_to(folder))[: -len(".o")]: o for o in sorted(folder.rglob("*.o"))}

    def test_object(self) -> Path:
        return next((self.folder / "runtime" / "CMakeFiles" / "kernel_test.dir").rglob("*.o"))

    def compile(self, source: Path, flags: list[str], out: Path) -> Path:
        """An object with the flags of CMake and more; the engine's own files with those of their level."""
        run([self._program("c++"), *self._flags(source), *flags, "-c", source, "-o", out])
        return out

    def link(self, objects: list[Path], out: Path, shared: bool) -> Path:
        run([self._program("cc"), *(["-shared"] if shared else []), *objects, "-lm", "-lpthread", "-o", out])
        return out

    def _flags(self, source: Path) -> list[str]:
        """As ninja would compile it; the plain ones for a file that is not the engine's."""
        lines = run([tool("ninja"), "-C", self.folder, "-t", "commands", "kernel_test"]).splitlines()
        inside = source if source.is_relative_to(ROOT / "runtime") else ROOT / "runtime" / "engine" / "error.cc"
        words = next(line for line in lines if f" {inside}" in line).split()
        return [word for word in words if word.startswith(("-D", "-I", "-O", "-std", "-f", "-mcpu", "-march", "-mfpu"))]

    def _program(self, language: str) -> str:
        if self.compiler == "zig":
            return str(self.folder / language)
        return f"{GNU[self.bits]}-{ {'cc': 'gcc', 'c++': 'g++'}[language] }"


FAULTS = ("none", "sdot", "rounding")
"""What fault.cc does at the entry of each function of the level neon."""


def with_fault(build: Build, fault: str, folder: Path) -> tuple[Path, Path]:
    """A library and a kernel_test whose level "neon" has the fault; "none": only linked in the same way."""
    neon = next(name for name in build.objects() if name.endswith("/neon.cc"))
    hooks = [] if fault == "none" else ["-finstrument-functions-after-inlining"]
    flags = [f"-DFAULT_{fault.upper()}"]
    bad = build.compile(ROOT / "runtime" / neon, hooks, folder / f"neon-{fault}.o")
    hook = build.compile(Path(__file__).parent / "fault.cc", flags, folder / f"fault-{fault}.o")
    objects = [bad, hook, *(o for name, o in build.objects().items() if name != neon)]
    library = build.link(objects, folder / f"libedge_vqa-{fault}.so", shared=True)
    return library, build.link([*objects, build.test_object()], folder / f"kernel_test-{fault}", shared=False)


def run(command: list[str | Path | None]) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout
