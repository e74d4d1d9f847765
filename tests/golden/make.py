"""Writes the answers that every engine must give to the last bit: `PYTHONPATH=.:tests python tests/golden/make.py`.

Run it only when docs/evqa-format.md or a model has changed on purpose, and say so in the commit.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import same_bits


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in same_bits.MODELS:
            path = same_bits.model_path(name, Path(folder))
            answers = same_bits.answers(same_bits.open_reference(path), path)
            file = same_bits.golden_path(name)
            file.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
            print(file)


if __name__ == "__main__":
    main()
