"""The comparison is fair and adds up; who is how fast, no test asks."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tiny_model import make_model

from bench.peers import __main__ as command
from bench.peers import cold_start, measure, report, session
from bench.peers.cold_start import Start, measure_starts
from bench.peers.contender import PeerError
from edge_vqa.engines import reference
from edge_vqa.evqa_file import FLOAT32, INT8
from edge_vqa.evqa_tensors import load_tensors

COLUMN = r"(\d+\.\d\d|n/a)"
LAST_LINE = rf"encoder={COLUMN} answer={COLUMN} further_question={COLUMN} cold_start={COLUMN} memory={COLUMN}"


class Fake:
    """Answers with the place that `best` gives for a question's words."""

    version, detail = "1.0", "made up"

    def __init__(self, name: str, wrong: bool = False) -> None:
        self.name, self.wrong, self.calls = name, wrong, []

    def show(self, pixels: bytes, ids: Sequence[int]) -> None:
        self.best = len(ids) + self.wrong

    def encode(self) -> None:
        self.calls.append("encode")

    def further(self) -> int:
        self.calls.append("further")
        return self.best

    def answer(self) -> int:
        self.encode()
        return self.further()

    def logits(self) -> list[float]:
        return [float(i == self.best) for i in range(40)]


@pytest.fixture
def faked(monkeypatch):
    """One peer that agrees, one that does not, one that is not installed; a process is said to take 10 ms."""

    def missing():
        raise ImportError("No module named 'gone'")

    makers = {"good": lambda: Fake("good"), "bad": lambda: Fake("bad", wrong=True), "gone": missing}
    monkeypatch.setattr(session, "Own", lambda *_: Fake("ours"))
    monkeypatch.setattr(session, "_makers", lambda *_: makers)
    monkeypatch.setattr(
        cold_start, "measure_starts", lambda commands, rounds: {n: [Start(9, 10, 50, "cà rốt")] * 3 for n in commands}
    )
    monkeypatch.setattr(command, "pin", lambda *_: None)
    monkeypatch.setattr(session.Plan, "rounds", 2)


def test_they_take_turns_and_the_first_place_moves_on() -> None:
    order: list[str] = []
    times = measure.take_turns({n: lambda n=n: order.append(n) for n in "abc"}, rounds=3, burst=2)
    assert "".join(order) == "aaabbbccc" + "bbbcccaaa" + "cccaaabbb"
    assert {n: len(t) for n, t in times.items()} == {"a": 6, "b": 6, "c": 6}  # a turn's first call is not counted


def test_the_summary_is_that_of_the_values() -> None:
    got = measure.summary([5.0, 1.0, 2.0, 4.0, 3.0])
    assert got == {"median": 3.0, "p95": pytest.approx(4.8), "least": 1.0, "runs": 5}


def test_each_ratio_is_the_best_peers_over_ours() -> None:
    own = {c: {"median": 2.0} for c in measure.COLUMNS}
    slow = {c: {"median": 9.0} for c in measure.COLUMNS}
    mixed = {"encoder": {"median": 3.0}, "answer": {"median": 1.0}}
    found = measure.ratios(own, {"slow": slow, "mixed": mixed})
    assert found["encoder"] == {"ratio": 1.5, "best_peer": "mixed"}
    assert found["memory"] == {"ratio": 4.5, "best_peer": "slow"}
    assert measure.last_line(found) == "encoder=1.50 answer=0.50 further_question=4.50 cold_start=4.50 memory=4.50"


def test_without_peers_there_is_no_ratio() -> None:
    line = measure.last_line(measure.ratios({c: {"median": 2.0} for c in measure.COLUMNS}, {}))
    assert line == "encoder=n/a answer=n/a further_question=n/a cold_start=n/a memory=n/a"


def test_missing_and_disagreeing_peers_are_left_out(faked, tmp_path: Path, capsys) -> None:
    out = tmp_path / "result.json"
    assert command.main(["--json", str(out)]) == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert set(result["contenders"]) == {"ours", "good"}
    assert "not installed" in result["left_out"]["gone"]
    assert result["left_out"]["bad"] == "answers only 0 of 20 questions as we do"
    assert result["ratios"]["cold_start"] == {"ratio": 1.0, "best_peer": "good"}
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(LAST_LINE, printed[-1])
    assert sum(re.fullmatch(LAST_LINE, line) is not None for line in printed) == 1
    assert any(line.startswith("gone: left out") for line in printed)
    assert command.main(["--from", str(out), "--markdown"]) == 0
    assert "| good 1.0 |" in capsys.readouterr().out


def test_a_runtime_that_breaks_down_stops_only_itself() -> None:
    def broken():
        raise RuntimeError("illegal instruction")

    peers, left_out = session.open_peers({"broken": broken, "good": lambda: Fake("good")})
    assert list(peers) == ["good"]
    assert "illegal instruction" in left_out["broken"]


def test_own_only_opens_no_peer(faked, monkeypatch, capsys) -> None:
    monkeypatch.setattr(session, "open_peers", lambda _: pytest.fail("a peer was opened"))
    assert command.main(["--own-only", "--quick"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("encoder=n/a")


def test_a_missing_file_is_told(faked, tmp_path: Path, capsys) -> None:
    assert command.main(["--peers-model", str(tmp_path / "no.evqa")]) == 1
    assert "no.evqa" in capsys.readouterr().err


def test_processes_are_started_in_turns_and_answer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import sys; open(sys.argv[1], 'a').write(sys.argv[2]); print('cơm tấm', sys.argv[2])"
    found = measure_starts({n: [sys.executable, "-c", program, str(log), n] for n in "ab"}, rounds=2)
    assert log.read_text() == "ab" + "ba" + "ab"
    assert [s.answer for s in found["b"]] == ["cơm tấm b"] * 2
    assert all(0 < s.answered_ms <= s.ended_ms and s.memory_mb > 1 for s in found["a"])


def test_memory_is_the_processes_own_not_that_of_who_measures() -> None:
    held = np.ones(200_000_000, np.uint8)
    found = measure_starts({"small": [sys.executable, "-S", "-c", "print(1)"]}, rounds=1)
    assert found["small"][0].memory_mb < held.nbytes / 1e6


def test_a_process_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(PeerError, match="no such model"):
        measure_starts({"x": [sys.executable, "-c", "raise SystemExit('no such model')"]}, rounds=1)


def test_only_the_marked_block_of_a_document_changes(tmp_path: Path) -> None:
    own = {c: {"median": 2.0, "p95": 3.0} for c in measure.COLUMNS} | {"version": "1", "detail": ""}
    result = {
        "contenders": {"ours": own}, "ratios": {}, "left_out": {}, "processor": "P", "threads": 1, "python": "3",
        "system": "s", "date": "d", "words": 5, "question": "q", "load": [0, 9],
    }  # fmt: skip
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- peers -->\nstale\n<!-- /peers -->\nbelow\n", encoding="utf-8")
    report.fill(page, result)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("above\n") and text.endswith("\nbelow\n") and "stale" not in text
    assert "| ours 1 | 2.00 (3.00) |" in text and "busy" in text
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md"):
        report.fill(page, result)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_it_is_pinned_to_as_many_processors_as_threads(monkeypatch) -> None:
    chosen: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5})
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cpus: chosen.append(list(cpus)))
    command.pin(1, None)
    command.pin(2, None)
    command.pin(1, 2)
    assert chosen == [[5], [3, 5], [2]]
    for threads, first in ((4, None), (2, 5), (1, 4)):
        with pytest.raises(ValueError, match="processors"):
            command.pin(threads, first)


@pytest.mark.parametrize("kind, precision", [("mobile-attention", INT8), ("dense", INT8), ("dense-attention", FLOAT32)])
@pytest.mark.parametrize("name", ["onnxruntime", "OpenVINO", "LiteRT"])
def test_a_peer_gives_the_references_answers(kind: str, precision: int, name: str, tmp_path: Path) -> None:
    pytest.importorskip({"onnxruntime": "onnxruntime", "OpenVINO": "openvino", "LiteRT": "ai_edge_litert"}[name])
    model = load_tensors(make_model(tmp_path / "a.evqa", kind, precision=precision))
    sizes, engine = model.file.sizes, reference.ReferenceEngine(model)
    pixels = np.random.default_rng(2).integers(0, 256, sizes.side**2 * 3, dtype=np.uint8).tobytes()
    peer = session._makers(session.Plan(), model, tmp_path)[name]()
    for ids in ([1, 2, 3, 4, 2], [2]):
        peer.show(pixels, ids)
        peer.answer()
        logits, _ = engine.answer(engine.encode(pixels), ids)
        np.testing.assert_allclose(peer.logits(), logits[:-1], atol=0.15 if precision == INT8 else 0.03)
