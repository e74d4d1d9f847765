"""Writes unicode_table.inc: what every Unicode character becomes on its way into a word (see question.cc).

    python runtime/engine/make_unicode_table.py > runtime/engine/unicode_table.inc

Any Python will do; newer ones know more scripts. None of this concerns Vietnamese, whose letters have not changed since
Unicode 1.1: the rest of the table makes foreign words end where Python's end.
"""

from __future__ import annotations

import re
import sys
import unicodedata

OTHER_LETTER, OTHER_DIGIT = "\x01", "\x02"
"""Stand for letters and digits that have no ASCII form: no word of a vocabulary holds them."""

ASCENDING, TEXTS = 128, 256
"""Offsets of values: first of a run of ASCII characters (full-width A to Z, say); place in the list of longer texts."""


def to_plain(code: int) -> str:
    """One character as edge_vqa.question sees it: accentless lower case, word breaks as spaces.

    Two other letters (or digits) in a row say all that more would: no known word is one slip away from them.
    """
    if 0xD800 <= code <= 0xDFFF:
        return " "
    decomposed = unicodedata.normalize("NFKD", chr(code)).lower()
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).replace("đ", "d")
    plain = "".join(_kind(c) for c in letters)
    for kind, most in ((" ", 1), (OTHER_LETTER, 2), (OTHER_DIGIT, 2)):
        plain = re.sub(f"{kind}{{{most},}}", kind * most, plain)
    return plain


def _kind(letter: str) -> str:
    if not letter.isalnum():
        return " "
    if letter.isascii():
        return letter
    return OTHER_DIGIT if letter.isdigit() else OTHER_LETTER


def collect() -> tuple[list[tuple[int, int]], list[str]]:
    """(first code point, value) of every run, in order, and the texts of more than one character."""
    plain = [to_plain(code) for code in range(sys.maxunicode + 1)]
    texts = {text: place for place, text in enumerate(sorted({text for text in plain if len(text) > 1}))}
    runs = []
    code = 0
    while code < len(plain):
        text = plain[code]
        same = _run(plain, code, 0)
        rising = _run(plain, code, 1) if len(text) == 1 and text.isalnum() else 0
        if rising > same:
            runs.append((code, ASCENDING + ord(text)))
        else:
            runs.append((code, TEXTS + texts[text] if len(text) > 1 else ord(text) if text else 0))
        code += max(rising, same)
    return runs, list(texts)


def _run(plain: list[str], start: int, step: int) -> int:
    """How many texts from `start` on are alike (step 0), or each the ASCII character after the one before (step 1)."""
    text, length = plain[start], 1
    while start + length < len(plain):
        if plain[start + length] != (chr(ord(text) + length) if step else text):
            break
        length += 1
    return length


def _c_string(text: str) -> str:
    return '"' + "".join(c if c.isprintable() else f"\\{ord(c):03o}" for c in text) + '"'


def _rows(items: list[str]) -> str:
    """As many items a line as fit 120 columns."""
    lines, line = [], " "
    for item in items:
        if len(line) + len(item) + 2 > 120:
            lines.append(line)
            line = " "
        line += f" {item},"
    return "\n".join([*lines, line])


def table() -> str:
    """The text of unicode_table.inc."""
    runs, texts = collect()
    assert TEXTS + len(texts) <= 2048, "a value takes 11 bits"
    longest = max(map(len, texts))
    return f"""\
// Made by make_unicode_table.py from Unicode {unicodedata.unidata_version}.
// A run's first code point << 11 | value; it ends where the next begins. Values: 0 nothing, 1 another letter, 2 another
// digit, space a word break; else the ASCII character, {ASCENDING} + the first of ascending ones, {TEXTS} + the place
// in kTexts.
constexpr uint32_t kRuns[] = {{
{_rows([f"0x{code << 11 | value:X}" for code, value in runs])}
}};

constexpr char kTexts[][{longest + 1}] = {{
{_rows([_c_string(text) for text in texts])}
}};
"""


if __name__ == "__main__":
    sys.stdout.write(table())
