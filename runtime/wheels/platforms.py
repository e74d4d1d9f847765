"""The platforms that there are wheels for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Platform:
    """`target` and `flags` are the compiler's, `machine` is what `uname -m` says there and pip's name of it.

    `tag` is the platform that the wheel is made for, `levels` are the kernels that its engine has, `libc` is what
    distributions with musl call it on that processor (Zig calls it libc.so).
    """

    target: str
    machine: str
    tag: str
    levels: str
    flags: str = ""
    libc: str = ""


_GLIBC = "2.17"
"""That of manylinux2014, and the first for aarch64; the engine needs nothing newer."""

_ARMV7 = "-mcpu=generic+v7a-neon-d32"
"""The least that Debian's and Raspberry Pi OS's armhf run on Arm v7 (VFPv3-D16). NEON is used where the processor has
it. Zig's armhf would have NEON everywhere."""

_ARM64, _X86, _ARM32 = "SCALAR NEON NEONDOT NEONI8MM", "SCALAR AVX2 AVX512VNNI", "SCALAR NEON32"

PLATFORMS = {
    "aarch64": Platform(f"aarch64-linux-gnu.{_GLIBC}", "aarch64", "manylinux_2_17_aarch64", _ARM64),
    "x86_64": Platform(f"x86_64-linux-gnu.{_GLIBC}", "x86_64", "manylinux_2_17_x86_64", _X86),
    "armv7l": Platform(f"arm-linux-gnueabihf.{_GLIBC}", "armv7l", "manylinux_2_17_armv7l", _ARM32, _ARMV7),
    "musl-aarch64": Platform(
        "aarch64-linux-musl", "aarch64", "musllinux_1_2_aarch64", _ARM64, libc="libc.musl-aarch64.so.1"
    ),
    "musl-x86_64": Platform("x86_64-linux-musl", "x86_64", "musllinux_1_2_x86_64", _X86, libc="libc.musl-x86_64.so.1"),
    "musl-armv7l": Platform(
        "arm-linux-musleabihf", "armv7l", "musllinux_1_2_armv7l", _ARM32, _ARMV7, "libc.musl-armv7.so.1"
    ),
}
