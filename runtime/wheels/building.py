"""Builds wheels by the package's own build system, with Zig's compiler in the place of the machine's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .checks import INSTALL, WheelError, auditwheel, check
from .compiler import compiler, find_zig
from .platforms import PLATFORMS, Platform

if TYPE_CHECKING:
    from build import ProjectBuilder

ROOT = Path(__file__).resolve().parents[2]


def build(
    platforms: Sequence[str] = tuple(PLATFORMS),
    out: Path = Path("dist"),
    *,
    symbols: bool = False,
    done: Callable[[Path], None] = lambda wheel: None,
) -> list[Path]:
    """Wheels for platforms by name (keys of PLATFORMS), in `out`, in their order; each has been checked.

    With `symbols` the engine keeps its functions' names, for profiles. `done` is told of every wheel as it is ready.
    Needs the extra "wheels", and a network, for pip to set up the build's environment. Raises WheelError.
    """
    if unknown := [name for name in platforms if name not in PLATFORMS]:
        raise WheelError(f"{', '.join(unknown)}: no such platform: {', '.join(PLATFORMS)}")
    zig = find_zig()
    auditwheel("repair")
    try:
        from build import BuildException, ProjectBuilder
        from build.env import DefaultIsolatedEnv
    except ImportError as error:
        raise WheelError(f"the package build is not installed in {sys.prefix}: {INSTALL}") from error
    try:
        out.mkdir(parents=True, exist_ok=True)
        with DefaultIsolatedEnv() as environment, tempfile.TemporaryDirectory() as folder:
            backend = _Backend(Path(folder) / "log", dict(os.environ))
            builder = ProjectBuilder.from_isolated_env(environment, ROOT, runner=backend.run)
            environment.install(builder.build_system_requires)
            environment.install(builder.get_requires_for_build("wheel"))
            wheels = []
            for name in platforms:
                wheels.append(_build(PLATFORMS[name], Path(folder) / name, out, zig, backend, builder, symbols))
                done(wheels[-1])
            return wheels
    except (BuildException, OSError, subprocess.CalledProcessError) as error:
        raise WheelError(f"the build failed: {' '.join(str(error).split())}") from error


class _Backend:
    """Runs the build system's calls in a chosen environment and keeps what they print."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self.log, self.environment = log, environment

    def run(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        with self.log.open("a") as log:
            variables = {**self.environment, **(extra_environ or {})}
            subprocess.run(cmd, cwd=cwd, env=variables, check=True, stdout=log, stderr=subprocess.STDOUT)


def _build(
    platform: Platform, folder: Path, out: Path, zig: Path, backend: _Backend, builder: ProjectBuilder, symbols: bool
) -> Path:
    folder.mkdir()
    backend.environment = {**compiler(zig, platform, folder), "SOURCE_DATE_EPOCH": _date()}
    kept = out / f"edge_vqa-{platform.tag}.log"
    for earlier in (backend.log, kept):
        earlier.unlink(missing_ok=True)
    settings = {
        "cmake.define.CMAKE_SYSTEM_NAME": "Linux",
        "cmake.define.CMAKE_SYSTEM_PROCESSOR": platform.machine,
        "cmake.build-type": "None" if symbols else "Release",
        "install.strip": "false",  # by the linker: this machine's strip may not know the other's files
    }
    try:
        built = Path(builder.build("wheel", folder / "built", config_settings=settings))
        named = _named(built, folder / "named")
        found = check(named)
        _check_levels(platform, backend.log.read_text(encoding="utf-8"))
    except (WheelError, subprocess.CalledProcessError) as error:
        shutil.copyfile(backend.log, kept)
        reason = str(error) if isinstance(error, WheelError) else f"{platform.tag}: the build failed"
        raise WheelError(f"{reason} (the build's messages: {kept})") from error
    if found != platform.tag:
        raise WheelError(f"{named.name}: is made for {platform.tag}, but auditwheel finds that it needs {found}")
    return Path(shutil.move(named, out / named.name))


def _check_levels(platform: Platform, log: str) -> None:
    """CMake says which kernels it builds; those that the compiler does not know it leaves out."""
    found = re.search(r"edge_vqa: levels (.*)", log)
    if not found or found[1].split() != platform.levels.split():
        built = found[1].strip() if found else "unknown ones"
        raise WheelError(f"{platform.tag}: the engine has the kernels {built}, and should have {platform.levels}")


def _named(wheel: Path, folder: Path) -> Path:
    """A copy of the wheel with the tags that auditwheel computes. Raises WheelError where the engine needs repairs."""
    command = [*auditwheel("repair"), "--patcher", "none", "--wheel-dir", str(folder), str(wheel)]
    variables = {**os.environ, "SOURCE_DATE_EPOCH": _date()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    made = list(folder.glob("*.whl")) if done.returncode == 0 else []
    if not made:
        check(wheel)  # may know better why
        raise WheelError(f"{wheel.name}: auditwheel repair: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return made[0]


def _date() -> str:
    """Seconds since 1970 for the files in a wheel: SOURCE_DATE_EPOCH, the last commit's, or one that zip can write."""
    if named := os.environ.get("SOURCE_DATE_EPOCH"):
        return named
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        found = ""
    return found or "315619200"
