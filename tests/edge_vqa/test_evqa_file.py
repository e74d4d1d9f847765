"""An .evqa file is checked, field by field, before it is believed."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from dataclasses import fields, replace
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
from tiny_model import KINDS, make_model  # noqa: E402

from edge_vqa.errors import ModelError  # noqa: E402
from edge_vqa.evqa_file import FLOAT32, PRECISIONS, Conv, Sizes, read_evqa, write_evqa  # noqa: E402
from edge_vqa.evqa_tensors import load_tensors, save_tensors  # noqa: E402

SECTIONS = ("ABOU", "WORD", "ANSW", "MODL", "CONV", "HEAD", "DATA")
MODL = [*(f.name for f in fields(Sizes)), "reserved"]
CONV = [*(f.name for f in fields(Conv)), "reserved"]
CONV_BYTES = 88


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_model(tmp_path_factory.mktemp("tệp") / "tiny.evqa", "mobile-attention").read_bytes()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A float32 model."""
    return make_model(tmp_path_factory.mktemp("tệp") / "real.evqa", "mobile-attention", precision=FLOAT32).read_bytes()


@pytest.fixture
def file(tmp_path: Path, original: bytes) -> Path:
    path = tmp_path / "mô hình.evqa"
    path.write_bytes(original)
    return path


def place(data: bytes, section: str) -> tuple[int, int]:
    """Offset and bytes of a section."""
    return struct.unpack_from("<QQ", data, 64 + 24 * SECTIONS.index(section) + 8)


def changed(data: bytes, at: int, value: bytes) -> bytes:
    """With other bytes at an offset, and the CRC-32 and SHA-256 of the result in the header."""
    data = data[:at] + value + data[at + len(value) :]
    rest = hashlib.sha256(data[64:]).digest() + data[64:]
    return data[:24] + struct.pack("<I", zlib.crc32(rest)) + data[28:32] + rest


def refuses(path: Path, data: bytes, match: str | None = None) -> None:
    path.write_bytes(data)
    with pytest.raises(ModelError, match=match) as caught:
        load_tensors(path)
    assert str(path) in str(caught.value)


def number(value: float) -> bytes:
    return struct.pack("<f", value) if isinstance(value, float) else struct.pack("<i", value)


@pytest.mark.parametrize("precision", range(len(PRECISIONS)), ids=PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(tmp_path: Path, kind: str, precision: int) -> None:
    path = make_model(tmp_path / "a.evqa", kind, precision=precision)
    model = load_tensors(path)
    assert model.file == read_evqa(path) == read_evqa(str(path), verify=True)
    assert (model.file.words, model.file.answers) == (KINDS[kind].words, KINDS[kind].answers)
    assert model.file.about == {"name": f"tiny-{kind}", "precision": PRECISIONS[precision], "licence": "MIT"}
    assert model.file.sizes.precision == precision
    assert ("conv0.scale" in model.tensors) == ("head.question_scale" in model.tensors) == (precision != FLOAT32)
    assert ("head.score" in model.tensors) == KINDS[kind].attention
    again = tmp_path / "b.evqa"
    save_tensors(again, model.file, model.tensors)
    assert again.read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_the_layout_is_the_documented_one(original: bytes) -> None:
    """Read with nothing but the offsets of docs/evqa-format.md."""
    assert original[:8] == bytes.fromhex("89 45 56 51 41 0D 0A 0A")
    assert struct.unpack_from("<IIQII", original, 8) == (2, 7, len(original), zlib.crc32(original[32:]), 0)
    assert original[32:64] == hashlib.sha256(original[64:]).digest()
    names = [original[at : at + 4].decode() for at in range(64, 64 + 7 * 24, 24)]
    assert tuple(names) == SECTIONS
    assert all(place(original, name)[0] % 64 == 0 for name in SECTIONS)
    start, length = place(original, "ANSW")
    assert original[start : start + length].decode() == "có\nkhông\ncơm tấm\n"
    start, length = place(original, "MODL")
    assert length == 72
    assert struct.unpack_from("<10I", original, start) == (64, 2, 56, 5, 3, 1, 2, 12, 24, 40)
    assert struct.unpack_from("<f", original, start + 40) == (1.25,)
    assert struct.unpack_from("<iIf", original, start + 56) == (128, 0, float(np.float32(1 / 127.5)))
    assert place(original, "CONV")[1] == CONV_BYTES * 22
    assert place(original, "HEAD")[1] == 8 + 23 * 8


@pytest.mark.parametrize(
    ("at", "value", "match"),
    [
        (0, b"P", "not an .evqa"), (8, b"\1", "version 1; this release reads"), (12, b"\6", "header is damaged"),
        (16, b"\0", "truncated or damaged"), (28, b"\1", "header is damaged"), (64, b"X", "XBOU"),
        (64 + 24, b"ABOU", "unknown or twice"), (64 + 4, b"\1", "unknown or twice"),
        (64 + 8, b"\1", "outside the file"), (64 + 15, b"\xff", "outside the file"),
        (64 + 23, b"\xff", "outside the file"), (64 + 8, b"\0\0", "overlap"), (64 + 24 + 8, b"\x00\x01", "overlap"),
    ],
)  # fmt: skip
def test_header_and_sections(file: Path, original: bytes, at: int, value: bytes, match: str) -> None:
    refuses(file, changed(original, at, value), match)


def test_both_sums_are_checked_and_the_crc_may_be_absent(file: Path, original: bytes) -> None:
    refuses(file, original[:24] + b"\1" + original[25:], "CRC-32")
    refuses(file, original[:40] + b"\1" + original[41:], "CRC-32")
    file.write_bytes(original[:24] + bytes(4) + original[28:])
    assert read_evqa(file, verify=True)
    refuses(file, original[:24] + bytes(4) + original[28:-1] + b"\1", "SHA-256")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("side", (0, 63, 65, 4097, -1)), ("cells", (0, 1, 3, 65, -1)), ("channels", (0, 55, 57, 1 << 30, -1)),
        ("words", (0, 1, 4, 6, -1)), ("answers", (0, 2, 4, -1)), ("attention", (2, -1)),
        ("glimpses", (0, 8, -1)), ("embedding", (0, 8193, -1)), ("hidden", (0, 8193, -1)), ("joint", (0, 8193, -1)),
        ("temperature", (0.0, -1.0, 0.009, 101.0, float("nan"), float("inf"))),
        ("features_scale", (0.0, -1.0, float("nan"), float("inf"))), ("features_zero", (-1, 256)),
        ("place_scale", (0.0, -1.0, 1e5, float("nan"), float("inf"))), ("pixel_zero", (-1, 127, 256)),
        ("precision", (1, 2, -1)), ("pixel_scale", (0.0, -1.0, float("nan"), float("inf"))), ("reserved", (1, -1)),
    ],
)  # fmt: skip
def test_sizes(file: Path, original: bytes, field: str, values: tuple[float, ...]) -> None:
    start, _ = place(original, "MODL")
    for value in values:
        refuses(file, changed(original, start + 4 * MODL.index(field), number(value)))


def test_sizes_that_need_more_tensors_than_there_are(file: Path, original: bytes) -> None:
    start, _ = place(original, "MODL")
    for field in ("embedding", "hidden", "joint"):
        refuses(file, changed(original, start + 4 * MODL.index(field), number(4000)), "does not lie in DATA")


def test_attention_and_scores_go_together(file: Path, tmp_path: Path, original: bytes) -> None:
    start, _ = place(original, "MODL")
    off = changed(original, start + 4 * MODL.index("attention"), number(0))
    refuses(file, off, "glimpses")
    refuses(file, changed(off, start + 4 * MODL.index("glimpses"), number(0)), "without attention")
    plain = make_model(tmp_path / "plain.evqa", "mobile").read_bytes()
    start, _ = place(plain, "MODL")
    refuses(file, changed(plain, start + 4 * MODL.index("glimpses"), number(1)), "glimpses")


CONVOLUTION = 8  # a pointwise one with a residual


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("depthwise", (1, 2, -1)), ("kernel", (0, 2, 5, -1)), ("stride", (0, 2, 3, -1)), ("inputs", (0, 71, -1)),
        ("outputs", (0, 23, 1 << 30, -1)), ("in_side", (0, 15, 17, -1)), ("out_side", (0, 15, 17, -1)),
        ("in_zero", (-1, 1, 256)), ("out_zero", (-1, 256, 99)), ("low", (256.0, -1.0, 0.5, float("nan"))),
        ("high", (256.0, -1.0, 254.5, float("nan"), float("inf"))), ("out_scale", (0.0, -1.0, float("nan"))),
        ("residual", (-2, 6, 7, 8, 9, 0, 1 << 30)), ("residual_scale", (0.0, -1.0, 2e4, float("nan"), float("inf"))),
        ("residual_zero", (-1, 256, 99)), ("reserved", (1, -1)),
    ],
)  # fmt: skip
def test_convolutions(file: Path, original: bytes, field: str, values: tuple[float, ...]) -> None:
    start, _ = place(original, "CONV")
    for value in values:
        at = start + CONVOLUTION * CONV_BYTES + 4 * CONV.index(field)
        refuses(file, changed(original, at, number(value)), "convolution")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("out_zero", (1,)), ("low", (float("nan"), float("-inf"), 3.402e38)), ("high", (float("nan"), float("inf"))),
        ("residual_scale", (0.5, 0.0)), ("residual_zero", (1,)), ("out_scale", (0.5,)),
    ],
)  # fmt: skip
def test_float32_convolutions_have_no_scales(file: Path, real: bytes, field: str, values: tuple[float, ...]) -> None:
    start, _ = place(real, "CONV")
    for value in values:
        at = start + CONVOLUTION * CONV_BYTES + 4 * CONV.index(field)
        refuses(file, changed(real, at, number(value)), "convolution")
    at = start + CONVOLUTION * CONV_BYTES + CONV_BYTES - 8
    refuses(file, changed(real, at, struct.pack("<Q", place(real, "DATA")[0])), "no scale")


@pytest.mark.parametrize(
    ("field", "value"), [("features_scale", 0.5), ("features_zero", 1), ("place_scale", 2.0), ("precision", 0)]
)
def test_float32_features_have_no_scales(file: Path, real: bytes, field: str, value: float) -> None:
    start, _ = place(real, "MODL")
    refuses(file, changed(real, start + 4 * MODL.index(field), number(value)))


def test_float32_heads_have_no_scales(file: Path, real: bytes) -> None:
    start, length = place(real, "HEAD")
    refuses(file, changed(real, start, number(1)), "zero point")
    absent = [at for at in range(start + 8, start + length, 8) if struct.unpack_from("<Q", real, at) == (0,)]
    assert len(absent) == 6
    for at in absent:
        refuses(file, changed(real, at, struct.pack("<Q", place(real, "DATA")[0])), "scales of float32")


def test_the_precision_is_that_of_the_description(file: Path, real: bytes) -> None:
    assert real.count(b'"float32"') == 1
    refuses(file, changed(real, real.index(b'"float32"'), b'"float16"'), "float32, but ABOU says float16")


@pytest.mark.parametrize("name", ["conv0.weights", "conv1.bias", "head.embedding", "head.lstm_x", "head.picture_bias"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_float32_values_are_numbers(file: Path, real: bytes, name: str, value: float) -> None:
    file.write_bytes(real)
    offset = load_tensors(file).file.offsets[name]
    refuses(file, changed(real, offset, number(value)), f"{name} holds values that are not numbers")


def test_bounds_are_in_order(file: Path, original: bytes) -> None:
    start, _ = place(original, "CONV")
    at = start + 4 * CONV.index("low")
    refuses(file, changed(original, at, number(200.0) + number(100.0)), "bounds 200 and 100")


def test_a_depthwise_convolution_keeps_its_channels_and_adds_nothing(file: Path, original: bytes) -> None:
    start, _ = place(original, "CONV")
    at = start + 7 * CONV_BYTES
    refuses(file, changed(original, at + 4 * CONV.index("outputs"), number(71)), "outputs differ")
    refuses(file, changed(original, at + 4 * CONV.index("kernel"), number(1)), "kernel 1")
    refuses(file, changed(original, at + 4 * CONV.index("residual"), number(6) + number(0.5)), "cannot add")


@pytest.mark.parametrize("section", ["CONV", "HEAD"])
def test_every_offset(file: Path, original: bytes, section: str) -> None:
    start, length = place(original, section)
    first = [64, 72, 80] if section == "CONV" else range(8, length, 8)
    data, size = place(original, "DATA")
    for at in first:
        for offset in (0, 64, data - 64, data + 1, data + 32, data + size, 1 << 40, (1 << 64) - 64, (1 << 64) - 1):
            refuses(file, changed(original, start + at, struct.pack("<Q", offset)))


def test_embedding_zero_and_reserved(file: Path, original: bytes) -> None:
    start, _ = place(original, "HEAD")
    for value in (number(-1) + number(0), number(256) + number(0), number(0) + number(1)):
        refuses(file, changed(original, start, value), "HEAD")


@pytest.mark.parametrize("section", ["MODL", "CONV", "HEAD"])
def test_records_of_another_length(file: Path, original: bytes, section: str) -> None:
    _, length = place(original, section)
    at = 64 + 24 * SECTIONS.index(section) + 16
    for other in (0, length - 1, length + 1):
        refuses(file, changed(original, at, struct.pack("<Q", other)), f"{section}|overlap")


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("ABOU", b"{"), ("ABOU", b"[]"), ("ABOU", b"\xff\xff"), ("ABOU", b'{"a": "\\ud800"}'), ("ABOU", b""),
        ("WORD", b"mon\nmon\ngi\n"), ("WORD", b"mon\n\nnay\n"), ("WORD", b"mon\nnay\ngi"), ("WORD", b"mon\nnay\n"),
        ("WORD", b"mon\nnay\n\xff\n"), ("WORD", b"mon\nnay\n\0\n"), ("WORD", b""), ("ANSW", b""), ("ANSW", b"a\nb\n"),
        ("ANSW", b"a\nb\n\n"), ("ANSW", b"a\nb\n\xff\n"), ("ANSW", b"a\nb\nc"),
    ],
)  # fmt: skip
def test_texts(file: Path, original: bytes, section: str, text: bytes) -> None:
    start, _ = place(original, section)
    at = 64 + 24 * SECTIONS.index(section) + 16
    refuses(file, changed(changed(original, start, text), at, struct.pack("<Q", len(text))))


def test_deeply_nested_json(tmp_path: Path, original: bytes) -> None:
    """Moved to the end of the file, where there is room."""
    text = b"[" * 100_000
    at = 64 + 8
    data = original + b"\0" * (-len(original) % 64)
    data = changed(data + text, at, struct.pack("<QQ", len(data), len(text)))
    refuses(tmp_path / "a.evqa", changed(data, 16, struct.pack("<Q", len(data))), "ABOU")


def test_every_truncation(file: Path, original: bytes) -> None:
    for length in [*range(0, 2048, 7), *range(2048, len(original), 997)]:
        refuses(file, original[:length])
        if length >= 24:  # a header that agrees with the shorter file
            refuses(file, changed(original[:length], 16, struct.pack("<Q", length)))


def test_every_flipped_byte_is_noticed(file: Path, original: bytes) -> None:
    for at in range(0, len(original), 1 if len(original) < 4096 else 61):
        refuses(file, original[:at] + bytes([original[at] ^ (1 << at % 8)]) + original[at + 1 :])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_random_damage_behind_a_right_sum(file: Path, original: bytes, real: bytes, precision: str) -> None:
    """Only ModelError, and what is accepted can be computed with."""
    from edge_vqa.engines.reference import ReferenceEngine

    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    original = real if precision == "float32" else original
    spans = [place(original, name) for name in SECTIONS]
    accepted = 0
    for _ in range(400):
        data = original
        for _ in range(rng.randint(1, 3)):
            start, length = rng.choice([*spans, (64, 7 * 24)])
            at = start + rng.randrange(length)
            data = changed(data, at, bytes([rng.randrange(256)]))
        file.write_bytes(data)
        try:
            model = load_tensors(file)
        except ModelError:
            continue
        accepted += 1
        if accepted <= 20:
            engine = ReferenceEngine(model)
            side = model.file.sizes.side
            with np.errstate(all="ignore"):
                engine.answer(engine.encode(bytes(side * side * 3)), [2])
    print(f"{accepted} of 400 accepted")


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("conv0.scale", float("nan"), "not numbers"), ("conv0.scale", 0.0, "not above 0"),
        ("conv0.scale", -1.0, "not above 0"), ("conv0.scale", 1e4, "too large to round"),
        ("conv3.bias", 1 << 30, "32 bits"), ("conv3.bias", -(1 << 31), "32 bits"), ("head.place", 5e6, "too large"),
        ("head.place", float("inf"), "not numbers"), ("head.lstm_x_scale", 0.0, "not above 0"),
        ("head.lstm_h_scale", -1.0, "not above 0"), ("head.lstm_bias", float("nan"), "not numbers"),
        ("head.scale_scale", 0.0, "not above 0"), ("head.shift_scale", float("inf"), "not numbers"),
        ("head.question_bias", float("-inf"), "not numbers"), ("head.score", float("nan"), "not numbers"),
        ("conv0.weights", -128, "is -128"), ("head.lstm_h", -128, "is -128"),
        ("head.picture_scale", 0.0, "not above 0"), ("head.answer", float("nan"), "not numbers"),
    ],
)  # fmt: skip
def test_values_of_tensors(file: Path, original: bytes, name: str, value: float, match: str) -> None:
    model = load_tensors(file)
    refuses(file, changed(original, model.file.offsets[name], number(value)), match)


def test_a_model_that_makes_no_sense_is_not_written(file: Path, tmp_path: Path) -> None:
    model = load_tensors(file)
    out = tmp_path / "out.evqa"
    few = {name: array for name, array in model.tensors.items() if name != "head.place"}
    for made, tensors in (
        (model.file, few),
        (model.file, {**model.tensors, "head.place": np.zeros((3, 3), np.float32)}),
        (replace(model.file, words=("a", "b\nc", "d")), model.tensors),
        (replace(model.file, words=("a", "b")), model.tensors),
        (replace(model.file, about={"a": object()}), model.tensors),
        (replace(model.file, embedding_zero=1 << 40), model.tensors),
        (replace(model.file, sizes=replace(model.file.sizes, temperature=1e300)), model.tensors),
        (replace(model.file, sizes=replace(model.file.sizes, pixel_zero=1)), model.tensors),
    ):
        with pytest.raises(ModelError, match=r"out\.evqa"):
            save_tensors(out, made, tensors)
    with pytest.raises(ModelError, match=r"head\.place"):
        write_evqa(out, model.file, {name: array.tobytes() for name, array in few.items()})
    assert not out.exists() and not list(tmp_path.glob("*.part"))


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.evqa", Path("a\0b"), Path("a" * 300)):
        with pytest.raises(ModelError):
            read_evqa(path)
        with pytest.raises(ModelError):
            load_tensors(path)
