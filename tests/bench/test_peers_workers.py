"""Workers: what is asked comes back, and one that dies, hangs or talks nonsense is told from the others."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import make_model

from bench.peers.contender import PeerError
from bench.peers.environments import ROOT
from bench.peers.group import Group
from bench.peers.worker import Worker
from bench.peers.workers import WorkerProcess
from edge_vqa.engines import reference
from edge_vqa.evqa_tensors import load_tensors

FAKE = Path(__file__).with_name("fake_worker.py")


def fake(behaviour: str, folder: Path) -> WorkerProcess:
    return WorkerProcess([sys.executable, str(FAKE), behaviour], folder)


def test_a_request_is_answered(tmp_path: Path) -> None:
    with fake("good", tmp_path) as worker:
        worker.ask("show", pixels="x", ids=[1, 2, 3])
        assert worker.ask("answer")["place"] == 3
        assert worker.ask("time", what="answer", burst=2, limit_ms=1)["ns"] == [5_000_000] * 2


def test_an_error_is_told_and_does_not_end_it(tmp_path: Path) -> None:
    with fake("failing", tmp_path) as worker:
        with pytest.raises(PeerError, match="^illegal instruction$"):
            worker.ask("open")
        worker.ask("show", pixels="x", ids=[1])
        assert worker.ask("answer")["place"] == 1


def test_a_death_is_told_with_its_last_words_then_and_later(tmp_path: Path) -> None:
    with fake("dying", tmp_path) as worker:
        for _ in range(2):
            with pytest.raises(PeerError, match="ended with status 1: out of memory"):
                worker.ask("time", what="answer", burst=1, limit_ms=1)


def test_a_signal_is_told(tmp_path: Path) -> None:
    program = "import os, signal; input(); os.kill(os.getpid(), signal.SIGILL)"
    worker = WorkerProcess([sys.executable, "-c", program], tmp_path)
    with worker, pytest.raises(PeerError, match="ended by signal 4"):
        worker.ask("open")


def test_one_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    with fake("slow", tmp_path) as worker, pytest.raises(PeerError, match="no answer to show within 0 s"):
        worker.ask("show", seconds=0.2, pixels="x", ids=[])
    assert time.monotonic() - began < 30


def test_rubbish_is_quoted(tmp_path: Path) -> None:
    with fake("garbage", tmp_path) as worker, pytest.raises(PeerError, match="answered open with b'I am no JSON'"):
        worker.ask("open")


LOUD = """
import os, sys
sys.path.append(sys.argv[1])
from bench.peers import worker

def find(name):
    os.system("echo from a library")
    print("from Python")
    raise ValueError("loud")

worker.find = find
worker.main(())
"""


def test_what_a_contender_prints_does_not_come_between_replies(tmp_path: Path) -> None:
    with WorkerProcess([sys.executable, "-c", LOUD, str(ROOT)], tmp_path) as worker:
        for _ in range(2):
            with pytest.raises(PeerError, match="^ValueError: loud$"):
                worker.ask("open", adapter="a:b", arguments={})


def test_a_group_goes_on_without_those_that_fail(tmp_path: Path) -> None:
    lost: dict[str, str] = {}
    with Group(1, (), lost.__setitem__) as group:
        for name in ("ours", "good", "dying"):
            group.workers[name] = fake(name, tmp_path)
        agreement = group.compare([(Path("x"), (1, 2)), (Path("x"), (1,))])
        assert agreement["good"] == {"same": 2, "questions": 2, "largest_logit_difference": 0.0}
        turn: dict[str, Any] = {"what": "answer", "burst": 3, "limit_ms": 1}
        times = group.time({name: {"answer": turn} for name in group.workers}, rounds=2)
    assert times == {"ours": {"answer": [[2.0] * 3] * 2}, "good": {"answer": [[5.0] * 3] * 2}}
    assert list(lost) == ["dying"] and "out of memory" in lost["dying"]


class Counting:
    """A contender whose calls are counted; each takes `seconds`."""

    name = version = detail = ""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls = seconds, 0

    def encode(self) -> None:
        self.calls += 1
        time.sleep(self.seconds)

    def answer(self) -> int:
        return 0

    further = answer


@pytest.mark.parametrize("seconds, counted", [(0.0, 4), (0.05, 1)])
def test_a_turn_has_one_uncounted_call_and_ends_early_when_calls_are_slow(seconds: float, counted: int) -> None:
    worker, contender = Worker(), Counting(seconds)
    worker._calls = {"encoder": contender.encode}
    found = worker.time("encoder", burst=4, limit_ms=20)["ns"]
    assert len(found) == counted and contender.calls == counted + 1
    assert all(ns >= seconds * 1e9 for ns in found)


def test_a_real_worker_answers_as_the_reference_does(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = make_model(tmp_path / "a.evqa", "mobile-attention")
    model = load_tensors(path)
    engine, side = reference.ReferenceEngine(model), model.file.sizes.side
    pixels = np.random.default_rng(1).integers(0, 256, side**2 * 3, dtype=np.uint8).tobytes()
    (tmp_path / "pixels").write_bytes(pixels)
    with WorkerProcess.start(sys.executable, tmp_path, ()) as worker:
        opened = worker.ask(
            "open", adapter="onnxruntime_peer:OnnxRuntimePeer",
            arguments={"file": str(path), "folder": str(tmp_path), "threads": 1},
        )  # fmt: skip
        assert opened["name"] == "onnxruntime"
        worker.ask("show", pixels=str(tmp_path / "pixels"), ids=[1, 2, 3])
        answer = worker.ask("answer")
        logits, _ = engine.answer(engine.encode(pixels), [1, 2, 3])
        np.testing.assert_allclose(answer["logits"], logits[:-1], atol=0.15)
        assert answer["place"] == int(np.argmax(answer["logits"]))
        assert len(worker.ask("time", what="further_question", burst=3, limit_ms=1000)["ns"]) == 3
