"""python -m export.report writes the figures of export/released/*/test.json into README.md and the model cards.

Text between <!-- NAME --> and <!-- /NAME --> is replaced; nothing else is touched. --check changes nothing and fails
when the text is not what the figures say.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from edge_vqa.model_file import BUNDLED, DEFAULT, EVQA, load_model

from .model_card import KINDS, model_card
from .models import NAMES
from .release import RELEASED

ROOT = Path(__file__).parents[1]
REPORT = {
    "mobilenetv2-lstm-attention": (0.8317, 0.4503),
    "mobilenetv2-lstm": (0.8288, 0.4682),
    "cnn-lstm-attention": (0.8032, 0.5589),
    "cnn-lstm": (0.7703, 0.6600),
}
"""Accuracy and loss of the report that the four models come from, on its own dish set and four topics."""
TINY = "tiny"


def load_results() -> dict[str, dict[str, Any]]:
    """MODEL -> {val: ..., test: ..., heads: ...}, for the models that are released."""
    results: dict[str, dict[str, Any]] = {}
    for name in (*NAMES, TINY):
        files = {part: RELEASED / name / f"{part}.json" for part in ("val", "test", "heads")}
        found = {part: json.loads(f.read_text(encoding="utf-8")) for part, f in files.items() if f.is_file()}
        if "test" in found:
            results[name] = found
    return results


def results_table(results: dict[str, dict[str, Any]]) -> str:
    """The four models on test, beside the report's rows."""
    lines = [
        "| model | accuracy | loss | its four topics | int8 accuracy | int8 file | three heads, mean ± deviation | report: accuracy | report: loss |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, parts in results.items():
        r, f = parts["test"], parts["test"]["model_file"]
        spread = parts.get("heads", {}).get("test")
        chance = f"{spread['mean']:.4f} ± {spread['deviation']:.4f}" if spread else ""
        reported = " | ".join(f"{figure:.4f}" for figure in REPORT[name]) if name in REPORT else " | "
        lines.append(
            f"| `{name}` | {r['accuracy']:.4f} | {r['loss']:.4f} | {r['accuracy_report_kinds']:.4f} | {f['accuracy']:.4f} "
            f"| {f['file_bytes'] / 1e6:.2f} MB | {chance} | {reported} |"
        )
    return "\n".join(lines)


def kinds_table(r: dict[str, Any]) -> str:
    """Accuracy by kind of question, most asked first."""
    order = sorted(r["questions_by_kind"], key=lambda k: -r["questions_by_kind"][k])
    rows = [f"| {KINDS.get(k, k)} | {r['questions_by_kind'][k]} | {r['accuracy_by_kind'][k]:.3f} |" for k in order]
    return "\n".join(["| question | on test | accuracy |", "|---|---|---|", *rows])


def facts(r: dict[str, Any]) -> str:
    """What else was measured of the shipped model, a line each."""
    typed, pointing, file = r["accuracy_as_typed"], r["pointing_game"], r["model_file"]
    bundled = BUNDLED / f"{DEFAULT}{EVQA}"
    return "\n".join([
        f"- Without looking: the commonest answer is right in {r['baselines']['majority']:.1%}, the commonest answer to the question's text in {r['baselines']['question_only']:.1%}.",
        f"- Typed without accents {typed['without_accents']:.4f}, decomposed (NFD) {typed['nfd']:.4f}, upper case {typed['upper_case']:.4f}, with stray punctuation {typed['punctuated']:.4f}; asked in other words {r['accuracy_rephrased']:.4f}, in words that training never heard {r['accuracy_rephrased_unheard']:.4f}.",
        f"- int8 changes the accuracy by {-file['points_lost']:+.2f} points; the same answer as full precision in {file['agreement']:.1%}.",
        f"- Called unanswerable: {r['refused']['wrongly']:.2%} of the test questions (wrongly), {r['refused']['rightly']:.0%} of {r['refused']['held_out_questions']} held-out questions about other subjects (rightly).",
        f"- Calibration error {r['calibration_error']:.3f} (15 bins, softmax temperature {r['temperature']:.3f} chosen on val).",
        f"- Pointing game: the attention's peak lies on the thing asked about in {pointing['accuracy']:.1%} of {pointing['questions']} questions (chance {pointing['chance']:.1%}).",
        f"- Model file {bundled.stat().st_size / 1e6:.2f} MB, {load_model(bundled).side} x {load_model(bundled).side} pixels, {len(load_model(bundled).answers)} answers.",
    ])  # fmt: skip


def model_cards() -> dict[Path, str]:
    """The card of every released model, by the file it lives in."""
    cards = {}
    for run in sorted(RELEASED.glob("*/run.json")):
        test = run.with_name("test.json")
        figures = json.loads(test.read_text(encoding="utf-8")) if test.is_file() else None
        about = json.loads(run.read_text(encoding="utf-8"))
        cards[run.with_name("MODEL_CARD.md")] = model_card(run.parent.name, about, figures)
    return cards


def fill(text: str, parts: dict[str, str]) -> str:
    """Replace what stands between the markers of each part that the text has."""
    for name, content in parts.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda m, c=content: f"{m.group(1)}{c}\n{m.group(2)}", text)  # type: ignore[misc]
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.report", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 when a file is out of date")
    options = parser.parse_args(arguments)
    results = load_results()
    if DEFAULT not in results:
        print(f"error: {RELEASED / DEFAULT}: no test.json", file=sys.stderr)
        return 1
    shipped = results[DEFAULT]["test"]
    parts = {"results": results_table(results), "kinds": kinds_table(shipped), "facts": facts(shipped)}
    stale = []
    filled = [ROOT / "README.md", BUNDLED / "MODEL_CARD.md"]
    texts = {file: fill(file.read_text(encoding="utf-8"), parts) for file in filled} | model_cards()
    for file, new in texts.items():
        if not file.is_file() or new != file.read_text(encoding="utf-8"):
            stale.append(file.name)
            if not options.check:
                file.write_text(new, encoding="utf-8")
    print(f"out of date: {', '.join(stale)}" if stale else "up to date")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
