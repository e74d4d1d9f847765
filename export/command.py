"""How the commands of export/ end when something is wrong: one line for people, and an exit code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from edge_vqa.errors import EdgeVQAError

P = ParamSpec("P")


def ends_in_one_line(main: Callable[P, int]) -> Callable[P, int]:
    """`main`, but a user's mistake or a missing package is an "error: ..." and 1, an interruption 130."""

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except ImportError as error:
            print(f"error: {error} (pip install '.[export]' installs what is needed)", file=sys.stderr)
        except (EdgeVQAError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        return 1

    return run
