"""Reading data sets, and saying what is wrong with them."""

import collections
from pathlib import Path

import pytest
from tiny_data import VNFOOD, make_dataset, needs_vnfood

from edge_vqa.errors import DataError
from export.data import load_dataset


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_folder_is_read(tiny_data: Path) -> None:
    dataset = load_dataset(tiny_data)
    assert {k: len(v) for k, v in dataset.splits.items()} == {"train": 216, "val": 72, "test": 0}
    assert dataset.answers() == sorted(
        ["cà chua", "chuối", "cơm", "có", "không", "đỏ", "vàng", "trắng", "bên trái", "bên phải"]
    )
    scene = dataset.scenes["hình 0.png"]
    assert (scene.dish, scene.boxes[0].label) == ("cà chua", "cà chua")
    assert not set(dataset.images("train")) & set(dataset.images("val"))


def test_without_val_some_pictures_are_held_out(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "d", 60)
    (folder / "val.csv").unlink()
    dataset = load_dataset(folder)
    train, val = set(dataset.images("train")), set(dataset.images("val"))
    assert train
    assert val
    assert not train & val


def test_only_the_three_columns_are_needed_and_pictures_may_lie_beside(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "d", 4)
    (folder / "images" / "hình 0.png").rename(folder / "bên cạnh.png")
    (folder / "train.csv").write_text("image,question,answer\nbên cạnh.png,món gì,cơm\n", encoding="utf-8-sig")
    dataset = load_dataset(folder)
    assert [(e.image, e.kind, e.id) for e in dataset.splits["train"]] == [("bên cạnh.png", "any", "train-00000")]


def test_errors_name_the_file_and_the_row(tmp_path: Path) -> None:
    cases = [
        ("train.csv", "hình 1.png", "missing.png", r"train.csv, row 8: the picture missing.png"),
        ("train.csv", "món này có màu gì,đỏ", "món này có màu gì,", r"train.csv, row 6: the answer is empty"),
        ("train.csv", ",question,", ",frage,", r"lacks the column question"),
        ("val.csv", "hình 3.png", "hình 0.png", r"share 1 pictures"),
        ("boxes.jsonl", '"x0"', '"left"', r"boxes.jsonl, row 1"),
    ]
    for n, (file, old, new, message) in enumerate(cases):
        folder = make_dataset(tmp_path / str(n))
        replace_in(folder / file, old, new)
        with pytest.raises(DataError, match=message):
            load_dataset(folder)


@pytest.mark.parametrize(
    "box",
    [
        '{"label": "x", "x0": 10, "y0": 0, "x1": 90, "y1": 50}',
        '{"label": "x", "x0": 0.5, "y0": 0, "x1": 0.4, "y1": 1}',
        '{"label": "x", "x0": NaN, "y0": 0, "x1": 0.4, "y1": 1}',
        '{"label": "x", "x0": 0}',
        "[1, 2]",
    ],
)
def test_boxes_that_are_none_name_their_row(tmp_path: Path, box: str) -> None:
    folder = make_dataset(tmp_path / "d", 4)
    with (folder / "boxes.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"image": "hình 0.png", "boxes": [' + box + "]}\n")
    with pytest.raises(DataError, match=r"boxes.jsonl, row 5"):
        load_dataset(folder)


def test_boxes_in_another_encoding_name_their_row(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "d", 4)
    with (folder / "boxes.jsonl").open("ab") as stream:
        stream.write('{"image": "hình", "boxes": []}\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"boxes.jsonl, row 5"):
        load_dataset(folder)


def test_one_file_under_two_names_is_still_one_picture(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "d", 8)
    (folder / "test.csv").write_text("image,question,answer\nimages/hình 0.png,món gì,cơm\n", encoding="utf-8")
    with pytest.raises(DataError, match="share 1 pictures"):
        load_dataset(folder)


def test_a_wrong_encoding_names_the_row(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "d")
    lines = (folder / "train.csv").read_bytes().split(b"\n")
    lines[4] = "x,hình 0.png,món gì,cà phê sữa đá".encode("utf-16-le")
    (folder / "train.csv").write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"row \d+: not UTF-8"):
        load_dataset(folder)


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"none of train.csv"):
        load_dataset(tmp_path)


def test_easy_vqa_is_read() -> None:
    pytest.importorskip("easy_vqa")
    dataset = load_dataset("easy-vqa")
    assert sum(len(dataset.splits[s]) for s in ("train", "val")) == 38575
    assert len(dataset.splits["test"]) == 9673
    assert len(dataset.answers()) == 13
    assert all(p.is_file() for p in dataset.image_paths.values())


@needs_vnfood
def test_vnfood_is_read_whole() -> None:
    dataset = load_dataset(VNFOOD)
    assert {k: len(v) for k, v in dataset.splits.items()} == {"train": 30475, "val": 2616, "test": 4722}
    assert len(dataset.answers()) == 111
    kinds = collections.Counter(e.kind for e in dataset.splits["test"])
    assert kinds["presence"] == 1576
