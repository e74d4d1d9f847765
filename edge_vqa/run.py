"""python -m edge_vqa.run --image x.jpg --q "món này là món gì" prints the answer.

Exit codes: 0 every question was answered; 1 a picture or question could not be used (the others were answered);
2 wrong usage; 3 the model or engine could not be used, or a result could not be written; 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .errors import EdgeVQAError, ImageError, ModelError, QuestionError
from .vqa import VQA, Answer

if TYPE_CHECKING:
    from .image import ImageLike

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
"""Endings by which pictures are found in a folder; a picture named on the command line may have any."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Answers are Vietnamese whatever the locale; file names that are not UTF-8 come out as they went in.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    warnings.simplefilter("ignore")  # what Pillow remarks on while it reads a picture helps no one here
    options = _parser().parse_args(arguments)
    if options.image.count("-") > 1 or ("-" in options.image and "-" in options.q):
        return _complain("standard input can be read only once: give - for one picture or for the questions", 2)
    try:
        questions = _questions(options.q)
        vqa = _open(options)
        if options.heatmap and not vqa.model.attention:
            raise ModelError(f"{vqa.model.name} has no attention, so there is no heatmap to draw")
        return _answer_all(vqa, options, questions)
    except QuestionError as error:
        return _complain(str(error), 1)
    except BrokenPipeError:
        # The reader of our output has gone (head, say). Point stdout elsewhere so that Python's own flush stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (EdgeVQAError, OSError) as error:
        return _complain(str(error), 3)
    except KeyboardInterrupt:
        return 130


def command() -> None:
    """A process's whole life: main, without what takes a sixth of the time that one answer takes.

    Nothing that is loaded at the start is garbage, and nobody needs the interpreter taken apart at the end.
    """
    gc.disable()
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
    os._exit(code)


class _Opening(threading.Thread):
    """Opens the model. The native engine checks and unpacks it without the GIL, so Pillow can be loaded meanwhile."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self.options = options
        self.opened: VQA | BaseException | None = None

    def run(self) -> None:
        try:
            self.opened = VQA(self.options.model, self.options.engine, self.options.threads)
        except BaseException as error:
            self.opened = error


def _open(options: argparse.Namespace) -> VQA:
    opening = _Opening(options)
    opening.start()
    if options.heatmap or not all(name.lower().endswith((".jpg", ".jpeg")) for name in options.image):
        from PIL import JpegImagePlugin  # noqa: F401  (what else there is goes through Pillow)

    opening.join()
    gc.freeze()
    gc.enable()
    if not isinstance(opening.opened, VQA):
        assert opening.opened is not None
        raise opening.opened
    return opening.opened


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edge_vqa.run",
        description="Answer questions in Vietnamese about pictures of dishes.",
        # A width of its own: to ask the terminal for it, argparse would load shutil and what shutil loads.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
        epilog="Exit codes: 0 all answered; 1 a picture or question could not be used; 2 wrong usage; "
        "3 the model or engine could not be used, or a result could not be written; 130 interrupted.",
    )
    parser.add_argument(
        "--image",
        nargs="+",
        action="extend",
        required=True,
        metavar="FILE",
        help="pictures or folders; - reads one picture from standard input",
    )
    parser.add_argument(
        "--q",
        nargs="+",
        action="extend",
        required=True,
        metavar="QUESTION",
        help="one or more questions; - reads one a line from standard input",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object an answer, a line each")
    parser.add_argument("--top", type=_positive, default=None, metavar="N", help="show the N most probable answers")
    parser.add_argument(
        "--heatmap",
        metavar="OUT.png",
        help="save the picture with what the model looked at (several answers: OUT-1.png, OUT-2.png, ...)",
    )
    parser.add_argument("--model", help="a model file (.evqa, .onnx, .tflite) or the name of a bundled model")
    parser.add_argument(
        "--engine", help="native, onnx, tflite or reference (default: the first that is there and runs the model)"
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="default: at most 4")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _questions(given: list[str]) -> list[str]:
    # Under a locale that is not UTF-8, Python hides the bytes of a question's accents in surrogates.
    given = [q.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for q in given]
    if "-" in given:
        data = sys.stdin.buffer.read()
        try:
            lines = data.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise QuestionError(f"standard input is not UTF-8: {error}") from error
        at = given.index("-")
        given = given[:at] + [line for line in lines if line.strip()] + given[at + 1 :]
    if not given:
        raise QuestionError("no question was given")
    return given


def _pictures(given: list[str]) -> Iterator[tuple[str, ImageLike | ImageError]]:
    """Name and source of every picture asked about; folders are read in order of file name."""
    for name in given:
        if name == "-":
            yield "-", sys.stdin.buffer.read()
            continue
        if not os.path.isdir(name):
            yield name, name
            continue
        try:
            inside = sorted(f for f in os.listdir(name) if os.path.splitext(f)[1].lower() in PICTURES)
        except OSError as error:
            yield name, ImageError(f"{name}: {error.strerror or error}")
            continue
        found = [path for path in (os.path.join(name, f) for f in inside) if os.path.isfile(path)]
        if not found:
            yield name, ImageError(f"{name}: no pictures in this folder")
        yield from ((path, path) for path in found)


def _answer_all(vqa: VQA, options: argparse.Namespace, questions: list[str]) -> int:
    code, drawn = 0, 0
    pictures = list(_pictures(options.image))
    several = len(pictures) > 1 or len(questions) > 1
    for name, source in pictures:
        try:
            if isinstance(source, ImageError):
                raise source
            scene = vqa.look(source)
        except ImageError as error:
            code = _complain(str(error), 1)
            continue
        for question in questions:
            try:
                answer = scene.ask(question, options.top or 3)
            except QuestionError as error:
                code = _complain(str(error), 1)
                continue
            print(
                _as_json(vqa, name, answer) if options.json else _as_text(name, answer, several, options.top),
                flush=True,
            )
            if options.heatmap:
                drawn += 1
                _save_heatmap(options.heatmap, drawn if several else None, source, answer)
    return code


def _as_text(name: str, answer: Answer, several: bool, top: int | None) -> str:
    text = answer.text
    if not answer.understood:
        words = f" (từ lạ: {', '.join(answer.unknown_words)})" if answer.unknown_words else ""
        text = f"không hiểu câu hỏi{words}; đoán: {text}"
    if several:
        text = f"{name}: {answer.question} → {text}"
    if top:
        ranked = ((answer.text, answer.confidence), *answer.alternatives)
        text = "\n".join(
            [*([text] if several or not answer.understood else []), *(f"{p:6.1%}  {t}" for t, p in ranked)]
        )
    return text


def _as_json(vqa: VQA, name: str, answer: Answer) -> str:
    import json

    record: dict[str, Any] = {
        "image": name,
        "question": answer.question,
        "answer": answer.text,
        "confidence": round(answer.confidence, 4),
        "alternatives": [{"answer": t, "confidence": round(p, 4)} for t, p in answer.alternatives],
        "understood": answer.understood,
        "unknown_words": list(answer.unknown_words),
        "timings_ms": {k: round(v, 3) for k, v in answer.timings.items()},
        "model": vqa.model.name,
        "engine": vqa.engine.name,
    }
    return json.dumps(record, ensure_ascii=False)


def _save_heatmap(out: str, number: int | None, source: ImageLike, answer: Answer) -> None:
    from .heatmap import draw_heatmap
    from .image import load_image

    picture = draw_heatmap(load_image(source, 640), answer.attention)
    try:
        if number is not None:
            stem, suffix = os.path.splitext(out)
            out = f"{stem}-{number}{suffix}"
        picture.save(out)
    except (OSError, ValueError) as error:
        raise OSError(f"{out}: cannot save the heatmap ({error})") from error


def _complain(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    command()
