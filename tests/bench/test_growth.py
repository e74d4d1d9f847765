"""bench.growth: what a curve says of made-up times, and that every curve is measured. How fast it is, no test asks."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from native_library import needs_native

from bench.growth import __main__ as command
from bench.growth import pictures, report, session, timing
from bench.growth.curves import ON_ONE_PROCESSOR, QUICK, Curve
from bench.growth.fit import Taken, exponent, grows_too_fast, straight_line
from edge_vqa import EdgeVQAError
from edge_vqa.image import MAX_PIXELS

WORK = (1, 2, 4, 8, 16, 32, 64, 128)


def times(cost, noise: float = 0.01, rounds: int = 50) -> list:
    random = np.random.default_rng(3)
    return [cost(w) * np.exp(random.normal(0, noise, (rounds, 2))) for w in WORK]


def test_a_power_is_found() -> None:
    found = exponent(WORK, times(lambda w: 0.3 * w**1.3))
    assert found["value"] == pytest.approx(1.3, abs=0.01)
    assert 0 < found["uncertainty"] < 0.05
    assert found["from"] == 16
    assert grows_too_fast(found)


def test_growth_in_step_is_not_too_fast() -> None:
    found = exponent(WORK, times(lambda w: 3.0 * w))
    assert found["value"] == pytest.approx(1, abs=0.02)
    assert not grows_too_fast(found)


def test_only_the_upper_half_counts() -> None:
    assert exponent(WORK, times(lambda w: max(100.0, w * 100 / 16)))["value"] == pytest.approx(1, abs=0.02)


def test_noise_does_not_condemn() -> None:
    found = exponent(WORK, times(lambda w: 3.0 * w**1.02, noise=1.0, rounds=5))
    assert found["uncertainty"] > 0.1
    assert not grows_too_fast(found)


def test_a_kink_widens_the_uncertainty() -> None:
    straight = exponent(WORK, times(lambda w: 3.0 * w))
    kinked = exponent(WORK, times(lambda w: 3.0 * w * (2 if w == 32 else 1)))
    assert kinked["uncertainty"] > 10 * straight["uncertainty"]


def test_what_no_work_costs_can_be_taken_off() -> None:
    base = np.full((50, 2), 100.0)
    with_base = times(lambda w: 100 + 0.5 * w**1.5, noise=1e-4)
    assert exponent(WORK, with_base)["value"] < 0.9
    assert exponent(WORK, with_base, base)["value"] == pytest.approx(1.5, abs=0.05)
    assert exponent(WORK, times(lambda w: 50.0), base) is None  # dearer without work than with it


def test_too_few_points_have_no_exponent() -> None:
    assert exponent(WORK[:2], times(lambda w: w)[:2]) is None


def test_the_line_gives_back_what_it_was_made_of() -> None:
    assert straight_line(WORK, [7 + 0.25 * w for w in WORK]) == pytest.approx({"fixed": 7, "per_unit": 0.25})


def test_turns_move_on() -> None:
    order: list[str] = []
    found = timing.take_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=2, burst=2)
    assert "".join(order) == "aaabbb" + "bbbaaa"
    assert [part.shape for t in found for part in t] == [(2, 2)] * 4
    assert all((part > 0).all() for t in found for part in t)


def test_waiting_is_on_the_wall_only() -> None:
    (found,) = timing.take_turns([lambda: time.sleep(0.02)], rounds=2)
    assert (found.wall >= 20).all()
    assert (found.busy < 10).all()


def test_sizes_are_within_what_is_read() -> None:
    for megapixels in (0.05, 1, 12, 50):
        width, height = pictures.size_of(megapixels)
        assert width * height <= min(megapixels * 1e6, MAX_PIXELS)
        assert width * height > 0.98e6 * megapixels


def test_jpegs_have_as_many_bytes_a_pixel_at_every_size() -> None:
    rates = []
    for megapixels in (0.1, 1, 3):
        width, height = pictures.size_of(megapixels)
        rates.append(len(pictures.jpeg(pictures.mosaic(width, height))) / (width * height))
    assert max(rates) < 1.3 * min(rates)
    assert 0.15 < min(rates) < 0.6  # 12 megapixels of a phone: 2 to 6 MB


def test_memory_is_that_of_the_process_alone(tmp_path: Path) -> None:
    """What is started must not count the 200 MB that are held here, but its own picture."""
    held = np.ones(200_000_000, np.uint8)
    peaks = []
    for megapixels in (0.1, 20):
        width, height = pictures.size_of(megapixels)
        np.save(tmp_path / "a.npy", pictures.mosaic(width, height))
        peaks.append(timing.in_process("take_picture", "array", tmp_path / "a.npy"))
    assert peaks[0] < 150
    assert peaks[1] - peaks[0] > 3 * 19.5  # the array itself, 3 bytes a pixel
    assert held[-1] == 1


def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(EdgeVQAError, match="none.jpg"):
        timing.in_process("take_picture", "jpeg", tmp_path / "none.jpg")


def made_up(name: str, cost) -> Curve:
    return Curve(name, name, "thing", WORK, both(times(cost)))


def both(values: list) -> list[Taken]:
    return [Taken(v, v) for v in values]


def by_threads(*milliseconds: float) -> Curve:
    return Curve("threads", "threads", "thread", (1, 2), both([np.full((5, 2), t) for t in milliseconds]))


@pytest.fixture
def result() -> dict:
    curves = [made_up("pictures", lambda w: 5.0 * w), made_up("words", lambda w: 0.1 * w**1.2)]
    curves.append(by_threads(3.0, 2.0))
    about = {
        "date": "2026-01-01", "processor": "P", "processors": 2, "system": "Linux", "python": "3.11",
        "engine": "native", "isa": "avx2", "load": [0.1, 0.2],
    }  # fmt: skip
    return {**about, "curves": {c.name: session.of_curve(c) for c in curves}}


def test_the_last_line(result: dict) -> None:
    assert session.last_line(result) == (
        "pictures=1.00 questions=n/a words=1.20 size=n/a arrays=n/a width=n/a side=n/a threads=0.75 "
        "memory_pictures=n/a memory_size=n/a memory_arrays=n/a too_fast=words"
    )


def test_waiting_more_often_is_no_growth() -> None:
    busy = times(lambda w: 2.0 * w)
    wall = [b * (1 if w < 16 else w / 8) for w, b in zip(WORK, busy)]
    found = session.of_curve(Curve("a", "a", "thing", WORK, [Taken(w, b) for w, b in zip(wall, busy)]))
    assert not found["too_fast"]
    assert found["points"][-1]["median"] == pytest.approx(16 * found["points"][-1]["busy"])


def test_threads_that_slow_down_are_too_many() -> None:
    found = session.of_curve(by_threads(2.0, 3.0))
    assert found["too_fast"]
    assert found["points"][1]["speed_up"] == pytest.approx(2 / 3)


def test_an_earlier_result_is_shown_and_fills_documents(result: dict, tmp_path: Path, capsys) -> None:
    pytest.importorskip("matplotlib")
    earlier, document, plot = tmp_path / "r.json", tmp_path / "growth.md", tmp_path / "p.png"
    earlier.write_text(json.dumps(result))
    document.write_text(
        "a\n<!-- growth -->\n<!-- /growth -->\nb\n<!-- growth-points -->\nold\n<!-- /growth-points -->\nc"
    )
    assert command.main(["--from", str(earlier), "--fill", str(document), "--plot", str(plot)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == session.last_line(result)
    text = document.read_text()
    assert "1.20 ± 0.0" in text and "**faster than its work**" in text
    assert "1.50 times as fast with 2, efficiency 0.75" in text
    assert "Grows faster than its work: words." in text and "old" not in text
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.017384, "0.0174"), (5.0, "5"), (1234.5, "1234"), (12.345, "12.3"), (0, "0"), (-0.5, "-0.500")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert report.number(value) == text


@needs_native
def test_every_curve_is_measured(tmp_path: Path, capsys, monkeypatch) -> None:
    small = QUICK.__class__(
        rounds=2, picture_rounds=1, runs=1, pictures=(1, 2, 3), questions=(1, 2, 3), words=(1, 2, 3),
        megapixels=(0.05, 0.06, 0.07), widths=(0.25, 0.35, 0.5), sides=(96, 128, 160),
    )  # fmt: skip
    monkeypatch.setattr(command, "QUICK", small)
    out, before = tmp_path / "r.json", timing.usable_processors()
    assert command.main(["--quick", "--json", str(out)]) == 0
    assert timing.usable_processors() == before
    result = json.loads(out.read_text())
    assert set(result["curves"]) == set(session.LINE)
    assert {name for name in ON_ONE_PROCESSOR} <= set(session.LINE)
    assert [p["label"] for p in result["curves"]["width"]["points"]] == ["0.25", "0.35", "0.5"]
    macs = [p["work"] for p in result["curves"]["side"]["points"]]
    assert macs[2] / macs[0] == pytest.approx((160 / 96) ** 2, rel=0.01)
    assert all(
        p["runs"] >= 1 and p["p5"] <= p["median"] <= p["p95"] for c in result["curves"].values() for p in c["points"]
    )
    assert "pictures=" in capsys.readouterr().out.splitlines()[-1]


def test_mistakes(tmp_path: Path, capsys) -> None:
    assert command.main(["--from", str(tmp_path / "none.json")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(SystemExit) as stopped:
        command.main(["--only", "colour"])
    assert stopped.value.code == 2
