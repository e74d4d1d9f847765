"""Questions as people type them give the ids of the clean question."""

import unicodedata

import pytest

from edge_vqa.errors import QuestionError
from edge_vqa.question import MAX_WORDS, UNKNOWN, Vocabulary, split_words, strip_accents

WORDS = [
    "co",
    "tom",
    "trong",
    "mon",
    "nay",
    "khong",
    "la",
    "gi",
    "mau",
    "chu",
    "dao",
    "hoa",
    "anh",
    "bao",
    "nhieu",
    "mi",
]
CLEAN = "Có tôm trong món này không?"


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(WORDS)


@pytest.mark.parametrize(
    "typed",
    [
        "có tôm trong món này không",
        "CÓ TÔM TRONG MÓN NÀY KHÔNG",
        "co tom trong mon nay khong",
        unicodedata.normalize("NFD", CLEAN),
        unicodedata.normalize("NFKD", CLEAN.upper()),
        "  có... tôm, trong «món» này\tkhông ?!\n",
        "co tom trong mon nay ko",
        "có tôm tronng món này không",  # one slip in a long word
        "có tôm torng món này không",
        "cos toom trong mons nayf khoong",  # Telex without its input method
        "co1 to6m trong mo1n na2y kho6ng",  # VNI likewise
    ],
)
def test_ways_of_typing_give_the_same_ids(vocabulary: Vocabulary, typed: str) -> None:
    assert vocabulary.encode(typed).ids == vocabulary.encode(CLEAN).ids == (2, 3, 4, 5, 6, 7)
    assert vocabulary.encode(typed).understood


def test_both_tone_placements_are_one_word() -> None:
    assert split_words("hoà thuý khoẻ") == split_words("hòa thúy khỏe") == ["hoa", "thuy", "khoe"]


def test_every_vietnamese_letter_loses_its_marks() -> None:
    marked = "áàảãạăắằẳẵặâấầẩẫậéèẻẽẹêếềểễệíìỉĩịóòỏõọôốồổỗộơớờởỡợúùủũụưứừửữựýỳỷỹỵđ"
    plain = "a" * 17 + "e" * 11 + "i" * 5 + "o" * 17 + "u" * 11 + "y" * 5 + "d"
    assert strip_accents(marked) == strip_accents(marked.upper()) == plain
    assert strip_accents(unicodedata.normalize("NFD", marked)) == plain


def test_unknown_words_become_the_unknown_id_and_are_reported(vocabulary: Vocabulary) -> None:
    encoded = vocabulary.encode("có khủng long trong món này không")
    assert encoded.unknown == ("khung", "long")
    assert encoded.ids.count(UNKNOWN) == 2
    assert encoded.understood


def test_a_question_about_something_else_is_not_understood(vocabulary: Vocabulary) -> None:
    assert not vocabulary.encode("thời tiết hôm nay thế nào").understood
    assert not vocabulary.encode("what is the weather").understood


def test_a_slip_between_two_known_words_is_not_guessed() -> None:
    vocabulary = Vocabulary(["chanh", "chang"])
    assert vocabulary.encode("chanhg").ids == (UNKNOWN,)
    assert vocabulary.encode("chnah").ids == (2,)


def test_long_questions_are_cut(vocabulary: Vocabulary) -> None:
    assert len(vocabulary.encode("mon " * 500).ids) == MAX_WORDS


@pytest.mark.parametrize("empty", ["", "   ", "?!...", "\n\t", "́"])
def test_a_question_without_words_is_an_error(vocabulary: Vocabulary, empty: str) -> None:
    with pytest.raises(QuestionError, match="empty"):
        vocabulary.encode(empty)


def test_what_is_not_text_or_far_too_long_is_an_error(vocabulary: Vocabulary) -> None:
    with pytest.raises(QuestionError, match="text"):
        vocabulary.encode(None)  # type: ignore[arg-type]
    with pytest.raises(QuestionError, match="characters"):
        vocabulary.encode("a" * 10_001)


@pytest.mark.parametrize("odd", ["😀 món gì", "món\x00gì", "ⅷ món", "món gì\u200b", "\ud800 mon"])
def test_odd_characters_break_nothing(vocabulary: Vocabulary, odd: str) -> None:
    assert vocabulary.encode(odd).ids
