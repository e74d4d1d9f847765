"""Answers as JSON lines, and the file of them that a run which was cut short goes on with.

A line is one answer, or one picture that could not be used:

    {"image": "a.jpg", "question": "món này là món gì", "answer": "cà rốt", "confidence": 0.97, ..., "model": ...}
    {"image": "b.jpg", "error": "b.jpg: not a picture that can be read", "model": ...}
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Sequence
from typing import Any, BinaryIO

from .errors import EdgeVQAError
from .model_file import ModelFile
from .vqa import VQA, Answer

_LONGEST = 1 << 20
"""Bytes of a line; a longer one is not ours."""
_START = b'{"image": "'


class Records:
    """Answers and errors of one model as JSON text."""

    def __init__(self, vqa: VQA, **more: str) -> None:
        """`more`: what every record says beside the names of the model and the engine."""
        self._by = {"model": vqa.model.name, "engine": vqa.engine.name, **more}

    def answered(self, name: str, answer: Answer) -> str:
        """One answer about the picture called `name`."""
        return _text({
            "image": name,
            "question": answer.question,
            "answer": answer.text,
            "confidence": round(answer.confidence, 4),
            "alternatives": [{"answer": t, "confidence": round(p, 4)} for t, p in answer.alternatives],
            "understood": answer.understood,
            "unknown_words": list(answer.unknown_words),
            "timings_ms": {k: round(v, 3) for k, v in answer.timings.items()},
            **self._by,
        })  # fmt: skip

    def failed(self, name: str, error: Exception) -> str:
        """A picture that could not be used."""
        return _text({"image": name, "error": str(error), **self._by})


def _text(record: dict[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # A file name that is not UTF-8: JSON's escapes carry what Python hides its bytes in (os.fsencode undoes it).
        return json.dumps(record)
    return text


def fingerprint(model: ModelFile) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the model's file, or files one after the other."""
    import hashlib

    digest = hashlib.sha256()
    for _, path in sorted(model.files.items()):
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


class AnswerFile:
    """A file of records that grows by whole lines; knows which questions about which pictures it already answers.

    Reading it takes memory for the name of each picture in it, under 200 bytes.
    """

    def __init__(self, path: str, vqa: VQA, questions: Sequence[str], restart: bool = False) -> None:
        """Open or make the file. `restart` empties it; else a last line that was cut off is taken away.

        Raises OSError when it cannot be read and written or another process writes it, EdgeVQAError when it holds
        anything but the answers of this very model.
        """
        self._path, self._questions = path, tuple(dict.fromkeys(questions))
        self._model = fingerprint(vqa.model)
        self._records = Records(vqa, model_sha256=self._model)
        self._answered: dict[str, int] = {}  # name -> bit i is set: the question i is answered
        self._errors: dict[str, str] = {}
        try:
            self._file = _open_alone(path)
            if restart:
                self._empty()
            self._file.truncate(self._read())
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise OSError(f"{path}: cannot be written ({error.strerror or error})") from error

    def missing(self, name: str) -> tuple[str, ...]:
        """Those of the questions, each once, that are not answered about this picture; all where it failed."""
        answered = self._answered.get(name, 0)
        return tuple(q for i, q in enumerate(self._questions) if not answered >> i & 1) if answered else self._questions

    def add_answer(self, name: str, answer: Answer) -> None:
        """Raises OSError; so does add_error."""
        self._add(self._records.answered(name, answer))

    def add_error(self, name: str, error: Exception) -> None:
        """Nothing is added where the file says so already."""
        if self._errors.get(name) != str(error):
            self._errors[name] = str(error)
            self._add(self._records.failed(name, error))

    def close(self) -> None:
        """Every record is in the file already; this lets others write it."""
        self._file.close()

    def _add(self, record: str) -> None:
        try:
            self._file.write(record.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise OSError(f"{self._path}: cannot be written ({error.strerror or error})") from error

    def _empty(self) -> None:
        """Raises EdgeVQAError where it is no file of answers: a photograph, say, given by mistake."""
        line = self._file.readline(_LONGEST)
        if not line.startswith(_START) and not _START.startswith(line):
            raise EdgeVQAError(f"{self._path}: is not a file of answers, so it is not emptied; give another --out")
        self._file.seek(0)
        self._file.truncate(0)

    def _read(self) -> int:
        """Bytes of whole lines in the file. Raises EdgeVQAError."""
        end, number = 0, 0
        while line := self._file.readline(_LONGEST):
            number += 1
            ended = line.endswith(b"\n") or len(line) == _LONGEST
            if not ended and _is_cut_off(line, end):
                break
            self._note(line, number)
            end += len(line)
            if not ended:  # only the line's end was not written
                end += self._file.write(b"\n")
        return end

    def _note(self, line: bytes, number: int) -> None:
        try:
            record = json.loads(line)
            name, model = str(record["image"]), record["model_sha256"]
            question = None if "error" in record else record["question"]
        except (ValueError, TypeError, KeyError, RecursionError):
            remedy = "give another --out" + (", or --restart to empty this one" if number > 1 else "")
            raise EdgeVQAError(f"{self._path}: line {number} is not an answer of this command; {remedy}") from None
        if model != self._model:
            raise EdgeVQAError(
                f"{self._path}: line {number} was answered by another model ({record.get('model')}, {model}; this one "
                f"is {self._model}); give another --out, or --restart to empty this one"
            )
        if question is None:
            self._errors[name] = str(record["error"])
        elif question in self._questions:
            self._answered[name] = self._answered.get(name, 0) | 1 << self._questions.index(question)


def _is_cut_off(line: bytes, before: int) -> bool:
    """Whether this last line only begins a record; after a power cut, zeros may stand for what was not saved."""
    try:
        json.loads(line)
        return False  # a whole one, ours or not
    except (ValueError, RecursionError):
        pass
    written = line.rstrip(b"\0")
    return written.startswith(_START) or (_START.startswith(written) and (bool(written) or before > 0))


def _open_alone(path: str) -> BinaryIO:
    """The file for reading and writing, made if need be. Raises OSError, also when another process has it."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise OSError(errno.EINVAL, "not a file that can be gone on with")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        pass
    except BlockingIOError:
        raise OSError(errno.EAGAIN, "another run is writing it") from None
    except OSError:  # a file system without locks
        pass
    return file
