"""A result on disk: JSON, of a schema that is checked when it is read again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ..errors import EdgeVQAError

SCHEMA, VERSION = "edge_vqa.bench", 1
_MOST_BYTES = 1_000_000
_ROW = {"key": str, "label": str, "unit": str, "median": float, "p5": float, "p95": float, "runs": int}
_TOP = {
    "setup": dict, "machine": dict, "sensors": dict, "measurements": list, "warnings": list, "failed": dict,
    "left_out": dict, "date": str,
}  # fmt: skip


class ResultError(EdgeVQAError):
    """A result file cannot be used; the message names it and says why."""


def save(result: Mapping[str, Any], path: str) -> None:
    """One line a measurement. Single times are left out of a file that would have over a megabyte. Raises OSError."""
    text = _as_json(result)
    if len(text) > _MOST_BYTES:
        rows = [{k: v for k, v in row.items() if k != "times"} for row in result["measurements"]]
        text = _as_json({**result, "measurements": rows, "times_left_out": True})
    path = os.path.realpath(path)
    plain = os.path.isfile(path) or not os.path.exists(path)
    unfinished = path + ".part" if plain else path  # not plain: a pipe, a terminal
    # An error's message may name a file whose name is not UTF-8.
    with open(unfinished, "w", encoding="utf-8", errors="replace") as stream:
        stream.write(text)
    if plain:
        os.replace(unfinished, path)


def _as_json(result: Mapping[str, Any]) -> str:
    def dumps(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    fields = []
    for name, value in result.items():
        text = "[\n  " + ",\n  ".join(map(dumps, value)) + "\n ]" if isinstance(value, list) and value else dumps(value)
        fields.append(f" {dumps(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def check_writable(path: str) -> None:
    """Raises OSError now rather than after minutes of measuring."""
    path = os.path.realpath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path}: is a folder; --json needs a file")
    if os.path.isfile(path) or not os.path.exists(path):
        try:
            with open(path + ".part", "w", encoding="utf-8"):
                pass
        except OSError as error:
            raise OSError(f"{path}: cannot be written ({error.strerror or error})") from error
        os.remove(path + ".part")


def load(path: str) -> dict[str, Any]:
    """Raises ResultError when it is not a complete result of this schema, OSError when it cannot be read."""
    with open(path, encoding="utf-8") as stream:
        try:
            result = json.load(stream)
        except (ValueError, RecursionError) as error:
            raise ResultError(f"{path}: damaged, or not JSON ({error})") from error
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise ResultError(f"{path}: not a result of python -m edge_vqa.bench")
    if result.get("schema_version") != VERSION:
        raise ResultError(
            f"{path}: has schema {result.get('schema_version')}, this release of edge_vqa reads {VERSION}; "
            "use the release that wrote it, or measure anew"
        )
    for name, kind in _TOP.items():
        if not isinstance(result.get(name), kind):
            raise ResultError(f"{path}: damaged: {name} is missing or of another kind")
    for row in result["measurements"]:
        _check_row(path, row)
    return result


def _check_row(path: str, row: Any) -> None:
    for name, kind in _ROW.items():
        value = row.get(name) if isinstance(row, dict) else None
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            raise ResultError(f"{path}: damaged: a measurement's {name} is missing or of another kind")
