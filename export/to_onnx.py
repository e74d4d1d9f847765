"""python -m export.to_onnx --model FILE.evqa [--out FOLDER]
python -m export.to_onnx --run runs/NAME --data FOLDER [--precision int8|float32] [--out FOLDER]

Writes a model as ONNX: FILE.onnx (whole), FILE.encoder.onnx and FILE.head.onnx. docs/formats.md says what is in them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge_vqa.engines.onnx_graph import onnx_model
from edge_vqa.errors import ModelError
from edge_vqa.evqa_tensors import load_tensors
from edge_vqa.model_file import EVQA, ONNX, PARTS, part_name

from .graph_command import run_command


def write_onnx(evqa: Path, folder: Path) -> list[Path]:
    """Write the three files of an .evqa model, each whole or not at all and passed by ONNX's own checker.

    Raises ModelError when the .evqa file is damaged, OSError when a file cannot be written, ImportError without onnx.
    """
    import onnx

    model = load_tensors(evqa)
    folder.mkdir(parents=True, exist_ok=True)
    name = evqa.name.removesuffix(EVQA)
    written = []
    for part in PARTS:
        path = folder / part_name(name, part, ONNX)
        content = onnx_model(model, part)
        try:
            onnx.checker.check_model(content, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ModelError(f"{path}: the checker refuses the graph ({error})") from error
        scratch = path.with_name(path.name + ".part")
        scratch.write_bytes(content)
        scratch.replace(path)
        written.append(path)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command("export.to_onnx", "ONNX", write_onnx, arguments)


if __name__ == "__main__":
    sys.exit(main())
