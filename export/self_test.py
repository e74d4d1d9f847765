"""python -m export.self_test writes what python -m edge_vqa.doctor expects of the bundled model.

The reference engine computes it: what the native engine is compared with does not come from the native engine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_vqa.doctor import KNOWN, ask_all
from edge_vqa.engines import open_engine
from edge_vqa.errors import EdgeVQAError
from edge_vqa.model_file import load_model


def main() -> int:
    try:
        model = load_model()
        digest = Path(model.path).read_bytes()[32:64].hex()
        answers = ask_all(model, open_engine("reference", model))
    except (EdgeVQAError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    known = {"model": model.name, "sha256": digest, "answers": answers}
    Path(KNOWN).write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{KNOWN}: {', '.join(a['answer'] for a in answers)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
