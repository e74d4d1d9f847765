r"""Starts programs one by one and says how long each ran and how much memory it took; a script, run by cold_start.py.

A process of its own, because Linux counts the memory of whoever started a program towards the program's own peak until
it has more: this script imports nothing and is smaller than anything it measures.

One request a line: the command's parts, separated by \x1f. One reply a line: exit status, nanoseconds until the first
output, nanoseconds until the end, peak memory (ru_maxrss, kilobytes on Linux), the first line of output. A program
that runs longer than the seconds given to this script is killed.
"""

import os
import signal
import sys
import time


def main(seconds: int) -> None:
    while request := sys.stdin.readline():
        command = request.rstrip("\n").split("\x1f")
        reading, writing = os.pipe()
        began = time.perf_counter_ns()
        # No stdin; what it says on standard error goes where ours goes.
        actions = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_CLOSE, reading)]
        child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        os.close(writing)
        signal.signal(signal.SIGALRM, lambda *_, child=child: os.kill(child, signal.SIGKILL))
        signal.alarm(seconds)
        output = first = os.read(reading, 4096)
        answered = time.perf_counter_ns() - began
        while first:
            first = os.read(reading, 4096)
            output += first
        _, status, usage = os.wait4(child, 0)
        signal.alarm(0)
        ended = time.perf_counter_ns() - began
        os.close(reading)
        line = output.decode("utf-8", "replace").split("\n")[0]
        print(os.waitstatus_to_exitcode(status), answered, ended, usage.ru_maxrss, line, sep="\x1f", flush=True)


main(int(sys.argv[1]))
