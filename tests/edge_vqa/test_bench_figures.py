"""The statistics, verdicts, warnings and comparisons of edge_vqa.bench, on examples worked out by hand."""

import io
import json
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_vqa.bench import cautions, compare, measure, progress, report, result_file, sustained, timing
from edge_vqa.bench.pictures import draw
from edge_vqa.bench.plan import Plan
from edge_vqa.bench.sensors import Sensors


def test_median_and_percentiles_of_a_hand_worked_example() -> None:
    found = timing.summary([5, 1, 4, 2, 3])
    # Positions 0.2 and 3.8 between the sorted 1 2 3 4 5.
    assert found == {"median": 3, "p5": pytest.approx(1.2), "p95": pytest.approx(4.8), "least": 1, "most": 5, "runs": 5}
    assert timing.median([1, 2, 3, 10]) == 2.5
    assert timing.summary([7.0]) == {"median": 7, "p5": 7, "p95": 7, "least": 7, "most": 7, "runs": 1}


def test_percentiles_are_those_of_the_standard_library() -> None:
    values = [random.Random(3).lognormvariate(0, 1) for _ in range(101)]
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    assert timing.quantile(values, 0.05) == pytest.approx(cuts[0])
    assert timing.quantile(values, 0.95) == pytest.approx(cuts[-1])


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.now = 0.0
        monkeypatch.setattr(module.time, "perf_counter_ns", lambda: round(self.now * 1e9))
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)

    def work(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("seconds", "budget", "warm_up", "runs"),
    [
        (0.001, timing.Budget(2.0, 1000), 5, 1000),
        (0.01, timing.Budget(2.0, 1000), 5, 200),
        (30.0, timing.Budget(2.0, 1000), 1, 3),
        (0.5, timing.Budget(2.0, 1000, 5), 1, 5),
        (0.01, timing.fixed(7), 1, 7),
    ],
)
def test_how_often_something_is_timed(
    monkeypatch: pytest.MonkeyPatch, seconds: float, budget: timing.Budget, warm_up: int, runs: int
) -> None:
    clock, calls = Clock(monkeypatch, timing), []

    def call() -> None:
        calls.append(None)
        clock.work(seconds)

    times = timing.timed(call, budget)
    assert len(times) == runs
    assert len(calls) == runs + warm_up
    assert times == pytest.approx([seconds * 1e3] * runs)


def test_pictures_are_the_same_every_time_and_show_more_than_noise() -> None:
    one, two = draw("small", 224, 160), draw("small", 224, 160)
    assert one == two
    image = Image.open(io.BytesIO(one.content))
    assert (image.size, image.mode, image.format) == ((224, 160), "RGB", "JPEG")
    smooth = image.resize((28, 20), Image.Resampling.BOX).convert("L")
    assert statistics.pstdev(smooth.tobytes()) > 20
    assert (draw("12mp", 1600, 1200).label, one.label) == ("JPEG, 2 megapixels", "JPEG, 224 x 160")


def test_opening_and_the_first_answer_are_timed_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock(monkeypatch, timing)

    class SlowVQA:
        def __init__(self, *options: Any) -> None:
            clock.work(0.5)

        def ask(self, *asked: Any) -> None:
            clock.work(0.125)

    monkeypatch.setattr(measure, "VQA", SlowVQA)
    session = measure.Session.__new__(measure.Session)
    session.plan, session.sensors, session.rows, session.during = Plan(runs=3), Sensors(str(tmp_path)), [], []
    session.small = draw("small", 16, 16)
    session.opening()
    assert [(row["key"], row["times"]) for row in session.rows] == [("open", [500] * 3), ("first_answer", [125] * 3)]


def test_thread_counts() -> None:
    assert [measure.thread_counts(n) for n in (1, 4, 6, 16)] == [
        [1],
        [1, 2, 3, 4],
        [1, 2, 3, 4, 6],
        [1, 2, 3, 4, 8, 16],
    ]


def intervals(*medians: float) -> list[dict[str, Any]]:
    return [
        {
            "median": m, "p5": m, "p95": m, "runs": 9, "from_s": 5.0 * i, "to_s": 5.0 * i + 5, "celsius": 50 + i,
            "mhz": 1500, "throttled": [],
        }
        for i, m in enumerate(medians)
    ]  # fmt: skip


def test_a_run_that_slows_down_is_found_with_when_and_how_much() -> None:
    found = sustained.verdict(intervals(10, 10, 10, 10, 10, 10, 15, 15, 15, 15))
    assert found["verdict"] == "slowed"
    assert found["change"] == pytest.approx(0.5)
    assert found["from_s"] == 30
    said = sustained.sentence(found, False, 50)
    assert "slowed by 50%, from 30 s on: 10 ms at first, 15 ms in the end" in said


def test_one_slow_interval_is_not_the_beginning_of_the_slow_part() -> None:
    found = sustained.verdict(intervals(10, 10, 10, 16, 10, 10, 10, 10, 10, 15, 15, 15))
    assert (found["verdict"], found["from_s"]) == ("slowed", 45)


def test_a_change_within_the_spread_is_none() -> None:
    # The end's medians spread from 9.1 to 11.9 around 10.5: wider than the 5% from 10 to 10.5.
    found = sustained.verdict(intervals(10, 10, 10, 10, 10, 9, 10.5, 12))
    assert found["verdict"] == "steady"
    assert found["spread"] == pytest.approx((11.85 - 9.15) / 10.5)
    assert "did not slow down" in sustained.sentence(found, False, 40)
    assert sustained.verdict(intervals(*[10, 10.1] * 10))["verdict"] == "steady"
    # Beginning and end are calm, 10 and 11; but from one interval to the next it usually changes by 1, so twice that.
    found = sustained.verdict(intervals(10, 10, 10, 12, 11, 12, 11, 12, 10, 11, 11, 11))
    assert (found["verdict"], found["spread"]) == ("steady", pytest.approx(0.2))


def test_the_slow_part_never_begins_within_the_beginning() -> None:
    found = sustained.verdict(intervals(10.4, 10, 10, 10.6, 10.6, 10.6, 10.6, 10.6, 10.6))
    assert (found["verdict"], found["from_s"]) == ("slowed", 15)


def test_a_run_that_was_slow_in_between_and_one_that_became_quicker() -> None:
    found = sustained.verdict(intervals(10, 10, 10, 20, 20, 20, 10, 10, 10))
    assert (found["verdict"], found["worst"], found["worst_s"]) == ("steady", 1.0, 15)
    assert "slower in between, by 100% at 15 s" in sustained.sentence(found, False, 45)
    found = sustained.verdict(intervals(10, 10, 10, 5, 5, 5))
    assert (found["verdict"], found["change"]) == ("quicker", -0.5)
    assert "quicker by 50%" in sustained.sentence(found, False, 30)


def test_too_few_intervals_give_no_verdict() -> None:
    found = sustained.verdict(intervals(1, 2, 3, 4, 5))
    assert (found["verdict"], found["intervals"]) == ("short", 5)
    assert sustained.sentence(found, True, 600) == (
        "too short for a verdict: 5 intervals, 6 are needed; 50 °C at first, 54 °C at most "
        "(ended early, of 10.0 min planned)"
    )
    assert sustained.verdict([])["sensed"] == {"celsius": None, "mhz": None, "held_back": []}


def test_what_the_board_said_of_clock_and_flags_is_part_of_the_verdict() -> None:
    told = intervals(*[10] * 6)
    told[4]["mhz"], told[5]["throttled"] = 600, ["throttled"]
    said = sustained.sentence(sustained.verdict(told), False, 30)
    assert said.endswith("55 °C at most; the clock fell from 1500 to 600 MHz; the board said: throttled")


def test_a_sustained_run_on_a_board_that_throttles(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, sustained)
    found = sustained.sustain(
        lambda: clock.work(0.1 if clock.now < 60 else 0.2),
        120,
        lambda: {"celsius": 80.0, "mhz": None, "throttled": None},
    )
    assert len(found["intervals"]) == 24
    assert found["every_s"] == 5
    assert {round(i["median"]) for i in found["intervals"]} == {100, 200}
    assert found["verdict"]["change"] == pytest.approx(1.0)
    assert found["verdict"]["from_s"] == pytest.approx(60, abs=5.1)
    assert not found["ended_early"]


def test_a_sustained_run_that_is_interrupted_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, sustained)

    def call() -> None:
        clock.work(0.5)
        if clock.now > 42:
            raise KeyboardInterrupt

    found = sustained.sustain(call, 600, lambda: {"celsius": None, "mhz": None, "throttled": None})
    assert found["ended_early"]
    assert len(found["intervals"]) == 8
    assert found["verdict"]["verdict"] == "steady"


def row(key: str, median: float, p5: float, p95: float, unit: str = "ms") -> dict[str, Any]:
    return {
        "key": key,
        "label": key,
        "unit": unit,
        "median": median,
        "p5": p5,
        "p95": p95,
        "runs": 20,
        "times": [median],
    }


def result(**changes: Any) -> dict[str, Any]:
    """A result without anything to warn of."""
    about = {"before": {"governors": [], "throttled": None}, "after": {}, "during": [], "busy_before": None}
    return {
        "schema": "edge_vqa.bench", "schema_version": 1, "date": "2026-01-02T03:04:05+00:00", "interrupted": None,
        "seconds": 60.0, "failed": {}, "left_out": {}, "warnings": [], "memory": None, "sustained": None, "answers": {},
        "setup": {
            "edge_vqa": "0.4.0", "python": "CPython 3.11.2", "pillow": "9.4.0", "threads": 4, "question": "gì",
            "words": 1, "environment": {}, "options": {}, "pictures": [{"name": "1mp", "bytes": 9, "sha256": "ab"}],
            "engine": {"name": "native", "version": "0.4.0", "level": "neon", "library_sha256": "0123456789"},
            "model": {"name": "m", "precision": "int8", "files": [{"file": "m.evqa", "bytes": 1, "sha256": "cd"}]},
        },
        "machine": {
            "board": "Raspberry Pi 4", "processor": "4 x Cortex-A72", "processors": 4, "usable": 4, "quota": None,
            "caches": [], "memory_mb": 4000.0, "available_mb": 3000.0, "system": "Linux", "machine": "aarch64",
            "bits": 64, "libc": None, "distribution": None, "container": None, "virtual": False, "emulated": None,
        },
        "sensors": about,
        "measurements": [row("encoder", 10, 9, 11), row("batch.1", 20, 19, 21, "pictures/s")],
        **changes,
    }  # fmt: skip


def abouts(**changes: Any) -> list[str]:
    return [found["about"] for found in cautions.find(result(**changes))]


def sensors(**changes: Any) -> dict[str, Any]:
    return {**result()["sensors"], **changes}


def flags(now: list[str], since: list[str]) -> dict[str, Any]:
    return {"throttled": {"value": "", "source": "", "now": now, "since_start": since}, "governors": []}


def test_nothing_wrong_no_warning() -> None:
    assert cautions.find(result()) == []


def test_every_warning_says_what_to_do() -> None:
    group = {"governor": "ondemand", "scaling_max_freq_mhz": 1500, "cpuinfo_max_freq_mhz": 1800}
    machine = {**result()["machine"], "usable": 1, "quota": 0.5, "emulated": "aarch64 on Xeon", "available_mb": 50.0}
    setup = {**result()["setup"], "environment": {"EDGE_VQA_ISA": "scalar"}}
    setup["engine"] = {**setup["engine"], "name": "reference"}
    during = [
        {"celsius": 76.0, "mhz": 1500.0, "throttled": ["throttled"]},
        {"celsius": 60.0, "mhz": 600.0, "throttled": []},
    ]
    told = sensors(
        before={**flags([], ["clock capped"]), "governors": [group]},
        after=flags([], ["clock capped", "throttled", "voltage too low"]),
        during=during,
        busy_before={"processors": 0.4, "programs": [{"name": "chromium", "processors": 0.3}]},
    )
    found = cautions.find(result(machine=machine, setup=setup, sensors=told, measurements=[row("encoder", 10, 5, 11)]))
    assert [f["about"] for f in found] == [
        "throttled", "throttled", "throttled", "governor", "clock", "clock", "heat", "quota", "processors",
        "processors", "emulation", "memory", "load", "engine", "engine", "noise",
    ]  # fmt: skip
    assert all(f["advice"] for f in found)
    texts = " ".join(f["text"] for f in found)
    for said in ("chromium (0.30)", "600 to 1500 MHz", "at most 1500 of 1800", "scalar", "76 °C", "0.5 of 1"):
        assert said in texts
    assert "voltage too low" in found[1]["text"] and "during the run" in found[1]["text"]
    assert "clock capped" in found[2]["text"] and "since it was started" in found[2]["text"]


def test_flags_that_came_up_during_the_run_are_told_apart_from_old_ones() -> None:
    (fresh,) = cautions.find(result(sensors=sensors(before=flags([], []), after=flags([], ["throttled"]))))
    assert "during the run: throttled" in fresh["text"]
    (old,) = cautions.find(result(sensors=sensors(before=flags([], ["throttled"]), after=flags([], ["throttled"]))))
    assert "since it was started: throttled" in old["text"]


@pytest.mark.parametrize(
    ("limit", "celsius", "warned"), [(None, 74, False), (None, 75, True), (60, 56, True), (95, 85, False)]
)
def test_hot_is_what_is_near_the_boards_own_limit(limit: float | None, celsius: float, warned: bool) -> None:
    during = [{"celsius": celsius, "mhz": None, "throttled": None}]
    told = sensors(before={"governors": [], "throttled": None, "limit_celsius": limit}, during=during)
    assert abouts(sensors=told) == ["heat"] * warned


def test_heat_of_the_sustained_run_counts() -> None:
    found = {"intervals": intervals(*[10] * 30), "verdict": {}, "growth_mb": None}
    assert abouts(sustained=found) == ["heat"]


def test_few_runs_and_memory_are_never_called_noisy() -> None:
    assert abouts(measurements=[{**row("encoder", 10, 1, 30), "runs": 3}]) == []
    assert abouts(measurements=[row("memory", 10, 1, 30, "MB")]) == []


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (row("x", 10, 9, 11), row("x", 10.5, 9.8, 12), "within the spread"),
        (row("x", 10, 9, 21), row("x", 20, 19, 21), "B is slower, but A varies as much"),
        (row("x", 10, 9, 11), row("x", 20, 9.5, 21), "B is slower, but B varies as much"),
        (row("x", 10, 9, 11), row("x", 20, 19, 21), "B is slower"),
        (row("x", 10, 9, 11), row("x", 5, 4, 6), "B is quicker"),
        (row("x", 10, 9, 11, "pictures/s"), row("x", 5, 4, 6, "pictures/s"), "B is slower"),
        (row("x", 10, 9, 11, "pictures/s"), row("x", 20, 19, 21, "pictures/s"), "B is quicker"),
        (row("x", 10, 9, 11, "MB"), row("x", 5, 4, 6, "MB"), "B needs less"),
        (row("x", 10, 9, 11, "MB"), row("x", 20, 19, 21, "MB"), "B needs more"),
    ],
)
def test_a_difference_is_judged_by_the_spread(a: dict[str, Any], b: dict[str, Any], said: str) -> None:
    assert compare.judgement(a, b) == said


def test_a_comparison_has_ratios_and_names_what_differs() -> None:
    other = result(measurements=[row("encoder", 25, 24, 26), row("open", 1, 1, 1)])
    other["machine"]["board"] = "Raspberry Pi 3"
    other["setup"]["threads"] = 1
    other["setup"]["engine"]["level"] = "neon32"
    other["setup"]["model"]["files"][0]["sha256"] = "ef"
    other["sensors"]["before"]["governors"] = [{"governor": "performance"}]
    other["warnings"] = [{"about": "heat", "text": "hot", "advice": "cool it"}]
    assert compare.table(result(), other)[1:] == [["encoder", "10.0 ms", "25.0 ms", "2.50", "B is slower"]]
    said = compare.notes(result(), other)
    assert "Different: board: A Raspberry Pi 4, B Raspberry Pi 3." in said
    assert "Different: threads: A 4, B 1." in said
    assert {note.split(":")[1] for note in said if note.startswith("Different")} == {
        " board", " threads", " engine", " model", " governor",
    }  # fmt: skip
    assert "Only A has: batch.1." in said and "Only B has: open." in said
    assert "B warns: hot." in said
    assert compare.notes(result(), result()) == ["Both have the same setup."]
    assert "| encoder | 10.0 ms | 25.0 ms | 2.50 | B is slower |" in compare.compare_markdown(result(), other)


def test_markdown_shows_stars_and_bars_as_they_are() -> None:
    told = sensors(not_told={"clock": ["/sys/cpu*/a"]})
    found = report.as_markdown(result(sensors=told, measurements=[{**row("x", 1, 1, 1), "label": "a|b"}]))
    assert r"/sys/cpu\*/a" in found and r"| a\|b | " in found


def test_a_result_comes_back_as_it_went(tmp_path: Path) -> None:
    path = tmp_path / "kết quả.json"
    result_file.save(result(), str(path))
    assert result_file.load(str(path)) == result()
    assert [p.name for p in tmp_path.iterdir()] == ["kết quả.json"]


def test_single_times_are_left_out_of_a_file_that_would_be_large(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    result_file.save(result(measurements=[{**row("encoder", 1, 1, 1), "times": [1.2345] * 200_000}]), str(path))
    assert path.stat().st_size < 10_000
    found = json.loads(path.read_text())
    assert found["times_left_out"] is True
    assert "times" not in found["measurements"][0] and found["measurements"][0]["median"] == 1


def test_a_symbolic_link_stays_one_and_a_device_is_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real.json")
    result_file.check_writable(str(link))
    result_file.save(result(), str(link))
    assert link.is_symlink() and (tmp_path / "real.json").is_file()
    result_file.check_writable("/dev/null")
    result_file.save(result(), "/dev/null")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a result of"),
        (b'{"schema": "other"}', "not a result of"),
        (b'{"schema": "edge_vqa.bench", "schema_version": 2}', "has schema 2, this release of edge_vqa reads 1"),
        (b'{"schema": "edge_vqa.bench", "schema_version": 1}', "setup is missing"),
        (json.dumps(result(measurements=[3])).encode(), "a measurement's key"),
        (json.dumps(result(measurements=[{**row("a", 1, 1, 1), "p5": "1"}])).encode(), "a measurement's p5"),
    ],
)
def test_what_is_no_result_is_refused_with_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(result_file.ResultError) as caught:
        result_file.load(str(path))
    assert said in str(caught.value) and "r.json" in str(caught.value)


def test_reports_say_everything_there_is_to_say() -> None:
    told = sensors(not_told={"clock": ["/sys/a", "/sys/b"]}, faults={"/sys/c": "'x' is not a whole number"})
    found = result(
        sensors=told, failed={"memory": "no"}, left_out={"threads": "slow"}, interrupted="sustained run",
        memory={"growth_mb": 0.01, "answers": 30, "resident_mb": 40.0}, answers={"small": "phở"},
        warnings=[{"about": "heat", "text": "hot", "advice": "cool it"}],
        measurements=[row("threads.1.encoder", 10, 9, 11), row("threads.4.encoder", 4, 3, 5)],
        sustained={
            "intervals": intervals(*[10] * 60), "verdict": sustained.verdict(intervals(*[10] * 60)), "picture": "JPEG",
            "ended_early": True, "planned_s": 600.0, "growth_mb": 0.0,
        },
    )  # fmt: skip
    for text in (report.as_text(found), report.as_markdown(found)):
        for said in (
            "Raspberry Pi 4", "kernels neon", "Not told by this system: clock (looked for /sys/a, /sys/b)",
            "Cannot be used: /sys/c", "Could not be measured: memory: no", "Left out: threads: slow",
            "Interrupted: sust",
            "+0.01 MB over 30 answers", "small: phở", "Warning: hot. To do: cool it.", "2.50 times one thread's speed",
            "did not slow down", "ended early, of 10.0 min planned", "temperature",
        ):  # fmt: skip
            assert said in text
    assert report.as_text(found).count(" MHz") == 20  # every third of 60 intervals


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0321, "0.032"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12346"), (0, "0")],
)
def test_figures_are_shown_with_three_digits(value: float, shown: str) -> None:
    assert report.digits(value) == shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal_and_lines_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file, None):
        shown = progress.Progress(stream)
        shown.step("[1/2] a long one")
        shown.update("[1/2] goes on")
        shown.step("[2/2] b")
        shown.clear()
    assert file.getvalue() == "[1/2] a long one\n[2/2] b\n"
    *_, last = terminal.getvalue().split("\r")
    assert "\n" not in terminal.getvalue() and last == ""
    assert "\r[2/2] b      \r" in terminal.getvalue()
