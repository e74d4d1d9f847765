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
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from .errors import EdgeVQAError, ImageError, ModelError, QuestionError
from .vqa import VQA, Answer

if TYPE_CHECKING:
    from .answer_file import AnswerFile, Records
    from .image import ImageLike
    from .progress import Progress

    _Outcome = tuple[str, ImageLike | ImageError, Iterable[Answer] | ImageError]
    """Name and source of a picture, and what came of it."""

FEW = 8
"""Up to so many pictures are answered one after the other, each by all threads: no worker has to be started."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Answers are Vietnamese whatever the locale; file names that are not UTF-8 come out as they went in.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    warnings.simplefilter("ignore")  # what Pillow remarks on while it reads a picture helps no one here
    options = _parser().parse_args(arguments)
    mistake = _mistake(options)
    if mistake:
        return _complain(mistake, 2)
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
    parser.add_argument("--recursive", action="store_true", help="look for pictures in sub-folders, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object an answer, a line each")
    parser.add_argument(
        "--out",
        type=_file_name,
        metavar="FILE.jsonl",
        help="write those lines to a file instead; what it already answers is not asked again, so that a run which "
        "was cut short goes on where it stopped",
    )
    parser.add_argument("--restart", action="store_true", help="empty --out first")
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
    parser.add_argument("--threads", type=_positive, metavar="N", help="threads for one picture (default: at most 4)")
    parser.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help=f"pictures at the same time (default: with more than {FEW} pictures and no --threads, one for each "
        "processor, with one thread; else 1)",
    )
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help=f"show how far it is (default: on a terminal, with more than {FEW} pictures)",
    )
    return parser


def _mistake(options: argparse.Namespace) -> str | None:
    """What is wrong with options that do not go together."""
    if options.image.count("-") > 1 or ("-" in options.image and "-" in options.q):
        return "standard input can be read only once: give - for one picture or for the questions"
    if options.out and "-" in options.image:
        return "--out tells pictures apart by their names, and a picture from standard input has none"
    if options.out and options.heatmap:
        return "--out and --heatmap do not go together: a run that goes on would number the pictures anew"
    if options.restart and not options.out:
        return "--restart empties --out, which is not given"
    return None


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError("must be 1 to 1024")
    return int(text)


def _file_name(text: str) -> str:
    if text in ("", "-"):
        raise argparse.ArgumentTypeError("must be the name of a file")
    return text


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


def _pictures(given: list[str], recursive: bool) -> Iterator[tuple[str, ImageLike | ImageError]]:
    """Name and source of every picture asked about; folders are read when it is their turn."""
    for name in given:
        if name == "-":
            yield "-", sys.stdin.buffer.read()
        elif os.path.isdir(name):
            from .bulk import find_pictures

            yield from find_pictures(name, recursive)
        else:
            yield name, name


def _count(given: list[str], recursive: bool) -> int:
    from .bulk import find_pictures

    return sum(sum(1 for _ in find_pictures(name, recursive)) if os.path.isdir(name) else 1 for name in given)


def _answer_all(vqa: VQA, options: argparse.Namespace, questions: list[str]) -> int:
    found = _pictures(options.image, options.recursive)
    first = list(islice(found, FEW + 1))
    pictures, many = chain(first, found), len(first) > FEW
    usable = [question for question in questions if _is_usable(vqa, question)]
    if not usable:
        return 1
    output = _Output(vqa, options, usable, several=len(first) > 1 or len(questions) > 1)
    if len(usable) < len(questions):
        output.code = 1
    if many if options.progress is None else options.progress:
        output.show_progress()
    try:
        if many or options.out or options.jobs:
            output.take(_many(vqa, options, pictures, output, many))
        else:
            output.take(_one_by_one(vqa, pictures, usable, options.top or 3))
    finally:
        output.close()
    return output.code


def _is_usable(vqa: VQA, question: str) -> bool:
    try:
        vqa.model.vocabulary.encode(question)
    except QuestionError as error:
        _complain(str(error), 1)
        return False
    return True


def _one_by_one(
    vqa: VQA, pictures: Iterable[tuple[str, ImageLike | ImageError]], questions: Sequence[str], top: int
) -> Iterator[_Outcome]:
    """Each answer is there before the next question is asked."""
    for name, source in pictures:
        try:
            if isinstance(source, ImageError):
                raise source
            scene = vqa.look(source)
        except ImageError as error:
            yield name, source, error
        else:
            yield name, source, (scene.ask(question, top) for question in questions)


def _many(
    vqa: VQA, options: argparse.Namespace, pictures: Iterable[tuple[str, ImageLike | ImageError]], output: _Output,
    many: bool,
) -> Iterator[_Outcome]:  # fmt: skip
    """Several pictures at the same time, without those that need no answer any more."""
    from .bulk import Task, answer_tasks
    from .engines import usable_processors

    def tasks() -> Iterator[Task]:
        for name, source in pictures:
            questions = output.missing(name)
            if questions:
                yield Task(name, source, questions)

    jobs = options.jobs or (usable_processors() if many and not options.threads else 1)
    for task, result in answer_tasks(vqa, tasks(), jobs, options.threads or 1, options.top or 3):
        yield task.name, task.source, result


class _Output:
    """Where answers and complaints go: standard output or --out, heatmaps, standard error."""

    def __init__(self, vqa: VQA, options: argparse.Namespace, questions: Sequence[str], several: bool) -> None:
        self.code = 0
        self._options, self._questions, self._several, self._drawn = options, questions, several, 0
        self._progress: Progress | None = None
        self._file: AnswerFile | None = None
        self._records: Records | None = None
        if options.out:
            from .answer_file import AnswerFile

            self._file = AnswerFile(options.out, vqa, questions, options.restart)
        elif options.json:
            from .answer_file import Records

            self._records = Records(vqa)

    def show_progress(self) -> None:
        """Where standard error is a terminal, or --progress says so."""
        if self._options.progress or sys.stderr.isatty():
            from .progress import Progress

            self._progress = Progress(sys.stderr, lambda: _count(self._options.image, self._options.recursive))

    def missing(self, name: str) -> Sequence[str]:
        """The questions that are still to be asked about this picture; where there are none it is counted as done."""
        questions = self._file.missing(name) if self._file else self._questions
        if not questions and self._progress:
            self._progress.skip()
        return questions

    def take(self, outcomes: Iterable[_Outcome]) -> None:
        """Write everything down as it comes. Raises OSError."""
        for name, source, result in outcomes:
            failed = isinstance(result, ImageError)
            if isinstance(result, ImageError):
                self._clear()
                self.code = _complain(str(result), 1)
                if self._file:
                    self._file.add_error(name, result)
            else:
                for answer in result:
                    self._take_answer(name, source, answer)
            if self._progress:
                self._progress.step(failed)

    def _take_answer(self, name: str, source: ImageLike | ImageError, answer: Answer) -> None:
        if self._file:
            self._file.add_answer(name, answer)
            return
        self._clear()
        if self._records:
            print(self._records.answered(name, answer), flush=True)
        else:
            print(_as_text(name, answer, self._several, self._options.top), flush=True)
        if self._options.heatmap and not isinstance(source, ImageError):
            self._drawn += 1
            _save_heatmap(self._options.heatmap, self._drawn if self._several else None, source, answer)

    def _clear(self) -> None:
        if self._progress:
            self._progress.clear()

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._progress:
            self._progress.close()


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
