"""The benchmark measures what it says; how fast it is, no test asks."""

import json
from pathlib import Path

from bench import latency


def test_median_and_percentile_are_those_of_the_times(monkeypatch) -> None:
    ticks = iter([t for n in range(1, 21) for t in (0.0, n / 1000)])
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(ticks))
    got = latency.measure(lambda: None, 20, warm_up=0)
    assert abs(got["median_ms"] - 10.5) < 1e-9
    assert 19 < got["p95_ms"] <= 20


def test_every_stage_is_measured(capsys) -> None:
    assert latency.main(["--runs", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (stages,) = (stages for group, stages in result.items() if group.endswith(", 1 threads"))
    assert set(stages) == {"decode", "look", "answer", "whole"}
    assert result["process"]["start to answer"]["median_ms"] > 0


def test_a_missing_picture_is_told(tmp_path: Path, capsys) -> None:
    assert latency.main(["--image", str(tmp_path / "no.jpg")]) == 1
    assert "no.jpg" in capsys.readouterr().err
