"""Our engine for aarch64, as a wheel has it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edge_vqa import EdgeVQAError
from runtime.wheels import build

PLATFORM = "aarch64"


def unpack_wheel(wheel: Path | None, folder: Path) -> tuple[Path, Path]:
    """The library and the package's folder of a wheel for aarch64, unpacked into `folder`.

    Without one it is built as for a release, but keeps its functions' names. Raises EdgeVQAError when it cannot be
    built, or holds no engine.
    """
    target = folder / "wheel"
    wheel = wheel or build([PLATFORM], folder, symbols=True)[0]
    try:
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(target)
    except zipfile.BadZipFile as error:
        raise EdgeVQAError(f"{wheel}: is no wheel ({error})") from error
    library = target / "edge_vqa" / "_native" / "libedge_vqa.so"
    if not library.is_file():
        raise EdgeVQAError(f"{wheel}: holds no engine")
    return library, target
