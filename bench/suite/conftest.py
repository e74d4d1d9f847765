"""Options of the suite, and what every result says of itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from bench.suite.engines import levels, processor
from edge_vqa.engines.native import find_library, load_library


def pytest_addoption(parser: pytest.Parser) -> None:
    """--level and --threads."""
    group = parser.getgroup("edge_vqa")
    group.addoption(
        "--level",
        default=os.environ.get("EDGE_VQA_ISA") or "best",
        metavar="NAMES",
        help="levels of kernels, commas between; best (default: EDGE_VQA_ISA, or best) or all",
    )
    group.addoption("--threads", type=int, default=1, metavar="N", help="threads of a look (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    """A level that is not there is told before anything is collected."""
    _levels(config.getoption("--level"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `level` runs at each level that was asked for."""
    if "level" in metafunc.fixturenames:
        metafunc.parametrize("level", _levels(metafunc.config.getoption("--level")))


def _levels(asked: str) -> list[str]:
    if find_library() is None:
        return []  # pytest says that such tests are skipped
    known = levels()
    chosen = {"best": known[:1], "all": known}.get(asked) or asked.split(",")
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise pytest.UsageError(
            f"--level {','.join(unknown)}: this processor runs {', '.join(known)}, and there is all"
        )
    return chosen


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> int:
    """How many a look takes."""
    count: int = request.config.getoption("--threads")
    return count


Tell = Callable[..., None]


@pytest.fixture
def tell(benchmark: Any) -> Tell:
    """Puts a benchmark into a group, and says more of it; the engine's version and the processor always."""

    def say(group: str, **more: Any) -> None:
        benchmark.group = group
        benchmark.extra_info.update(version=load_library().version().decode(), processor=processor(), **more)

    return say
