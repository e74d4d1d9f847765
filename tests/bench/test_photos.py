"""Photos are what they are called, every route to pixels is right, figures add up; who is how fast, no test asks."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from tiny_data import make_dataset

from bench.photos import __main__ as command
from bench.photos import accuracy, maker, measure, quality, report, routes, session
from bench.photos.session import Plan
from edge_vqa.errors import DataError

SIDE = 64
CORNERS = {(0, 0): (220, 30, 30), (1, 0): (30, 160, 40), (0, 1): (40, 50, 210), (1, 1): (240, 240, 240)}
FIGURE = r"([+-]?\d+\.\d+|n/a)"
LAST_LINE = rf"photos_1mp={FIGURE} photos_12mp={FIGURE} psnr_12mp={FIGURE} accuracy_change={FIGURE}"


def corners(size: int = 40) -> Image.Image:
    """A colour of its own in each quarter: (across, down) -> RGB in CORNERS."""
    picture = Image.new("RGB", (size, size))
    for (x, y), colour in CORNERS.items():
        picture.paste(colour, (x * size // 2, y * size // 2, (x + 1) * size // 2, (y + 1) * size // 2))
    return picture


def smooth(size: int = 48) -> Image.Image:
    """Without edges, so that every filter gives about the same."""
    down, across = np.mgrid[0:size, 0:size] * (200 / size) + 20
    return Image.fromarray(np.stack([across, down, (across + down) / 2], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(("megapixels", "size"), [(0.05, (258, 194)), (1, (1155, 866)), (12, (4000, 3000))])
def test_the_size_is_so_many_megapixels_four_to_three(megapixels: float, size: tuple[int, int]) -> None:
    assert maker.size_of(megapixels) == size
    assert size[0] * size[1] / 1e6 == pytest.approx(megapixels, rel=0.01)


def test_a_photo_is_the_same_every_time_and_another_with_another_seed() -> None:
    first = maker.make_photo(corners(), 0.05, seed=3)
    assert maker.make_photo(corners(), 0.05, seed=3) == first
    assert maker.make_photo(corners(), 0.05, seed=4) != first
    assert Image.open(io.BytesIO(first)).size == (258, 194)


def test_each_kind_is_stored_as_it_is_called() -> None:
    files = {kind: maker.make_photo(corners(), 0.05, 0, kind) for kind in maker.KINDS}
    opened = {kind: Image.open(io.BytesIO(data)) for kind, data in files.items()}
    sampling = {kind: JpegImagePlugin.get_sampling(picture) for kind, picture in opened.items()}
    assert sampling == {"4:2:0": 2, "restart markers": 2, "4:2:2": 1, "4:4:4": 0, "progressive": 2}
    assert [kind for kind, picture in opened.items() if "progressive" in picture.info] == ["progressive"]
    assert [kind for kind, data in files.items() if b"\xff\xdd" in data] == ["restart markers"]


def test_grain_is_grey_and_of_the_stated_deviation() -> None:
    grainy = maker.add_grain(np.full((600, 200, 3), 128, np.uint8), seed=1).astype(int) - 128
    assert (grainy[:, :, 0] == grainy[:, :, 1]).all() and (grainy[:, :, 0] == grainy[:, :, 2]).all()
    assert grainy.std() == pytest.approx(maker.GRAIN, rel=0.02)
    assert abs(grainy.mean()) < 0.1
    assert (grainy[:256] != grainy[256:512]).any()


def test_a_whole_photo_keeps_the_pictures_shape() -> None:
    photo = Image.open(io.BytesIO(maker.make_whole_photo(Image.new("RGB", (30, 60)), 0.08, seed=0)))
    assert photo.size == (200, 400)


def test_pictures_come_evenly_spaced_from_a_data_set_or_are_the_examples(tmp_path: Path) -> None:
    make_dataset(tmp_path, count=16)
    found = maker.pictures(tmp_path, "val", 2)
    assert [p.size for p in found] == [(96, 80)] * 2  # of 4: the first and the third
    assert found[1].tobytes() == maker.read_picture(tmp_path / "images" / "hình 11.png").tobytes()
    assert len(maker.pictures(None, "val", 3)) == 3
    with pytest.raises(DataError, match="holds no pictures of test"):
        maker.pictures(tmp_path, "test", 2)


def test_psnr_is_that_of_a_hand_worked_example() -> None:
    # One of four values is off by 10: mean square 25, 255^2 / 25 = 2601, 10 log10(2601) = 34.151.
    assert quality.psnr(np.array([10, 20, 30, 40], np.uint8), np.array([10.0, 20, 30, 50])) == pytest.approx(
        34.1514, abs=1e-4
    )
    assert quality.psnr(np.zeros(4, np.uint8), np.zeros(4)) == math.inf


def test_the_area_truth_weighs_parts_of_pixels() -> None:
    row = np.repeat(np.array([0, 30, 60], np.uint8)[None, :, None], 3, axis=2).repeat(3, axis=0)
    found = quality.truth(row, 2, "area")
    # 1.5 pixels each: (0 + 30 / 2) / 1.5 and (30 / 2 + 60) / 1.5
    assert found[:, :, 0] == pytest.approx(np.array([[10.0, 50.0]] * 2))


@pytest.mark.parametrize(
    ("name", "filter_"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_the_other_truths_are_pillows_filters_without_its_rounding(name: str, filter_: Image.Resampling) -> None:
    picture = maker.add_grain(np.asarray(corners(150)), seed=0)
    wanted = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), filter_), np.float32)
    found = quality.truth(picture, SIDE, name)
    assert found.dtype == np.float32 and (found != np.rint(found)).any()
    assert np.abs(found.clip(0, 255) - wanted).max() < 1.01


@pytest.mark.parametrize("name", quality.TRUTHS)
def test_no_truth_moves_or_darkens_a_smooth_picture(name: str) -> None:
    picture = np.asarray(smooth(640))
    found = quality.truth(picture, SIDE, name)
    wanted = picture.reshape(SIDE, 10, SIDE, 10, 3).mean(axis=(1, 3))
    assert np.abs(found - wanted)[2:-2, 2:-2].max() < 0.5


@pytest.mark.parametrize("name", routes.open_routes()[0])
@pytest.mark.parametrize("kind", maker.KINDS)
def test_every_route_gives_the_picture_upright_in_its_colours(name: str, kind: str) -> None:
    photo = maker.make_photo(corners(), 0.3, 0, kind)
    pixels = routes.as_array(routes.open_routes()[0][name](photo, SIDE), SIDE)
    quarter = SIDE // 4
    for (x, y), colour in CORNERS.items():
        middle = pixels[(1 + 2 * y) * quarter - 4 :, (1 + 2 * x) * quarter - 4 :][:8, :8].reshape(-1, 3)
        assert np.abs(middle.mean(axis=0) - colour).max() < 5, (x, y)


@pytest.mark.parametrize("megapixels", [1, 2, 4.3])
def test_ours_is_near_the_truth_where_sides_are_no_multiples_of_the_scale(megapixels: float) -> None:
    # A picture stretched by the part of a pixel that the last block lacks stays under 48 dB.
    photo = maker.make_photo(maker.pictures(None, "val", 1)[0], megapixels, seed=0)
    pixels = routes.as_array(routes.open_routes()[0][routes.OURS](photo, 224), 224)
    assert quality.psnr(pixels, quality.truth(quality.decode_full(photo), 224, "bilinear")) > 50


def test_a_missing_library_is_said_and_its_routes_are_left_out(monkeypatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(routes, "importlib", type("Fake", (), {"import_module": staticmethod(absent)}))
    found, left_out = routes.open_routes()
    assert list(found) == [routes.OURS, routes.PLAIN, routes.DEFAULT, "Pillow draft, BILINEAR"]
    assert left_out == {
        "OpenCV": "not installed (No module named 'cv2')",
        "simplejpeg": "not installed (No module named 'simplejpeg')",
    }


def test_they_take_turns_and_the_first_place_moves_on() -> None:
    order: list[str] = []
    times = measure.take_turns({n: lambda n=n: order.append(n) for n in "ab"}, rounds=3, burst=2)
    assert "".join(order) == "aaabbb" + "bbbaaa" + "aaabbb"
    assert {n: len(t) for n, t in times.items()} == {"a": 6, "b": 6}


def test_the_summary_is_that_of_the_values() -> None:
    found = measure.summary([float(v) for v in range(100, -1, -1)])
    assert found == {"median": 50, "p5": pytest.approx(5), "p95": pytest.approx(95), "least": 0, "runs": 101}


def test_memory_is_what_the_route_takes(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(maker.make_photo(corners(), 4.8, seed=0))
    plain = measure.memory_of(routes.PLAIN, photo, SIDE)
    if plain is None:
        pytest.skip("this system does not tell")
    assert plain > 14  # 4.8 million pixels of 3 bytes
    assert 0 <= measure.memory_of(routes.OURS, photo, SIDE) < 5


def test_more_runs_for_smaller_photos() -> None:
    plan = Plan(pixels=100e6, least_runs=5, most_runs=50)
    assert [plan.runs(mp) for mp in (0.05, 4, 48)] == [50, 25, 5]


def test_ratios_and_quality_are_ours_and_the_plain_ways() -> None:
    def photo(megapixels: float, kind: str, ours: float, plain: float) -> dict:
        times = {routes.OURS: {"median": ours}, routes.PLAIN: {"median": plain}}
        return {"megapixels": megapixels, "kind": kind, "times": times}

    photos = [photo(1, "4:2:0", 2, 5), photo(12, "4:2:0", 10, 60), photo(12, "progressive", 9, 9)]
    result = {
        "photos": photos, "quality": {"12": {routes.OURS: {"bilinear": {"mean": 51.26}}}}, "accuracy": {"change": -0.04}
    }  # fmt: skip
    assert report.last_line(result) == "photos_1mp=2.50 photos_12mp=6.00 psnr_12mp=51.3 accuracy_change=-0.04"
    nothing = {"photos": photos[:1], "quality": {}, "accuracy": None}
    assert report.last_line(nothing) == "photos_1mp=2.50 photos_12mp=n/a psnr_12mp=n/a accuracy_change=n/a"


@pytest.fixture
def small(monkeypatch) -> None:
    """A plan that takes a second."""

    def plan(**options: object) -> Plan:
        return Plan(
            sizes=(0.05, 0.3), kinds=("4:2:0",), quality_sizes=(0.3, 1), quality_pictures=2, least_runs=2, most_runs=2,
            **options,
        )  # fmt: skip

    monkeypatch.setattr(command, "Plan", plan)
    monkeypatch.setattr(session, "LARGE", 0.1)
    monkeypatch.setattr(session, "memory_of", lambda *_: 1.5)
    monkeypatch.setattr(command.os, "sched_setaffinity", lambda *_: None, raising=False)


def test_a_result_survives_json_and_fills_a_document(small, tmp_path: Path, capsys) -> None:
    make_dataset(tmp_path / "data")
    out, document = tmp_path / "result.json", tmp_path / "page.md"
    document.write_text("Before\n<!-- photos -->\n<!-- /photos -->\nafter\n", encoding="utf-8")
    asked = ["--data", str(tmp_path / "data"), "--split", "val", "--limit", "2"]
    assert command.main([*asked, "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert re.fullmatch(LAST_LINE, printed.splitlines()[-1])
    assert (result["accuracy"]["pictures"], result["accuracy"]["questions"]) == (2, 12)
    assert [(p["width"], p["height"]) for p in result["photos"]] == [(258, 194), (632, 474)]
    assert list(result["frames"]) == ["640 x 480", "1280 x 720", "1920 x 1080"]
    assert result["quality"]["0.3"][routes.PLAIN]["bilinear"]["least"] > 55  # it is this truth, rounded
    assert "Quality, 1 megapixels" in printed and "Quality over sizes" in printed
    assert command.main(["--from", str(out), "--fill", str(document)]) == 0
    assert capsys.readouterr().out == printed
    text = document.read_text(encoding="utf-8")
    assert text.startswith("Before\n<!-- photos -->\n**0.05 megapixels (258 x 194") and text.endswith("after\n")
    assert f"| {routes.PLAIN} | " in text


def test_the_plot_shows_every_route(small, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert command.main(["--plot", str(tmp_path / "plot.png")]) == 0
    assert Image.open(tmp_path / "plot.png").size[0] > 800


def test_accuracy_is_asked_photo_by_photo(tmp_path: Path, monkeypatch) -> None:
    make_dataset(tmp_path)
    made: list[int] = []

    def make(picture: Image.Image, megapixels: float, seed: int) -> bytes:
        made.append(seed)
        return maker.make_whole_photo(picture, megapixels, seed)

    monkeypatch.setattr(accuracy, "make_whole_photo", make)
    stream = accuracy.photos(tmp_path, "val", 3, 0.06)
    photo, questions = next(stream)
    assert made == [0]
    assert len(photo) < 60_000 and Image.open(io.BytesIO(photo)).size == (268, 224)
    assert [q.image for q in questions] == ["hình 3.png"] * 6
    assert [q[0].image for _, q in stream] == ["hình 19.png", "hình 35.png"]


def test_accuracy_of_a_large_photo_is_that_of_the_small_one(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    found = accuracy.measure_accuracy(tmp_path, "val", 3, 0.3, lambda _: None)
    assert (found["pictures"], found["questions"]) == (3, 18)
    assert found["model"] == "mobilenetv2-lstm-attention"
    for name in (routes.OURS, routes.PLAIN, accuracy.TRUTH):
        assert found["routes"][name]["other_than_truth"] <= 2
    assert found["change"] == pytest.approx(
        found["routes"][routes.OURS]["accuracy"] - found["routes"][routes.PLAIN]["accuracy"]
    )


def test_the_score_is_counted_by_question() -> None:
    answers = {
        routes.OURS: ["có", "không", "cơm", "ba"], routes.PLAIN: ["có", "có", "cơm", "hai"],
        accuracy.TRUTH: ["có", "không", "cơm", "hai"],
    }  # fmt: skip
    found = accuracy.score(answers, ["có", "có", "cơm", "một"])
    assert found["change"] == -25
    assert found["routes"][routes.OURS] == {"accuracy": 50, "other_than_plain": 2, "other_than_truth": 1}
    assert found["routes"][accuracy.TRUTH] == {"accuracy": 50, "other_than_plain": 1, "other_than_truth": 0}


@pytest.mark.parametrize("main", [command.main, accuracy.main])
def test_a_missing_folder_is_one_line_of_error(main, tmp_path: Path, capsys) -> None:
    assert main(["--data", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("error: ") and "no such folder" in said[0]


def test_a_split_without_questions_is_said(tmp_path: Path, capsys) -> None:
    make_dataset(tmp_path)
    assert accuracy.main(["--data", str(tmp_path), "--split", "test"]) == 1
    assert "no test.csv" in capsys.readouterr().err


def test_accuracy_needs_no_pytorch() -> None:
    program = "import sys, bench.photos.accuracy; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=measure.ROOT).returncode == 0
