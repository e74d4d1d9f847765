"""What is asked of the engine inside the emulated machine, and outside for what to expect: python inside.py STEPS.json

STEPS.json is a list of {"do": name of a function below, its arguments}. Each result is printed as one line of JSON as
soon as it is there, so what kills the process lies in the step after the last line. Many steps share a process because
an emulated start of Python with NumPy takes seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import same_bits

from edge_vqa import doctor as doctor_
from edge_vqa import run
from edge_vqa.engines import native
from edge_vqa.errors import EngineError
from edge_vqa.image import picture_pixels
from edge_vqa.model_file import load_model


def levels() -> dict[str, Any]:
    """The levels that this processor runs, best first, and the one that is chosen; of an installed package."""
    library = native.load_library()
    assert not Path(run.__file__).is_relative_to(Path(__file__).parents[2]), "the checkout's package is tested"
    return {
        "levels": library.levels().decode().split(),
        "chosen": native.open_engine(load_model(None), 1).isa,
    }


def doctor() -> dict[str, Any]:
    """The exit code, the faults, and the self-test at every level."""
    code, out, _ = _captured(doctor_.main, ["--json"])
    found = json.loads(out)
    return {"code": code, "faults": found["faults"], "self_test": found["self_test"]}


def answers(model: str, level: str, threads: int, pictures: list[str]) -> dict[str, Any]:
    """Hashes of features, logits and attention; level "": of the reference, outside."""
    engine = f"native {level} {threads}" if level else "reference"
    return same_bits.answers(same_bits.ENGINES[engine](Path(model)), Path(model), pictures)


def refused(level: str) -> str:
    """What a user reads who forces a level that this processor lacks."""
    os.environ["EDGE_VQA_ISA"] = level
    try:
        native.open_engine(load_model(None), 1)
    except EngineError as error:
        return str(error).removeprefix(f"{load_model(None).path}: ")
    finally:
        del os.environ["EDGE_VQA_ISA"]
    return "opened all the same"


def command(arguments: list[str]) -> dict[str, Any]:
    """Exit code and output of python -m edge_vqa.run; of JSON lines without what differs by nature.

    Of errors without the words in brackets at the end, which are Pillow's and differ between its versions.
    """
    code, out, err = _captured(run.main, arguments)
    complaints = [re.sub(r" \(.*\)$", "", line) for line in err.splitlines()]
    return {"code": code, "out": [told(line) for line in out.splitlines()], "err": complaints}


def told(line: str) -> Any:
    """A line of the command: an answer in JSON without timings and engine, or the text."""
    if not line.startswith("{"):
        return line
    return {name: value for name, value in json.loads(line).items() if name not in ("timings_ms", "engine")}


def pixels(side: int) -> dict[str, str]:
    """SHA-256 of what NumPy arrays of all kinds become as the model's pixels."""
    rgb = np.frombuffer(same_bits.noise(203 * 310 * 3, 3), np.uint8).reshape(203, 310, 3)
    arrays = {
        "rgb": rgb, "grey": rgb[..., 0], "one channel": rgb[..., :1], "turned": rgb.transpose(1, 0, 2)[::-1],
        "small": rgb[:5, :7], "wide": rgb[:20], "high": rgb[:, :3], "fitting": np.resize(rgb, (side, side, 3)),
        "see-through": np.dstack([rgb, rgb[..., 1]]),
    }  # fmt: skip
    return {name: hashlib.sha256(picture_pixels(array, side)).hexdigest() for name, array in arrays.items()}


def jpegs(files: list[str], side: int) -> dict[str, str | None]:
    """SHA-256 of what the engine's own decoder makes of JPEGs; None: it leaves one to Pillow."""
    found = {file: native.jpeg_pixels(Path(file).read_bytes(), side) for file in files}
    return {file: pixels and hashlib.sha256(pixels).hexdigest() for file, pixels in found.items()}


STEPS = {step.__name__: step for step in (levels, doctor, answers, refused, command, pixels, jpegs)}


def _captured(main: Any, arguments: list[str]) -> tuple[Any, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse's
            code = end.code
    return code, out.getvalue(), err.getvalue()


def main() -> None:
    for step in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        result = STEPS[step.pop("do")](**step)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
