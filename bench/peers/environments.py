"""An environment for each contender: a venv, filled by pip once, and what it takes on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .contender import PeerError

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "CMakeLists.txt", "edge_vqa", "runtime")
"""Of the checkout: what our own package is built from."""

_TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence", "wheel")
_LIST = (
    "import importlib.metadata as m, json, sys; "
    "print(json.dumps([sys.version.split()[0], {d.metadata['Name']: d.version for d in m.distributions()}]))"
)


@dataclass(frozen=True)
class Environment:
    """An interpreter and what it has installed."""

    python: str
    """Path."""
    python_version: str
    packages: dict[str, str]
    """Versions by name."""
    size: int | None
    """Bytes of the requirements and all they brought; None for an interpreter that was given."""
    extras_missing: str
    """Why the extras could not be installed; empty: they are there, or none were asked for."""


def given(python: str) -> Environment:
    """An interpreter that somebody else filled. Raises PeerError when it does not run."""
    version, packages = _installed(python)
    return Environment(python, version, packages, None, "")


def prepare(
    folder: Path, requirements: Sequence[str], version: str = "", extras: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> Environment:  # fmt: skip
    """The environment in `folder`, made where it is missing or was made for something else.

    `requirements` for pip, "." being this checkout; `version` of Python as in "3.11", by default this one; `extras`
    come after the size was taken, and may fail. Raises PeerError with the end of what pip said.
    """
    wanted = {"requirements": list(requirements), "version": version, "extras": list(extras)}
    if "." in requirements:
        wanted["sources"] = source_digest()
    python, stamp = folder / "bin" / "python", folder / "made.json"
    made = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else {}
    if made.get("wanted") != wanted or not python.exists():
        say(f"making {folder}: {', '.join(requirements)}")
        made = {"wanted": wanted, **_make(folder, str(python), requirements, version, extras)}
        stamp.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    found, packages = _installed(str(python))
    return Environment(str(python), found, packages, made["size"], made["extras_missing"])


def _make(
    folder: Path, python: str, requirements: Sequence[str], version: str, extras: Sequence[str]
) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    _run([find_python(version), "-m", "venv", str(folder)])
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    kept = [str(ROOT) if name == "." else name for name in requirements]
    _run([*pip, *kept])
    size, missing = (
        installed_size(Path(_run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))),
        "",
    )
    if extras:
        try:
            _run([*pip, *kept, *extras])  # the requirements again: they hold what they ask for in place
        except PeerError as error:
            missing = str(error)
    return {"size": size, "extras_missing": missing}


def find_python(version: str) -> str:
    """The interpreter that environments of this version are made with. Raises PeerError when there is none."""
    if not version or version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    found = shutil.which(f"python{version}")
    if not found:
        raise PeerError(f"needs Python {version}, and there is no python{version}")
    return found


def installed_size(site_packages: Path) -> int:
    """Bytes of the files in a folder of packages, without Python's caches and without what installs packages."""
    return sum(path.lstat().st_size for path in _counted(site_packages))


def _counted(site_packages: Path) -> Iterator[Path]:
    for entry in sorted(site_packages.iterdir()):
        if entry.name.split("-")[0].split(".")[0] in _TOOLS or entry.name.startswith("distutils-precedence"):
            continue
        for path in entry.rglob("*") if entry.is_dir() else [entry]:
            if not path.is_dir() and path.suffix != ".pyc":
                yield path


def source_digest() -> str:
    """SHA-256 of what our own package is built from: another checkout, another environment."""
    digest = hashlib.sha256()
    for name in SOURCES:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix != ".pyc":
                content = path.read_bytes()
                digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode())
                digest.update(content)
    return digest.hexdigest()


def _installed(python: str) -> tuple[str, dict[str, str]]:
    version, packages = json.loads(_run([python, "-c", _LIST]))
    return version, dict(sorted(packages.items()))


def _run(command: Sequence[str]) -> str:
    """What a command prints. Raises PeerError with the last line that it said about its failure."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        raise PeerError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        told = [line for line in said if line.startswith("ERROR:")] or said
        raise PeerError(f"{Path(command[0]).name} {' '.join(command[1:4])} failed: {told[-1].strip()}")
    return done.stdout.strip()
