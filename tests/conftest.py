"""What all tests share: which engine in C++ they test."""

import os

from edge_vqa.engines.native import find_library

# The tests import the package from this checkout, which holds no compiled library: the one that `pip install .`
# compiled into site-packages (see tests/run) is taken. The environment says so to the tests of runtime/, too.
if found := find_library():
    os.environ.setdefault("EDGE_VQA_LIBRARY", found)
