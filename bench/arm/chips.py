"""Cores as the boards' chips have them: qemu's have instructions of cryptography that some chips leave out."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

from edge_vqa import EdgeVQAError

SOURCE = Path(__file__).with_name("hwcap.c")

WITHOUT_CRYPTOGRAPHY = ("cortex-a53", "cortex-a72")
"""BCM2837, RP3A0 and BCM2711 (Raspberry Pi 3, Zero 2 W, 4); the BCM2712 of Raspberry Pi 5 has it."""


def environment(core: str, folder: Path) -> dict[str, str]:
    """Variables with which programs see the chip's instructions. Raises EdgeVQAError without a compiler for it."""
    if core not in WITHOUT_CRYPTOGRAPHY:
        return {}
    library = folder / "hwcap.so"
    done = subprocess.run(
        [*_compiler(), "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(library), "-ldl"],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise EdgeVQAError(f"{SOURCE.name} cannot be compiled: {(done.stderr.strip() or 'no reason').splitlines()[0]}")
    return {"LD_PRELOAD": str(library)}


def _compiler() -> list[str]:
    gcc = shutil.which("aarch64-linux-gnu-gcc")
    if gcc:
        return [gcc]
    zig = importlib.util.find_spec("ziglang")
    for folder in (zig.submodule_search_locations or []) if zig else []:
        return [str(Path(folder) / "zig"), "cc", "-target", "aarch64-linux-gnu.2.28"]
    raise EdgeVQAError(
        'there is no compiler for aarch64: pip install ".[wheels]", or apt install gcc-aarch64-linux-gnu'
    )
