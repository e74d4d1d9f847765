"""python -m bench.bulk --images FOLDER [--pictures 1000] [--json FILE] [--fill docs/collections.md]

How fast whole folders are answered, and in how much memory: the command with one job and with one for each processor,
on a tenth of the pictures and on all of them; the same folder once more when everything is answered; and, where Dask
is installed, examples/collection.py with two workers. Whole processes, from start to end.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_vqa.bulk import find_pictures
from edge_vqa.engines import usable_processors

from .peers.report import fill_block
from .peers.result import processor

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ("món này là món gì", "có tôm trong món này không")


RUN = """
import re, sys
from edge_vqa.run import main
code = main(sys.argv[1:])
try:
    print(*re.findall(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read()))
except OSError:  # not on Linux
    pass
sys.exit(code)
"""
"""The command, which then says how much memory it had at most. (What the system tells a process about its child is at
least what the process itself had.)"""


def timed(command: Sequence[str]) -> tuple[float, float | None]:
    """Seconds, and the most memory in 10^6 bytes where it says that. Raises ValueError when it could not do its work.

    Exit code 1 (some pictures could not be used) is fine.
    """
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):
        raise ValueError(f"exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return seconds, int(done.stdout) * 1024 / 1e6 if done.stdout.strip() else None


def commands(folders: Mapping[int, Path], out: Path) -> list[tuple[str, int, list[str]]]:
    """What is measured: its name, how many pictures, and the command, which finds neither `out` nor anything in it."""
    questions = ["--q", *QUESTIONS]
    found = []
    for jobs in sorted({1, usable_processors()}):
        for count, folder in folders.items():
            command = [sys.executable, "-c", RUN, "--image", str(folder), "--out", str(out), *questions]
            name = f"`edge_vqa.run --jobs {jobs} --threads 1`"
            found.append((name, count, [*command, "--jobs", str(jobs), "--threads", "1"]))
    found.append(("the same, everything answered", count, found[-1][2]))
    if importlib.util.find_spec("dask") and importlib.util.find_spec("distributed"):
        command = [sys.executable, "examples/collection.py", "--images", str(folder), "--out", str(out.with_suffix(""))]
        size = ["--size", str(max(1, count // 10)), "--jobs", "1"]
        found.append(("`examples/collection.py`, two workers", count, [*command, *questions, *size]))
    return found


def measure(images: Path, pictures: int, repeats: int) -> dict[str, Any]:
    """Each command `repeats` times, in turns. Raises ValueError."""
    paths = [path for path, source in find_pictures(str(images), True) if isinstance(source, str)][:pictures]
    if len(paths) < 10:
        raise ValueError(f"{images}: {len(paths)} pictures; at least 10 are needed")
    load = os.getloadavg()[0]
    rows: dict[tuple[str, int], list[tuple[float, float | None]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folders = {count: Path(scratch) / str(count) for count in (len(paths) // 10, len(paths))}
        for count, folder in folders.items():
            folder.mkdir()
            for number, path in enumerate(paths[:count]):
                (folder / f"{number:07}{Path(path).suffix}").symlink_to(Path(path).resolve())
        for repeat in range(repeats):
            for name, count, command in commands(folders, Path(scratch) / f"{repeat}.jsonl"):
                if "answered" not in name:
                    Path(scratch, f"{repeat}.jsonl").unlink(missing_ok=True)
                rows.setdefault((name, count), []).append(timed(command))
    return {
        "processor": processor(), "processors": usable_processors(), "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}", "date": time.strftime("%Y-%m-%d"), "load_before": load,
        "mean_kilobytes": round(statistics.mean(Path(path).stat().st_size for path in paths) / 1e3, 1),
        "questions": QUESTIONS, "repeats": repeats,
        "rows": [
            {"what": name, "pictures": count, "seconds": [round(s, 3) for s, _ in runs],
             "peak_megabytes": max((memory for _, memory in runs if memory), default=None)}
            for (name, count), runs in rows.items()
        ],
    }  # fmt: skip


def as_markdown(result: Mapping[str, Any]) -> str:
    """A table and what one has to know to judge it."""
    lines = ["|  | pictures | seconds | pictures a second | peak memory, MB |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        seconds = statistics.median(row["seconds"])
        memory = "" if row["peak_megabytes"] is None else f"{row['peak_megabytes']:.0f}"
        rate = f"{row['pictures'] / seconds:.0f}"
        lines.append(f"| {row['what']} | {row['pictures']} | {seconds:.1f} | {rate} | {memory} |")
    lines += [
        "",
        f"- {result['processor']}, {result['processors']} processors, Python {result['python']}, {result['system']}, "
        f"{result['date']}. Median of {result['repeats']} runs in turns, each a whole process.",
        f"- {len(result['questions'])} questions a picture; pictures of {result['mean_kilobytes']} kB on average.",
    ]
    if result["load_before"] > 0.5:
        lines.append(f"- The machine was busy with other things (load {result['load_before']:.1f} before).")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description="How fast whole folders are answered.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", type=Path, metavar="FOLDER")
    source.add_argument("--from", type=Path, dest="source", metavar="FILE", help="show an earlier --json")
    parser.add_argument("--pictures", type=int, default=1000, metavar="N", help="at most so many")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--fill", type=Path, metavar="FILE", help="put the table into this document's block `bulk`")
    options = parser.parse_args(arguments)
    try:
        if options.source:
            result = json.loads(options.source.read_text(encoding="utf-8"))
        else:
            result = measure(options.images, options.pictures, options.repeats)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if options.fill:
            fill_block(options.fill, "bulk", as_markdown(result))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_markdown(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
