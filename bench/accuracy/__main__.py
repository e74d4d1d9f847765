"""python -m bench.accuracy --files FOLDER --data FOLDER [--split test|val] [--out FOLDER] [--fill docs/accuracy.md]

Every exported file (four models, int8 and float32, .evqa, .onnx and .tflite) answers all questions of a split in its
own runtime, and is held against full-precision PyTorch: accuracy, loss, equal answers, layer by layer.
docs/accuracy.md says what is measured. The last line is

    worst_int8_loss=POINTS worst_agreement=PERCENT engines_agree=PERCENT
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_vqa.errors import DataError, EdgeVQAError

from .matrix import ENGINES

ROOT = Path(__file__).parents[2]
PLOT = "accuracy-layers.png"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 1 when something could not be measured; 2 (by argparse) on wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return _measure(options)
    except ImportError as error:
        print(f"error: {error} (pip install '.[export]' installs what is needed)", file=sys.stderr)
    except (EdgeVQAError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description="Accuracy of every exported file.")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="holds SPLIT.csv and the pictures")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="the exported files (default: made by export.all)")
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for results, outside this project")
    parser.add_argument("--fill", type=Path, metavar="FILE", help="put the tables into this document's marked block")
    parser.add_argument("--models", metavar="A,B", type=_list, help="only these (default: all that are released)")
    parser.add_argument("--formats", metavar="A,B", type=_list, default=tuple(ENGINES), help="of evqa,onnx,tflite")
    parser.add_argument("--questions", type=int, metavar="N", help="a sample of N questions, for a quick trial")
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "export" / "released", metavar="FOLDER", help="the trained networks"
    )
    return parser


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _measure(options: argparse.Namespace) -> int:
    from export.all import released_models

    from . import plots  # noqa: F401  (what is missing shows now, not after all measuring)
    from .session import Plan, last_line, measure

    formats = options.formats
    if not formats or any(format_ not in ENGINES for format_ in formats):
        raise DataError(f"--formats {','.join(formats)}: known are {','.join(ENGINES)}")
    if options.questions is not None and options.questions < 1:
        raise DataError("--questions must be 1 or more")
    if options.fill:
        _check_document(options.fill)
    out = _results_folder(options.out)
    models = options.models or tuple(released_models())
    plan = Plan(
        files=options.files or _make_files(options.data, out / "files", models), runs=options.runs, data=options.data,
        split=options.split, models=models, formats=formats, questions=options.questions, out=out,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    result = measure(plan)
    print(_write(result, plan.data, out, options.fill))
    for problem in result["problems"]:
        print(f"error: {problem}", file=sys.stderr)
    print(f"results: {out}")
    print(last_line(result["worst"]))
    return 1 if result["problems"] else 0


def _check_document(document: Path) -> None:
    """Raises DataError when there is no block to fill, which would else show after all measuring."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    if "<!-- accuracy -->" not in text or "<!-- /accuracy -->" not in text:
        raise DataError(f"{document}: has no block between <!-- accuracy --> and <!-- /accuracy -->")


def _results_folder(named: Path | None) -> Path:
    """The folder, made; a new temporary one without a name. Raises DataError for one within the project.

    The sheets show photographs, which are not the project's to hand on.
    """
    if named is None:
        return Path(tempfile.mkdtemp(prefix="edge_vqa-accuracy-"))
    if named.resolve().is_relative_to(ROOT):
        raise DataError(f"{named}: lies within the project; the results hold photographs, give a folder outside it")
    named.mkdir(parents=True, exist_ok=True)
    return named


def _make_files(data: Path, folder: Path, models: tuple[str, ...]) -> Path:
    from export.all import export_all

    export_all(str(data), folder, list(models))
    return folder


def _write(result: dict[str, Any], data: Path, out: Path, document: Path | None) -> str:
    """Write all of it; returns the Markdown."""
    from export.data import load_dataset

    from ..peers.report import fill_block
    from .plots import draw_layers, draw_sheet
    from .report import as_markdown, differences_list

    (out / "accuracy.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    text = as_markdown(result, PLOT)
    (out / "accuracy.md").write_text(text + "\n", encoding="utf-8")
    (out / "differences.md").write_text(differences_list(result), encoding="utf-8")
    draw_layers(result["models"], out / PLOT)
    for sheet in out.glob("differences-*.png"):
        sheet.unlink()
    paths = load_dataset(data).image_paths
    for name, model in result["models"].items():
        for key in model["files"]:
            title = f"{name}, {key}: other answers than PyTorch, surest first"
            sheet = out / f"differences-{name}-{key.replace(' ', '-')}.png"
            draw_sheet(model["differences"], key, paths, sheet, title)
    if document:
        fill_block(document, "accuracy", text)
        if (out / PLOT).is_file():
            shutil.copyfile(out / PLOT, document.parent / PLOT)
    return text


if __name__ == "__main__":
    sys.exit(main())
