"""Our engine for aarch64, as a wheel has it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edge_vqa import EdgeVQAError


def unpack_wheel(wheel: Path | None, folder: Path) -> tuple[Path, Path]:
    """The library and the package's folder of a wheel for aarch64; without one, it is built with its symbols.

    Raises EdgeVQAError when it cannot be built, or holds no engine.
    """
    target = folder / "wheel"
    try:
        zipfile.ZipFile(wheel or _build(folder)).extractall(target)
    except zipfile.BadZipFile as error:
        raise EdgeVQAError(f"{wheel}: is no wheel ({error})") from error
    library = next(target.glob("edge_vqa/_native/libedge_vqa.so"), None)
    if library is None:
        raise EdgeVQAError(f"{wheel}: holds no engine")
    return library, target


def _build(folder: Path) -> Path:
    raise EdgeVQAError("say --library or --wheel")
