"""python -m bench.delegated FILE.tflite ...

How many of a .tflite file's operations XNNPACK computes, and what that is worth. Runs on ai-edge-litert or, in an
environment that has only that, on tflite-runtime.

The runtime keeps every operation in its list when it hands some over to a delegate, and appends one operation DELEGATE
for each group handed over. So what a delegate does not give, but something needs, is computed outside of it.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class Delegated:
    """Of the operations of a file's first graph."""

    operations: int
    groups: int
    """How many times the runtime changes over to a delegate."""
    outside: Counter[str]
    """Kind -> how many the runtime computes itself."""


def runtime() -> Any:
    """The module with Interpreter and OpResolverType. Raises ImportError."""
    try:
        return importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:
        return importlib.import_module("tflite_runtime.interpreter")


def count(interpreter: Any) -> Delegated:
    """After allocate_tensors."""
    listed = interpreter._get_ops_details()
    operations = [o for o in listed if o["op_name"] != _DELEGATE]
    groups = [o for o in listed if o["op_name"] == _DELEGATE]
    made_by = {int(t): o for o in operations for t in o["outputs"]}
    made_inside = {int(t) for o in groups for t in o["outputs"]}
    needed = [d["index"] for d in interpreter.get_output_details()] + [t for o in groups for t in o["inputs"]]
    outside: dict[int, str] = {}
    while needed:
        tensor = int(needed.pop())
        maker = None if tensor in made_inside else made_by.get(tensor)
        if maker and maker["index"] not in outside:
            outside[maker["index"]] = maker["op_name"]
            needed += [t for t in maker["inputs"] if t >= 0]
    return Delegated(len(operations), len(groups), Counter(outside.values()))


def milliseconds(interpreter: Any, runs: int) -> float:
    """The median time of one run on inputs of ones, after one to warm up."""
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.ones(detail["shape"], detail["dtype"]))
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[1:])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.delegated", description="What XNNPACK computes of a file.")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.tflite")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args(arguments)
    try:
        litert = runtime()
        for path in options.files:
            plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            times, found = [], None
            for more in ({}, {"experimental_op_resolver_type": plain}):
                interpreter = litert.Interpreter(str(path), num_threads=options.threads, **more)
                interpreter.allocate_tensors()
                found = found or count(interpreter)
                times.append(milliseconds(interpreter, options.runs))
            assert found is not None
            others = ", ".join(f"{n} {kind}" for kind, n in found.outside.most_common()) or "none"
            print(
                f"{path.name}: {found.operations} operations, {found.operations - found.outside.total()} in "
                f"{found.groups} delegates, outside {others}; {times[0]:.3f} ms, without delegates {times[1]:.3f} ms"
            )
    except (ImportError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
