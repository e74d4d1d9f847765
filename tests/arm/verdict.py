"""What is asked of each core, what must come of it, and the judgement: the same for the tests and for proofs that they
can fail.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import same_bits
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
Step = dict[str, Any]

LEVELS = {
    "cortex-a53": ("neon", "scalar"),
    "cortex-a72": ("neon", "scalar"),
    "cortex-a76": ("neondot", "neon", "scalar"),
    "i8mm": ("neoni8mm", "neondot", "neon", "scalar"),
    "cortex-a7": ("neon32", "scalar"),
    "armv7-vfp": ("scalar",),
}
"""The levels of kernels that each core must offer, the one that it must choose first."""
_ALL = {64: LEVELS["i8mm"], 32: LEVELS["cortex-a7"]}

THREADS = (1, 2)
_PICTURES = ("noise", "black", "white", "slope", "blocks")
_SHIPPED = same_bits.model_path(same_bits.SHIPPED, Path())
_SMALL = same_bits.BUNDLED / "tiny.evqa"


@dataclass(frozen=True)
class Asked:
    """A step of inside.py and the result that it must give; None: what the machine outside gives."""

    step: Step
    expected: Any = None


def asked(core: str, bits: int, tiny: dict[str, Path], files: dict[str, Path], jpegs: dict[str, Path]) -> list[Asked]:
    """Everything that is asked of a core. `tiny`: models by the names of their golden files, `files`: of `bad_files`,
    `jpegs`: of `photos`.

    The scalar level, the same code on every core, answers on the slowest one; elsewhere it is left to the doctor.
    """
    levels = LEVELS[core]
    chosen = {"levels": list(levels), "chosen": levels[0]}
    known = {"code": 0, "faults": [], "self_test": {level: "3 of 3 bit for bit" for level in levels}}
    steps = [Asked({"do": "levels"}, chosen), Asked({"do": "doctor"}, known), Asked({"do": "pixels", "side": 224})]
    steps.append(Asked({"do": "jpegs", "files": [str(path) for path in jpegs.values()], "side": 50}))
    for level in _ALL[bits]:
        if level not in levels:
            told = f"EDGE_VQA_ISA={level}: this processor lacks it (it runs: {' '.join(levels)})"
            steps.append(Asked({"do": "refused", "level": level}, told))
    steps += [Asked({"do": "command", "arguments": arguments}) for arguments in commands(files)]
    quick = levels if core == "cortex-a53" else levels[:-1]
    steps += shipped(levels[0], 1, _PICTURES if levels[0] != "scalar" else ["noise"]) + shipped(levels[0], 2, ["noise"])
    for level in quick[1:]:
        steps += shipped(level, 1, ["blocks"]) if level != "scalar" else []
    for level in quick:
        for threads in THREADS if level == levels[0] else (1,):
            steps.append(Asked(_answers(_SMALL, level, threads, ["noise", "slope"])))
            steps += [golden(name, path, level, threads) for name, path in tiny.items()]
    return steps


def shipped(level: str, threads: int, pictures: Sequence[str]) -> list[Asked]:
    """The shipped model on pictures by name."""
    return [golden(same_bits.SHIPPED, _SHIPPED, level, threads, pictures)]


def golden(name: str, path: Path, level: str, threads: int, pictures: Sequence[str] = _PICTURES) -> Asked:
    """A model whose answers lie in tests/golden."""
    expected = same_bits.golden(name)
    expected["pictures"] = {picture: expected["pictures"][picture] for picture in pictures}
    return Asked(_answers(path, level, threads, pictures), expected)


def outside(step: Step) -> Step:
    """The step as it is asked of the machine outside, on whose levels nothing depends."""
    return {**step, "level": "", "threads": 1} if step["do"] == "answers" else step


def bad_files(folder: Path) -> dict[str, Path]:
    """Files that a user may give by mistake."""
    model = _SMALL.read_bytes()
    contents = {
        "no_picture.jpg": b"this is text",
        "cut_off.jpg": (ROOT / "examples" / "chuoi.jpg").read_bytes()[:3000],
        "damaged.evqa": model[:-1] + bytes([model[-1] ^ 1]),
        "cut_off.evqa": model[:1000],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in (*contents, "missing.jpg")}


def photos(folder: Path) -> dict[str, Path]:
    """JPEGs that are decoded at every scale, for a side of 50 pixels, in every sampling and a few turns."""
    made = {}
    for number, (width, height) in enumerate([(70, 131), (190, 163), (310, 402), (777, 650)]):
        rows, columns = height // 4, width // 4
        noise = np.frombuffer(same_bits.noise(rows * columns * 3, number), np.uint8).reshape(rows, columns, 3)
        picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        for sampling in (0, 1, 2):
            exif = Image.Exif()
            exif[0x0112] = 1 + (3 * number + sampling) % 8
            name = f"{width}x{height}-{sampling}.jpg"
            made[name] = folder / name
            quality = 60 + 13 * sampling
            picture.save(made[name], quality=quality, subsampling=sampling, exif=exif, restart_marker_rows=sampling)
        made[f"{width}x{height}-grey.jpg"] = folder / f"{width}x{height}-grey.jpg"
        picture.convert("L").save(made[f"{width}x{height}-grey.jpg"])
    return made


def commands(files: dict[str, Path]) -> list[list[str]]:
    """Arguments of edge_vqa.run: right ones, and each kind of mistake."""
    carrot, banana = (str(ROOT / "examples" / name) for name in ("ca_rot.jpg", "chuoi.jpg"))
    right = ["--image", carrot, "--q", "món này là món gì"]
    return [
        [*right, "--json", "--top", "4"],
        [*right, "--threads", "2"],
        ["--image", carrot, banana, "--q", "mon nay mau gi", "co tom khong", "--model", str(_SMALL), "--json"],
        ["--image", str(files["missing.jpg"]), carrot, "--q", "mau gi"],
        ["--image", str(files["no_picture.jpg"]), str(files["cut_off.jpg"]), "--q", "mau gi"],
        [*right, "--model", str(files["damaged.evqa"])],
        [*right, "--model", str(files["cut_off.evqa"])],
        [*right, "--model", str(files["missing.jpg"])],
        [*right, "--engine", "steam"],
        [*right, "--q", " "],
        [*right, "--threads", "0"],
        [],
    ]


def judge(core: str, done: subprocess.CompletedProcess[str], steps: Sequence[Asked], outside: dict[int, Any]) -> None:
    """Raises AssertionError that names the step in which the process died, or every result that differs.

    `outside`: what steps without an expectation of their own gave outside, by their number.
    """
    results = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(results) != len(steps):
        step = steps[len(results)].step if len(results) < len(steps) else "the end"
        raise AssertionError(f"{core}: {ended(done)} in step {len(results)}, {step}\n{done.stderr[-3000:]}")
    faults = []
    for number, (step, result) in enumerate(zip(steps, results)):
        expected = outside[number] if step.expected is None else step.expected
        faults += [f"{core}: {step.step}: {difference}" for difference in differences(expected, result)]
    assert not faults, "\n".join(faults[:20])


def ended(done: subprocess.CompletedProcess[str]) -> str:
    """How a process ended, in words."""
    if done.returncode < 0:
        return f"died of {signal.Signals(-done.returncode).name}"
    return f"ended with exit code {done.returncode}"


def differences(expected: Any, got: Any, where: str = "") -> list[str]:
    """Every leaf of two JSON values that is not the same."""
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        return [d for key in expected for d in differences(expected[key], got[key], f"{where}/{key}")]
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [d for i, pair in enumerate(zip(expected, got)) for d in differences(*pair, f"{where}/{i}")]
    return [] if expected == got else [f"{where} is {got!r}, not {expected!r}"]


def _answers(model: Path, level: str, threads: int, pictures: Sequence[str]) -> Step:
    return {"do": "answers", "model": str(model), "level": level, "threads": threads, "pictures": list(pictures)}
