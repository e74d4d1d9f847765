"""A mark for tests that need the compiled engine."""

import pytest

from edge_vqa.engines.native import find_library

needs_native = pytest.mark.skipif(find_library() is None, reason="the engine in C++ is not compiled (pip install .)")
