"""Views stay true: boxes, answers and questions follow what is in the crop."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_vqa.question import Vocabulary
from export.augment import Augment, View, blend, coverage, erase, relight
from export.data import Box, load_dataset
from export.train import build_vocabulary
from export.views import Collate, Labels, Pictures, Views, focus_label


def test_a_box_in_a_crop() -> None:
    view = View(0.5, 0.0, 1.0, 0.5)
    seen, share = view.see(Box("x", 0.25, 0.25, 0.75, 0.5))
    assert share == pytest.approx(0.5)
    assert (seen.x0, seen.y0, seen.x1, seen.y1) == pytest.approx((0.0, 0.5, 0.5, 1.0))
    mirrored = View(0.5, 0.0, 1.0, 0.5, mirrored=True).see(Box("x", 0.25, 0.25, 0.75, 0.5))[0]
    assert (mirrored.x0, mirrored.x1) == pytest.approx((0.5, 1.0))
    assert view.see(Box("x", 0.0, 0.0, 0.4, 0.4)) == (None, 0.0)


def test_coverage_is_exact() -> None:
    # 4 cells a side: a box over the whole first column and half of the second.
    expected = np.zeros((4, 4), np.float32)
    expected[:, 0], expected[:, 1] = 1, 0.5
    np.testing.assert_allclose(coverage([Box("x", 0, 0, 0.375, 1)], 4), expected, atol=1e-6)
    assert coverage([], 3).sum() == 0
    rng = random.Random(0)
    for _ in range(20):
        x0, y0 = rng.random() * 0.8, rng.random() * 0.8
        box = Box("x", x0, y0, x0 + 0.15, y0 + 0.2)
        assert coverage([box], 7).sum() / 49 == pytest.approx(0.03, abs=1e-6)


def test_crops_keep_their_share_and_stay_inside() -> None:
    rng = random.Random(4)
    for _ in range(500):
        view = View.draw(Augment(crop=0.4, mirror=True), rng)
        assert 0 <= view.x0 < view.x1 <= 1 + 1e-9
        assert 0 <= view.y0 < view.y1 <= 1 + 1e-9
        assert 0.35 <= (view.x1 - view.x0) * (view.y1 - view.y0) <= 1 + 1e-9
    assert View.draw(Augment(), rng) == View()


def test_a_cut_is_the_part_of_the_picture() -> None:
    picture = torch.arange(64).repeat(3, 64, 1).to(torch.uint8) * 2
    cut = View(0.5, 0.25, 1.0, 0.75).cut(picture, 32)
    assert torch.equal(cut, picture[:, 16:48, 32:])
    assert torch.equal(View(0.5, 0.25, 1.0, 0.75, True).cut(picture, 32), cut.flip(-1))


@pytest.fixture
def views(tiny_data: Path):
    dataset = load_dataset(tiny_data)
    pictures = Pictures(dataset.image_paths, dataset.images("train"), 64)
    vocabulary = Vocabulary(build_vocabulary(dataset))

    def make(augment: Augment) -> Views:
        return Views(dataset, "train", pictures, vocabulary, dataset.answers(), augment, 64, seed=1)

    return make


def test_mirroring_swaps_the_sides_in_answers(views) -> None:
    plain, mirrored = views(Augment()), views(Augment(mirror=True))
    answers = {v: k for k, v in plain.answer_ids.items()}
    swapped = same = 0
    for i in range(len(plain)):
        for epoch in range(6):
            pixels, rows, boxes, _ = mirrored[epoch, i]
            truth, _, own_boxes, _ = plain[0, i]
            is_mirrored = not torch.equal(pixels, truth)
            side = next(answers[r.answer] for r in rows if answers[r.answer].startswith("bên"))
            # Independent of the code's own bookkeeping: where are the bright pixels?
            half = pixels.float().sum(0).mean(0)
            assert side == ("bên trái" if half[:32].sum() > half[32:].sum() else "bên phải")
            swapped, same = swapped + is_mirrored, same + (not is_mirrored)
            assert boxes[0].x0 == pytest.approx(1 - own_boxes[0].x1 if is_mirrored else own_boxes[0].x0)
    assert swapped > 20
    assert same > 20


def test_the_same_epoch_gives_the_same_views_and_another_differs(views) -> None:
    augment = Augment(crop=0.5, mirror=True, rephrase=0.5, lose_words=0.2, fresh_negatives=0.5)
    a, b = views(augment)[3, 2], views(augment)[3, 2]
    assert torch.equal(a[0], b[0])
    assert a[1] == b[1]
    assert not torch.equal(a[0], views(augment)[4, 2][0])


def test_questions_about_what_is_cut_away_are_dropped(views) -> None:
    shown = views(Augment())
    rng = random.Random(0)
    name = shown.pictures.names[0]
    example = next(e for e in shown.examples[name] if e.kind == "presence" and e.answer == "có")
    scene = shown.dataset.scenes[name]
    assert shown._row(example, View(), scene, list(scene.boxes), True, rng) is not None
    assert shown._row(example, View(), scene, [], False, rng) is None


def test_where_to_look() -> None:
    labels = ["tôm", "cơm"]
    assert focus_label("presence", "trong ảnh có tôm không", "có", labels) == "tôm"
    assert focus_label("presence", "trong ảnh có tôm không", "không", labels) is None
    assert focus_label("count", "trong ảnh có mấy con tôm", "2", labels) == "tôm"
    assert focus_label("where", "món ở bên phải là gì", "cơm", labels) == "cơm"
    assert focus_label("name", "món này là món gì", "cơm tấm", labels) is None


def test_a_batch_holds_every_question_and_where_to_look(views) -> None:
    shown = views(Augment())
    items = [shown[0, i] for i in range(4)]
    batch = Collate(Labels.of(shown.dataset), 2)(items)
    assert batch.pixels.shape == (4, 3, 64, 64)
    assert len(batch.ids) == len(batch.answers) == sum(len(i[1]) for i in items) == 24
    assert batch.of.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    known = batch.focus.sum((1, 2))
    assert ((known == 0) | torch.isclose(known, torch.ones(()))).all()
    assert (known > 0).sum() == 12  # presence (có) and side of each picture
    assert batch.cover.amax((2, 3)).gt(0).sum(1).tolist() == [1] * 4


def test_relighting_changes_light_but_not_shape() -> None:
    x = torch.rand(4, 3, 8, 8) * 255
    assert relight(x, 0.0, torch.Generator()) is x
    lit = relight(x, 0.3, torch.Generator().manual_seed(1))
    assert lit.shape == x.shape
    assert lit.min() >= 0
    assert lit.max() <= 255
    assert not torch.allclose(lit, x)


def test_a_turned_box_follows_the_picture() -> None:
    picture = torch.zeros(3, 101, 101, dtype=torch.uint8)
    picture[:, 20:31, 70:81] = 255
    box = Box("x", 70 / 101, 20 / 101, 81 / 101, 31 / 101)
    for degrees in (-15.0, 8.0, 15.0):
        view = View(degrees=degrees)
        cut, (seen, share) = view.cut(picture, 101), view.see(box)
        ys, xs = torch.nonzero(cut[0] > 128, as_tuple=True)
        assert share > 0.99
        assert (seen.x0 + seen.x1) / 2 * 101 == pytest.approx(float(xs.float().mean()) + 0.5, abs=1.0)
        assert (seen.y0 + seen.y1) / 2 * 101 == pytest.approx(float(ys.float().mean()) + 0.5, abs=1.0)


def test_erasing_spares_what_is_labelled() -> None:
    rng = random.Random(1)
    pixels = torch.zeros(3, 40, 40, dtype=torch.uint8)
    changed = [bool(erase(pixels, [], rng).any()) for _ in range(20)]
    assert all(changed)
    whole = [
        erase(
            pixels, [Box("x", x / 10, y / 10, x / 10 + 0.05, y / 10 + 0.05) for x in range(10) for y in range(10)], rng
        )
    ]
    assert not any(bool(p.any()) for p in whole)
    assert not pixels.any()


def test_blending_keeps_the_picture_in_front() -> None:
    pixels = torch.stack([torch.full((3, 4, 4), 0.0), torch.full((3, 4, 4), 200.0)])
    for seed in range(10):
        mixed = blend(pixels, 0.3, torch.Generator().manual_seed(seed))
        assert mixed[0].max() <= 60.001
        assert mixed[1].min() >= 139.999
    assert any(blend(pixels, 0.3, torch.Generator().manual_seed(s))[0].max() > 10 for s in range(10))


def test_a_picture_with_questions_of_unknown_kind_is_shown_as_it_is(tiny_data: Path) -> None:
    dataset = load_dataset(tiny_data)
    dataset.splits["train"] = [replace(e, kind="any") for e in dataset.splits["train"]]
    pictures = Pictures(dataset.image_paths, dataset.images("train"), 64)
    vocabulary = Vocabulary(build_vocabulary(dataset))
    augment = Augment(crop=0.4, mirror=True)
    views = Views(dataset, "train", pictures, vocabulary, dataset.answers(), augment, 64, seed=1)
    for i in range(len(views)):
        assert torch.equal(views[3, i][0], pictures.pixels[i])
        assert len(views[3, i][1]) == 6


def test_odd_answers_and_missing_boxes_change_no_truth(tiny_data: Path) -> None:
    dataset = load_dataset(tiny_data)
    train = dataset.splits["train"]
    dataset.splits["train"] = [replace(e, answer="trái") if e.kind == "side" else e for e in train]
    dataset.scenes = {}
    pictures = Pictures(dataset.image_paths, dataset.images("train"), 64)
    vocabulary = Vocabulary(build_vocabulary(dataset))
    augment = Augment(mirror=True, fresh_negatives=1.0)
    views = Views(dataset, "train", pictures, vocabulary, dataset.answers(), augment, 64, seed=1)
    own = {vocabulary.encode(e.question).ids for e in dataset.splits["train"]}
    for i in range(len(views)):
        for epoch in range(4):
            assert all(tuple(r.ids) in own for r in views[epoch, i][1])
