"""Whether a wheel holds what it should and runs where its name says."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from edge_vqa.errors import EdgeVQAError

INSTALL = 'pip install ".[wheels]"'
ENGINE = "edge_vqa/_native/libedge_vqa.so"
LARGEST = 6_000_000
"""Bytes that a wheel may have, both models included."""

_FILES = (ENGINE, "edge_vqa/models/mobilenetv2-lstm-attention.evqa", "edge_vqa/models/tiny.evqa")
_KINDS = {".py", ".so", ".evqa", ".json", ".md"}
"""The package's files; beside them there is only the folder of metadata."""
_OLDER_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


class WheelError(EdgeVQAError):
    """A wheel cannot be built, or is not what it should be; one line says why."""


def check(wheel: Path) -> str:
    """The oldest platform that auditwheel finds a wheel to run on, as "manylinux_2_17_aarch64".

    Raises WheelError when the wheel's name promises an older one or another processor, and when the wheel lacks the
    engine, a model or the licence, holds anything else, or is too large.
    """
    _check_files(wheel)
    found = _auditwheel_says(wheel)
    kind, needed, machine = _parse(found)
    if kind == "linux":
        raise WheelError(f"{wheel.name}: auditwheel knows no platform that has all that its engine needs")
    for tag in wheel.stem.split("-")[-1].split("."):
        if (promised := _parse(tag))[::2] != (kind, machine) or promised[1] < needed:
            raise WheelError(f"{wheel.name}: is named {tag}, but auditwheel finds that it needs {found}")
    return found


def auditwheel(verb: str) -> list[str]:
    """The beginning of a command line; this machine's own libraries are kept out of it. Raises WheelError."""
    if importlib.util.find_spec("auditwheel") is None:
        raise WheelError(f"the package auditwheel is not installed in {sys.prefix}: {INSTALL}")
    return [sys.executable, "-m", "auditwheel", verb, "--ldpaths="]


def _check_files(wheel: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise WheelError(f"{wheel}: is not a wheel ({error})") from error
    if ENGINE not in names:
        raise WheelError(f"{wheel.name}: holds no engine ({ENGINE}): it was not compiled")
    if missing := [name for name in _FILES if name not in names]:
        raise WheelError(f"{wheel.name}: lacks {', '.join(missing)}")
    metadata = wheel.name.split("-py3-")[0] + ".dist-info"
    if f"{metadata}/licenses/LICENSE" not in names:
        raise WheelError(f"{wheel.name}: lacks its licence")
    for name in (name for name in names if not name.endswith("/")):
        top, kind = name.split("/")[0], PurePosixPath(name).suffix
        if top != metadata and not (top == "edge_vqa" and kind in _KINDS):
            raise WheelError(f"{wheel.name}: holds {name}, which is no part of the package")
    if (size := wheel.stat().st_size) > LARGEST:
        raise WheelError(f"{wheel.name}: {size / 1e6:.2f} MB, more than the {LARGEST / 1e6:.0f} MB that it may have")


def _auditwheel_says(wheel: Path) -> str:
    command = [*auditwheel("show"), "--json", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return str(json.loads(done.stdout)["overall_tag"])
    except (ValueError, KeyError) as error:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise WheelError(f"{wheel.name}: auditwheel cannot judge it: {last}") from error


def _parse(tag: str) -> tuple[str, tuple[int, int], str]:
    """A platform tag as kind, C library's version (0, 0 where it names none) and processor; see PEP 600, PEP 656."""
    if found := re.fullmatch(r"(manylinux|musllinux)_(\d+)_(\d+)_(\w+)", tag):
        return found[1], (int(found[2]), int(found[3])), found[4]
    name, _, machine = tag.partition("_")
    if name in _OLDER_NAMES:
        return "manylinux", _OLDER_NAMES[name], machine
    return name, (0, 0), machine
