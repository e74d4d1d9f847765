"""A tiny data set in the documented format: coloured squares on the left or right, with boxes."""

import csv
import json
import random
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

COLOURS = {"đỏ": (210, 40, 40), "vàng": (230, 200, 40), "trắng": (240, 240, 240)}
DISHES = {"đỏ": "cà chua", "vàng": "chuối", "trắng": "cơm"}
SHARED = Path(__file__).parents[2] / "shared"
VNFOOD = SHARED / "data" / "vnfood"

needs_vnfood = pytest.mark.skipif(
    not VNFOOD.is_dir(), reason="the photographs (shared/data/vnfood) are not on this machine"
)


def make_dataset(folder: Path, count: int = 48) -> Path:
    """Write train.csv, val.csv, boxes.jsonl and images/ below `folder`."""
    rng = random.Random(3)
    (folder / "images").mkdir(parents=True)
    rows: dict[str, list[list[str]]] = {"train": [], "val": []}
    scenes = []
    for n in range(count):
        colour, left = list(COLOURS)[n % 3], rng.random() < 0.5
        name, split = f"hình {n}.png", "val" if n % 4 == 3 else "train"
        image = Image.new("RGB", (96, 80), (20, 30, 20))
        x0 = rng.randint(2, 14) if left else rng.randint(50, 62)
        ImageDraw.Draw(image).rectangle((x0, 20, x0 + 30, 60), fill=COLOURS[colour])
        image.save(folder / "images" / name)
        dish = DISHES[colour]
        other = DISHES[list(COLOURS)[(n + 1) % 3]]
        box = {"label": dish, "x0": x0 / 96, "y0": 20 / 80, "x1": (x0 + 30) / 96, "y1": 60 / 80}
        scenes.append({"image": name, "split": split, "source": "vẽ", "dish": dish, "boxes": [box]})
        for question, answer, kind in (
            ("món này là món gì", dish, "name"),
            (f"đây có phải là {dish} không", "có", "yesno"),
            (f"trong ảnh có {other} không", "không", "presence"),
            (f"trong ảnh có {dish} không", "có", "presence"),
            ("món này có màu gì", colour, "colour"),
            (f"{dish} nằm ở bên nào", "bên trái" if left else "bên phải", "side"),
        ):
            rows[split].append([f"{split}-{len(rows[split])}", name, question, answer, kind])
    for split, content in rows.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([["id", "image", "question", "answer", "kind"], *content])
    (folder / "boxes.jsonl").write_text(
        "".join(json.dumps(s, ensure_ascii=False) + "\n" for s in scenes), encoding="utf-8"
    )
    return folder


CONFIG = """
model = "{model}"
seed = 5
batch = 6
side = 64
store = 64
lr_encoder = 2e-3
lr_head = 5e-3
average = 0.8
freeze_batchnorm = {freeze}
[sizes]
width = 32
embedding = 16
hidden = 24
joint = 32
dropout = {dropout}
embedding_dropout = {dropout}
[[stage]]
epochs = {epochs}
side = 64
crop = {crop}
[augment]
mirror = true
light = 0.1
rephrase = 0.3
lose_words = 0.05
fresh_negatives = 0.5
off_topic = 0.3
"""
