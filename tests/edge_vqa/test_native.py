"""The binding of the engine in C++; what the engine computes is tested against the reference elsewhere."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from native_library import needs_native
from tiny_model import make_model

from edge_vqa import VQA, EngineError, ModelError
from edge_vqa.engines import Engine, native, open_engine
from edge_vqa.evqa_file import FLOAT32, read_evqa
from edge_vqa.evqa_tensors import load_tensors, save_tensors
from edge_vqa.model_file import load_model

pytestmark = needs_native
SIDE = 64
PICTURE = bytes((7 * i) & 255 for i in range(SIDE * SIDE * 3))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("mô hình") / "nhỏ.evqa", "mobile-attention")


@pytest.fixture(scope="module")
def engine(file: Path) -> native.NativeEngine:
    opened = open_engine("native", load_model(file))
    assert isinstance(opened, native.NativeEngine)
    return opened


def told(engine: Engine, scene: object, ids: list[int]) -> tuple[list[float], list[float]]:
    """Logits and attention as lists, which can be compared and sent."""
    logits, attention = engine.answer(scene, ids)
    return list(logits), list(attention)


def test_the_answer_is_that_of_the_reference_bit_for_bit(file: Path, engine: native.NativeEngine) -> None:
    reference = open_engine("reference", load_model(file))
    for ids in ([2], [2, 3, 4], [1] * 20):
        expected = reference.answer(reference.encode(PICTURE), ids)
        assert told(engine, engine.encode(PICTURE), ids) == expected


def test_a_float32_model_answers_like_the_reference_bit_for_bit(tmp_path: Path) -> None:
    file = make_model(tmp_path / "thực.evqa", "mobile-attention", precision=FLOAT32)
    engine, reference = (open_engine(name, load_model(file)) for name in ("native", "reference"))
    assert isinstance(engine, native.NativeEngine)
    scene, features = engine.encode(PICTURE), reference.encode(PICTURE)
    sizes = read_evqa(file).sizes
    assert engine.features(scene, 4 * sizes.cells**2 * sizes.channels) == features.tobytes()
    for ids in ([2], [2, 3, 4], [1] * 20):
        assert told(engine, scene, ids) == reference.answer(features, ids)
    with pytest.raises(EngineError, match=f"{4 * sizes.cells**2 * sizes.channels} bytes"):
        engine.features(scene, sizes.cells**2 * sizes.channels)


@pytest.mark.parametrize("kind", ["mobile-attention", "odd"])
def test_scales_of_few_bits_and_channels_without_weights_change_no_bit(tmp_path: Path, kind: str) -> None:
    """Exported models have both, and kernels and network shorter ways for them."""
    model = load_tensors(make_model(tmp_path / "any.evqa", kind))
    tensors = {name: np.array(tensor) for name, tensor in model.tensors.items()}
    for number, conv in enumerate(model.file.convs):
        weights, bias, scale = (tensors[f"conv{number}.{part}"] for part in ("weights", "bias", "scale"))
        scale[:] = np.maximum(np.rint(scale * 65536), 1) / 65536
        if not conv.depthwise:
            weights[::5] = 0
            bias[::5], scale[::5] = (1 << 29) - 1000 * np.arange(len(bias[::5])), 100.5 / (1 << 29)
            bias[::10] = -bias[::10]
    save_tensors(tmp_path / "few.evqa", model.file, tensors)
    engine, reference = (open_engine(name, load_model(tmp_path / "few.evqa")) for name in ("native", "reference"))
    picture = bytes((7 * i) & 255 for i in range(3 * model.file.sizes.side**2))
    assert told(engine, engine.encode(picture), [2, 3]) == reference.answer(reference.encode(picture), [2, 3])


def test_it_says_what_it_uses(engine: native.NativeEngine) -> None:
    library = native.load_library()
    assert engine.isa in library.levels().decode().split()
    assert 1 <= engine.threads <= 64
    assert library.features_of_processor()


@pytest.mark.parametrize("pixels", [b"", PICTURE[:-1], PICTURE + b"x"])
def test_pixels_of_another_size_are_refused(engine: native.NativeEngine, pixels: bytes) -> None:
    with pytest.raises(EngineError, match="64 x 64"):
        engine.encode(pixels)


@pytest.mark.parametrize("ids", [[], [-1], [99], [2] * 65])
def test_ids_that_the_model_lacks_are_refused(engine: native.NativeEngine, ids: list[int]) -> None:
    with pytest.raises(EngineError):
        engine.answer(engine.encode(PICTURE), ids)
    assert engine.answer(engine.encode(PICTURE), [2])


@pytest.mark.parametrize("at", [8, 70, 300, -1])
def test_a_damaged_file_is_a_model_error(file: Path, tmp_path: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    damaged = tmp_path / "hỏng.evqa"
    damaged.write_bytes(data)
    with pytest.raises(ModelError, match="hỏng.evqa"):
        VQA(damaged, "native")
    damaged.write_bytes(data[:-100])
    with pytest.raises(ModelError, match="hỏng.evqa"):
        VQA(damaged, "native")


def test_without_a_crc_the_sha256_is_checked(file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    path = tmp_path / "a.evqa"
    path.write_bytes(data[:24] + bytes(4) + data[28:])
    assert VQA(path, "native").engine.name == "native"
    path.write_bytes(data[:24] + bytes(4) + data[28:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ModelError, match="SHA-256"):
        VQA(path, "native")
    path.write_bytes(data[:24] + b"\1\2\3\4" + data[28:])
    with pytest.raises(ModelError, match="CRC-32"):
        VQA(path, "native")


def test_more_threads_than_it_can_have_are_refused(file: Path) -> None:
    with pytest.raises(EngineError, match="thread"):
        VQA(file, "native", threads=1000)


def test_an_unknown_level_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_VQA_ISA", "mmx")
    with pytest.raises(EngineError, match="EDGE_VQA_ISA=mmx"):
        VQA(file, "native")
    with pytest.raises(EngineError, match="EDGE_VQA_ISA=mmx"):
        VQA(file)


def test_a_library_that_is_none_is_told(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (None, b"not a library"):
        path = tmp_path / "libother.so"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setenv("EDGE_VQA_LIBRARY", str(path))
        native._load.cache_clear()
        with pytest.raises(EngineError, match=r"libother.so: cannot be loaded .*install edge_vqa anew"):
            VQA(file)


def test_a_scene_outlives_its_engine(file: Path, engine: native.NativeEngine) -> None:
    short_lived = open_engine("native", load_model(file))
    scene = short_lived.encode(PICTURE)
    expected = told(short_lived, scene, [2, 3])
    del short_lived
    gc.collect()
    del scene
    assert told(engine, engine.encode(PICTURE), [2, 3]) == expected


def test_several_threads_and_engines_at_once(file: Path, engine: native.NativeEngine) -> None:
    expected = told(engine, engine.encode(PICTURE), [2, 3, 4])
    seen: list[object] = []

    def work(own: native.NativeEngine) -> None:
        for _ in range(10):
            seen.append(told(own, own.encode(PICTURE), [2, 3, 4]))

    others = [open_engine("native", load_model(file), threads) for threads in (1, 2)]
    threads = [threading.Thread(target=work, args=(own,)) for own in (engine, engine, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_answers_with_the_parents_engine(file: Path) -> None:
    parent = open_engine("native", load_model(file), 2)
    scene = parent.encode(PICTURE)
    expected = told(parent, scene, [2, 3])
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()

    def child() -> None:
        sender.send((told(parent, scene, [2, 3]), told(parent, parent.encode(PICTURE), [2, 3])))

    process = context.Process(target=child)
    process.start()
    assert receiver.poll(30), "the child hangs"
    assert receiver.recv() == (expected, expected)
    process.join(30)
    assert process.exitcode == 0
    assert told(parent, scene, [2, 3]) == expected


def test_leaving_while_a_thread_computes_is_quiet(file: Path) -> None:
    code = (
        "import sys, threading; from edge_vqa.engines import open_engine; from edge_vqa.model_file import load_model\n"
        "engine = open_engine('native', load_model(sys.argv[1]), 2)\n"
        "def work():\n"
        "    while True: engine.answer(engine.encode(bytes(64 * 64 * 3)), [2])\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "engine.answer(engine.encode(bytes(64 * 64 * 3)), [2])\n"
    )
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")
