"""Without running anything: nothing beyond Arm v8.0 (or v7) is outside of the level that asks the processor for it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from arm import builds, instructions
from arm.builds import Build


@pytest.mark.parametrize("bits", builds.MACHINES)
def test_levels_keep_their_instructions_to_themselves(bits: int, built: Callable[[str, int], Build]) -> None:
    instructions.need_objdump(bits)
    objects = built("zig", bits).objects()
    assert instructions.foreign(objects, bits) == []
    assert instructions.shared(objects, bits) == []


@pytest.mark.parametrize("bits", builds.MACHINES)
def test_the_wheel_has_the_levels_and_nothing_beyond_them(bits: int, wheels: dict[int, Path], tmp_path: Path) -> None:
    instructions.need_objdump(bits)
    with zipfile.ZipFile(wheels[bits]) as archive:
        library = Path(archive.extract("edge_vqa/_native/libedge_vqa.so", tmp_path))
    assert set(instructions.extensions(library, bits)) == ({"dotprod", "i8mm"} if bits == 64 else {"neon"})
