r"""A script that start.py runs: starts programs one by one, and says how long each ran and how much memory it took.

A process of its own, because Linux counts the memory of whoever started a program towards the program's own peak until
that has more: this one imports as good as nothing.

A line in is a program: its parts, separated by \x1f. A line out: exit code, nanoseconds to the first output,
nanoseconds to the end, peak memory (ru_maxrss), the first line of output.
"""

import os
import sys
import time


def main() -> None:
    for line in iter(sys.stdin.readline, ""):
        program = line.rstrip("\n").split("\x1f")
        from_child, to_us = os.pipe()
        changes = [(os.POSIX_SPAWN_DUP2, to_us, 1), (os.POSIX_SPAWN_CLOSE, from_child)]
        began = time.perf_counter_ns()
        child = os.posix_spawn(program[0], program, os.environ, file_actions=changes)
        os.close(to_us)
        said = b""
        answered = None
        while True:
            more = os.read(from_child, 4096)
            if answered is None:
                answered = time.perf_counter_ns() - began
            if not more:
                break
            said += more
        os.close(from_child)
        _, status, usage = os.wait4(child, 0)
        ended = time.perf_counter_ns() - began
        code = os.waitstatus_to_exitcode(status)
        first = said.decode("utf-8", "replace").split("\n")[0]
        print(code, answered, ended, usage.ru_maxrss, first, sep="\x1f", flush=True)


main()
