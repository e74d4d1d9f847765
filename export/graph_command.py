"""The command line that export.to_onnx and export.to_tflite have in common."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_vqa.errors import DataError
from edge_vqa.model_file import EVQA, PRECISIONS

from .command import ends_in_one_line


@ends_in_one_line
def run_command(
    prog: str, kind: str, write: Callable[[Path, Path], list[Path]], arguments: list[str] | None,
    own: Sequence[argparse.ArgumentParser] = (),
) -> int:  # fmt: skip
    """Parse, write the graphs, print what was written; returns the exit code.

    `write` takes an .evqa and a folder; `own` are parsers of options that the caller has already looked at.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {prog}",
        parents=own,
        description=f"Write a model as {kind} files (whole, encoder, head), from an .evqa file or a trained run.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, metavar=f"FILE{EVQA}")
    source.add_argument("--run", type=Path, help="run folder of export.train")
    parser.add_argument("--data", help="with --run: the data set it was trained on")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help="with --run")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: where the model or the run lies")
    options = parser.parse_args(arguments)
    logging.getLogger().setLevel(logging.ERROR)
    written = write(options.model, options.out or options.model.parent) if options.model else _from_run(options, write)
    for path in written:
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


def _from_run(options: argparse.Namespace, write: Callable[[Path, Path], list[Path]]) -> list[Path]:
    if not options.data:
        raise DataError("--run needs --data")
    # Graphs of an .evqa file need no PyTorch; these imports do.
    from .data import load_dataset
    from .run_folder import RunFolder
    from .to_evqa import export_evqa

    run, dataset = RunFolder(options.run), load_dataset(options.data)
    with tempfile.TemporaryDirectory() as scratch:
        evqa = Path(scratch) / f"{run.about()['shape']['name']}-{options.precision}{EVQA}"
        export_evqa(run, dataset, evqa, options.precision, {})
        return write(evqa, options.out or options.run)
