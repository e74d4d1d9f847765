"""Wheels of edge_vqa for every Linux, built on one machine: python -m wheels --out dist.

The engine is a plain C library, so one wheel of a platform serves every Python. Zig's compiler (from PyPI) builds for
all of them, against the oldest C library that has Python 3.9 wheels at all.
"""

from .building import build
from .checks import WheelError, check
from .platforms import PLATFORMS

__all__ = ["PLATFORMS", "WheelError", "build", "check"]
