"""From a question as people type it to word ids. Training and serving both use this file.

The model's words are *accentless*: "món", "mon", "MÓN" and the decomposed form of "món" are one word. Vietnamese that
is typed without accents, which is the commonest way to type on a kiosk, therefore gives the same ids, and so the same
answer, as the carefully typed question; nothing has to guess the accents back. What accents would have told apart
("cá" fish, "cà" as in cà rốt carrot) is told apart by the words beside it, which the LSTM reads.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .errors import QuestionError

PAD, UNKNOWN = 0, 1
MAX_WORDS = 20
"""Words the model reads; later ones are dropped (the longest question of the data set has 12)."""

_MAX_CHARACTERS = 10_000

_SPELLINGS = {
    "ko": "khong", "kg": "khong", "kh": "khong", "k": "khong", "hok": "khong", "hem": "khong", "khum": "khong",
    "j": "gi", "gj": "gi", "z": "vay", "bn": "bao nhieu", "nhiu": "nhieu", "fai": "phai",
    "hinh": "anh", "my": "mi", "lon": "heo", "cari": "ca ri",
}  # fmt: skip
"""Ways of typing and regional words, both sides accentless, replaced word by word before the vocabulary is asked."""


def strip_accents(text: str) -> str:
    """Lower case without any Vietnamese mark: 'Mì Quảng' -> 'mi quang'. Any Unicode normalisation form may come in."""
    decomposed = unicodedata.normalize("NFKD", text).lower()
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return plain.replace("đ", "d")


def split_words(question: str) -> list[str]:
    """The accentless words of a question, punctuation dropped: 'Có tôm không?' -> ['co', 'tom', 'khong'].

    Raises QuestionError when `question` is not a string or is unreasonably long (over 10,000 characters).
    """
    if not isinstance(question, str):
        raise QuestionError(f"a question must be text, not {type(question).__name__}")
    if len(question) > _MAX_CHARACTERS:
        raise QuestionError(f"the question has {len(question)} characters; at most {_MAX_CHARACTERS} are read")
    plain = strip_accents(question)
    words = "".join(c if c.isalnum() else " " for c in plain).split()
    return [part for word in words for part in _SPELLINGS.get(word, word).split()]


class EncodedQuestion(NamedTuple):
    """A question as the model reads it."""

    words: tuple[str, ...]
    ids: tuple[int, ...]
    """One id a word, at most MAX_WORDS, never empty."""
    unknown: tuple[str, ...]
    """Words that the vocabulary lacks, after spelling repair."""

    @property
    def understood(self) -> bool:
        """False when half of the words or more are unknown. (The model itself judges the rest.)"""
        return len(self.unknown) * 2 < len(self.words)


class Vocabulary:
    """The words a model knows; id 0 is padding, id 1 any unknown word, words follow from id 2 in the given order."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(words)
        self._ids: Mapping[str, int] = {word: i + 2 for i, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            raise ValueError("the vocabulary holds a word twice")

    def __len__(self) -> int:
        return len(self.words) + 2

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def encode(self, question: str) -> EncodedQuestion:
        """Raises QuestionError when the question holds no word at all."""
        words = split_words(question)
        if not words:
            raise QuestionError("the question is empty")
        words = words[:MAX_WORDS]
        ids, unknown = [], []
        for word in words:
            known = word if word in self._ids else self._repair(word)
            if known is None:
                unknown.append(word)
            ids.append(UNKNOWN if known is None else self._ids[known])
        return EncodedQuestion(tuple(words), tuple(ids), tuple(unknown))

    def _repair(self, word: str) -> str | None:
        """The known word that was meant: typed without its input method, or the only one a typing slip away.

        Short words are not searched for slips, they have too many neighbours.
        """
        plain = _undo_input_method(word)
        if plain in self._ids:
            return plain
        if len(word) < 4:
            return None
        near = [known for known in self.words if len(known) >= 4 and _one_slip_apart(word, known)]
        return near[0] if len(near) == 1 else None


def _undo_input_method(word: str) -> str:
    """Telex or VNI keystrokes that no input method turned into accents: 'nayf', 'na2y' -> 'nay', 'ddaay' -> 'day'."""
    if any(c.isdigit() for c in word):
        return "".join(c for c in word if not c.isdigit())
    for typed, meant in (("aa", "a"), ("ee", "e"), ("oo", "o"), ("dd", "d"), ("w", "")):
        word = word.replace(typed, meant)
    return word[:-1] if len(word) > 1 and word[-1] in "sfrxj" else word


def _one_slip_apart(a: str, b: str) -> bool:
    """One letter added or dropped, or two neighbours swapped. A changed letter does not count: in Vietnamese it makes
    another word as often as not ('khung' is not a slip of 'khong').
    """
    if len(a) > len(b):
        a, b = b, a
    if a == b or len(b) - len(a) > 1:
        return False
    start = 0
    while start < len(a) and a[start] == b[start]:
        start += 1
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    return a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]
