"""The platforms that there are wheels for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Platform:
    """`target` and `flags` are the compiler's, `machine` is what `uname -m` says there and pip's name of it.

    `tag` is the platform that the wheel is made for, `levels` are the kernels that its engine has.
    """

    target: str
    machine: str
    tag: str
    levels: str
    flags: str = ""


_GLIBC = "2.17"
"""That of manylinux2014, and the first for aarch64; the engine needs nothing newer."""

_ARMV7 = "-mcpu=generic+v7a-neon-d32"
"""The least that Debian's and Raspberry Pi OS's armhf run on Arm v7 (VFPv3-D16). NEON is used where the processor has
it. Zig's armhf would have NEON everywhere."""

PLATFORMS = {
    "aarch64": Platform(
        f"aarch64-linux-gnu.{_GLIBC}", "aarch64", "manylinux_2_17_aarch64", "SCALAR NEON NEONDOT NEONI8MM"
    ),
    "x86_64": Platform(f"x86_64-linux-gnu.{_GLIBC}", "x86_64", "manylinux_2_17_x86_64", "SCALAR AVX2 AVX512VNNI"),
    "armv7l": Platform(f"arm-linux-gnueabihf.{_GLIBC}", "armv7l", "manylinux_2_17_armv7l", "SCALAR NEON32", _ARMV7),
}
