"""Whether exported files are sound by the judgement of their formats' own tools."""

from __future__ import annotations

from pathlib import Path

from .matrix import Exported


def check_onnx(path: Path) -> None:
    """onnx.checker with shape inference. Raises its errors."""
    import onnx

    onnx.checker.check_model(path, full_check=True)


def check_tflite(path: Path) -> None:
    """The structure of the flatbuffer, every offset and every tensor's size. Raises ModelError."""
    from export.to_tflite import verify

    verify(path)


CHECKS = {"onnx": check_onnx, "tflite": check_tflite}


def check(file: Exported) -> list[tuple[str, str]]:
    """For the file and its halves: name and what is wrong with it, "" where nothing is. None for .evqa."""
    if file.format not in CHECKS:
        return []
    found = []
    for path in file.paths:
        try:
            CHECKS[file.format](path)
            found.append((path.name, ""))
        except Exception as error:  # protobuf, onnx and the verifier share no base class but Exception
            found.append((path.name, " ".join(str(error).split()) or type(error).__name__))
    return found
