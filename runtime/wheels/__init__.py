"""Wheels of edge_vqa for Linux on ARM and x86, built on one machine: python -m runtime.wheels --out dist.

The engine is a plain C library, so one wheel of a platform serves every Python. Zig's compiler (from PyPI) builds for
all of them, against a C library that is older than any system with Python 3.9.
"""

from .building import build
from .checks import WheelError, check
from .platforms import PLATFORMS

__all__ = ["PLATFORMS", "WheelError", "build", "check"]
