"""The engine turns every question into the ids that edge_vqa.question gives."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from edge_vqa.errors import QuestionError
from edge_vqa.question import _SPELLINGS, Vocabulary

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "runtime" / "engine" / "unicode_table.inc"

KNOWN = [
    "co", "tom", "trong", "mon", "nay", "khong", "la", "gi", "mau", "chu", "dao", "hoa", "anh", "bao", "nhieu", "mi",
    "vay", "phai", "heo", "ca", "ri", "chanh", "chang", "chinh", "xoai", "thit", "bo", "nuoc", "canh", "rau", "day",
    "dac", "nghieng", "1", "2", "10", "w", "ww", "banhmi", "banhm", "trang", "trangg", "a", "d", "hanhtay", "2lat", "x",
]  # fmt: skip
VIETNAMESE = "áàảãạăắằẳẵặâấầẩẫậéèẻẽẹêếềểễệíìỉĩịóòỏõọôốồổỗộơớờởỡợúùủũụưứừửữựýỳỷỹỵđ"
CORNERS = [
    "", " ", "?!", "\u0301", "\u0301\u0323", "😀", "😀 món gì", "món\x00gì", "ⅷ món", "món gì\u200b", "ﬁ ﬃ ﬆ",
    "Ｍóｎ　ｎàｙ", "１２", "٣ mon٣ m٣on", "x² CO₂ ½", "İstanbul ıI", "ΑΣ ΣΑΣ", "ß ẞ SS", "\u212a \u212b",
    "한국 각 가", "日本 三 ㋿ ㍿", "ﷺ", "𝓶𝓸𝓷 𝟚", "m\u034fon", "m\u0345on", "mo\u20ddn", "Đđ ĐÐð",
    "w", "W", "ww", "1", "12", "aa", "s", "ss", "dd", "oo", "khôngg", "aaaa", "aaa", "dddd", "deeed", "awa", "a2a",
    "nayf", "na2y", "ddaay", "mon" + "w" * 9000, "mon" + "1" * 9990, "m" + "o" * 9000 + "n", "k" * 10_000, "k " * 5000,
    "bn " * 30, "mon " * 19 + "bn", "mon " * 18 + "bn", "e\u0301" * 4999, "x" * 62, "x" * 63, "x" * 64, "xx" * 500,
    "\u1e9b\u0323", "ʼn ŉ", "ĳ Ǆ ǆ", "\ufeffmon", "mon\u00admon", "q̣̈ q̣̈", "khxong", "khonng", "hkong", "chanhg", "chnah",
    "khon", "hong", "kho٣ng", "khoλng", "khoλλng", "λkhong", "khong٣", "tra٣٣ng", "\U0001d7d8", "\U0010ffff",
    "\ud7ff\ue000",
]  # fmt: skip
ALPHABETS = [
    [0x300, 0x301, 0x303, 0x309, 0x323, 0x31B, 0x302, 0x306, 0x345, 0x34F],
    [*range(0x1F600, 0x1F640), 0x200D, 0xFE0F, 0x1F1FB],
    [*range(0x4E00, 0x4E40), *range(0x3041, 0x3097), *range(0xAC00, 0xAC20)],
    [*range(0x660, 0x66A), *range(0x6F0, 0x6FA), *range(0x966, 0x970), *range(0x2080, 0x208A), 0xB2, 0xB3, 0xB9],
    [*range(0xFF01, 0xFF5F), *range(0xFB00, 0xFB07), *range(0x2460, 0x24EA)],
    [*range(0x20, 0x7F)],
    [*range(0xA0, 0x250)],
    [*map(ord, VIETNAMESE + VIETNAMESE.upper())],
]


def table_matches_python() -> bool:
    version = re.search(r"from Unicode ([\d.]+)", TABLE.read_text())
    return version is not None and version[1].rstrip(".") == unicodedata.unidata_version


SAME_UNICODE = table_matches_python()


def comparable(text: str) -> bool:
    """A Python with another Unicode version may know other letters: there only characters of Unicode 3.2 count."""
    return SAME_UNICODE or all(unicodedata.ucd_3_2_0.category(c) != "Cn" for c in text)


def expected(vocabulary: Vocabulary, question: str) -> str:
    try:
        encoded = vocabulary.encode(question)
    except QuestionError:
        return "error 6"
    return " ".join(map(str, [int(encoded.understood), len(encoded.unknown), *encoded.ids]))


class Engine:
    """The C++ encoder behind question_program.cc."""

    def __init__(self, program: Path, folder: Path, words: list[str]) -> None:
        self.program, self.words = program, folder / "words.txt"
        self.words.write_bytes("".join(f"{word}\n" for word in words).encode())

    def encode(self, questions: list[bytes]) -> list[str]:
        lines = "".join(f"{question.hex()}\n" for question in questions)
        done = subprocess.run([self.program, self.words], input=lines, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def program(compile_program) -> Path:  # type: ignore[no-untyped-def]
    return compile_program("question_program.cc", "question.cc", "error.cc")


@pytest.fixture
def engine(program: Path, tmp_path: Path) -> Engine:
    return Engine(program, tmp_path, KNOWN)


def compare(engine: Engine, words: list[str], questions: list[str], about: str) -> None:
    vocabulary = Vocabulary(words)
    questions = [question for question in questions if comparable(question)]
    answers = engine.encode([question.encode() for question in questions])
    assert len(answers) == len(questions)
    wrong = [
        f"{question[:80]!r}: {got}, not {want}"
        for question, got in zip(questions, answers)
        if (want := expected(vocabulary, question)) != (got[:7] if got.startswith("error") else got)
    ]
    assert not wrong, f"{about}: {len(wrong)} of {len(questions)} questions differ\n" + "\n".join(wrong[:20])


def test_corners_of_the_rules(engine: Engine) -> None:
    compare(engine, KNOWN, CORNERS + [unicodedata.normalize("NFD", text) for text in CORNERS], "corners")


def test_spellings_are_the_same(engine: Engine) -> None:
    words = [*_SPELLINGS, *(key.upper() for key in _SPELLINGS), *(f"{key}{key}" for key in _SPELLINGS)]
    compare(engine, KNOWN, words, "spellings")


def test_every_character_alone_and_within_words(engine: Engine) -> None:
    def chosen(code: int) -> bool:
        kind = unicodedata.category(chr(code))
        if kind in ("Cn", "Co"):
            return code % 601 == 0
        return kind != "Cs" and (kind != "Lo" or code < 0x3400 or code % 7 == 0)

    letters = [chr(code) for code in range(sys.maxunicode + 1) if chosen(code)]
    lines = [" ".join(f"{c} mon{c} kho{c}ng ch{c}anhg" for c in letters[i : i + 2]) for i in range(0, len(letters), 2)]
    compare(engine, KNOWN, lines, "every character")


def random_word(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.2:
        return draw.choice(list(_SPELLINGS))
    if kind < 0.35:
        return "".join(chr(draw.choice(draw.choice(ALPHABETS))) for _ in range(draw.randint(1, 6)))
    if kind < 0.4:
        return "".join(draw.choice("abdeoswfrxj12") for _ in range(draw.randint(1, 8)))
    word = list(draw.choice(KNOWN))
    for _ in range(draw.choice((0, 0, 1, 1, 2))):
        place = draw.randrange(len(word) + 1)
        change = draw.randrange(5)
        if change == 0:
            word.insert(place, draw.choice("abcdeghiklmnopqrstuvxywfjz0123456789"))
        elif change == 1 and len(word) > 1:
            del word[place % len(word)]
        elif change == 2 and len(word) > 1:
            place = place % (len(word) - 1)
            word[place], word[place + 1] = word[place + 1], word[place]
        elif change == 3:
            word.insert(place, chr(draw.choice(draw.choice(ALPHABETS))))
        else:
            word[place % len(word)] = draw.choice(VIETNAMESE)
    return "".join(word)


def random_question(draw: random.Random) -> str:
    if draw.random() < 0.15:
        code = (chr(draw.randrange(draw.choice((0x80, 0x800, 0x3000, 0x20000)))) for _ in range(draw.randint(0, 30)))
        question = "".join(c for c in code if not 0xD800 <= ord(c) < 0xE000)
    else:
        gaps = (" ", " ", " ", "  ", "\t", "\n", "? ", "-", "\u00a0", ", «", "\u3000", "\u200b")
        question = "".join(random_word(draw) + draw.choice(gaps) for _ in range(draw.randint(1, 26)))
    if draw.random() < 0.3:
        question = draw.choice((question.upper(), question.title(), question.swapcase()))
    form = draw.choice((None, "NFC", "NFD", "NFKC", "NFKD"))
    return unicodedata.normalize(form, question) if form else question


@pytest.mark.parametrize("seed", range(4))
def test_random_questions(engine: Engine, seed: int) -> None:
    draw = random.Random(seed)
    compare(engine, KNOWN, [random_question(draw) for _ in range(3000)], f"seed {seed}")


@pytest.mark.parametrize("seed", range(3))
def test_random_vocabularies(program: Path, tmp_path: Path, seed: int) -> None:
    draw = random.Random(100 + seed)
    words = sorted({"".join(draw.choice("ab1ow") for _ in range(draw.randint(0, 6))) for _ in range(300)})
    draw.shuffle(words)
    questions = [
        " ".join("".join(draw.choice("AabB1owsf") for _ in range(draw.randint(1, 8))) for _ in range(12))
        for _ in range(1000)
    ]
    compare(Engine(program, tmp_path, words), words, questions, f"seed {100 + seed}")


@pytest.mark.parametrize(
    "odd",
    [
        b"\x80",
        b"\xc3",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8",
        b"\xff",
        b"\xe1\xbb",
    ],
)
def test_bytes_that_are_not_utf_8_are_an_error(engine: Engine, odd: bytes) -> None:
    answer = engine.encode([b"mon " + odd, odd, odd + b"mon"])
    assert all(line.startswith("error 6 the question is not UTF-8 (byte") for line in answer), answer


@pytest.mark.parametrize("seed", range(2))
def test_random_bytes_are_text_where_python_reads_them(engine: Engine, seed: int) -> None:
    draw = random.Random(seed)
    cut = [random_question(draw).encode() for _ in range(1500)]
    questions = []
    for question in cut:
        broken = bytearray(question or b"m")
        broken[draw.randrange(len(broken))] = draw.randrange(256)
        questions.append(bytes(broken[: draw.randint(1, len(broken))]))
    for question, answer in zip(questions, engine.encode(questions)):
        try:
            question.decode()
        except UnicodeDecodeError:
            assert answer.startswith("error 6 the question is not UTF-8"), (seed, question, answer)
        else:
            assert "UTF-8" not in answer, (seed, question, answer)


def test_a_question_may_have_10000_characters_and_no_more(engine: Engine) -> None:
    for letter in "mộ😀":
        longest, longer = engine.encode([("mon " + letter * 9996).encode(), ("mon " + letter * 9997).encode()])
        assert not longest.startswith("error")
        assert longer == "error 6 the question is too long; at most 10000 characters are read"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["mon", "gi", "mon"], "word 3 of the vocabulary is there twice"),
        (["món"], "word 1 of the vocabulary is not plain ASCII"),
        (["mon", "x" * 63], "word 2 of the vocabulary is too long"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused(program: Path, tmp_path: Path, words: list[str], error: str) -> None:
    assert Engine(program, tmp_path, words).encode([]) == [f"error 3 {error}"]


@pytest.mark.skipif(not SAME_UNICODE, reason="this Python knows another version of Unicode")
def test_the_table_is_what_its_script_makes() -> None:
    script = ROOT / "runtime" / "engine" / "make_unicode_table.py"
    made = subprocess.run([sys.executable, str(script)], capture_output=True, check=True).stdout
    assert made.decode() == TABLE.read_text()
