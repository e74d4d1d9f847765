"""bench.suite: its shapes are the released models', and a wrong kernel fails there."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from native_library import needs_native

from bench.suite.layers import FILE, Filter, Layer, as_line, layers_of, mobilenet_v2, read_layers
from bench.suite.networks import make_layer
from edge_vqa.engines import reference
from edge_vqa.evqa_file import read_evqa
from edge_vqa.evqa_tensors import load_tensors
from edge_vqa.model_file import find_model

ROOT = Path(__file__).parents[2]
FOLDED = Layer("folded", "stem", 136, 136, 3, 8, 5, 2, False)


@pytest.mark.parametrize(("model", "prefix"), [(None, "mobilenetv2"), ("tiny", "tiny")])
def test_the_file_holds_the_released_models_layers(model: str | None, prefix: str) -> None:
    convs = read_evqa(find_model(model)).convs
    lines = [layer for layer in read_layers() if layer.name.startswith(f"{prefix}-")]
    assert lines == layers_of(convs, prefix)
    filters = [f for layer in lines for f in layer.filters()]
    assert [(f.depthwise, f.kernel, f.stride, f.outputs) for f in filters] == [
        (bool(c.depthwise), c.kernel, c.stride, c.outputs) for c in convs
    ]
    assert [i - f.back if f.back else -1 for i, f in enumerate(filters)] == [c.residual for c in convs]


def test_the_file_holds_the_cnns_layers() -> None:
    torch = pytest.importorskip("torch")
    from export.models import Encoder, Shape

    encoder = Encoder(Shape("cnn-lstm-attention", 9, 9)).eval()
    seen = []
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, taken, _: seen.append((taken[0].shape[-1], m)))
    with torch.no_grad():
        encoder.see(torch.zeros(1, 3, 224, 224))
    lines = [layer for layer in read_layers() if layer.name.startswith("cnn-")]
    assert [(line.height, line.inputs, line.outputs, line.stride) for line in lines] == [
        (side, m.in_channels, m.out_channels, m.stride[0]) for side, m in seen
    ]
    assert [line.filters()[0].kernel for line in lines] == [m.kernel_size[0] for _, m in seen]


@pytest.mark.parametrize("multiplier", [0.35, 0.5, 0.75, 1.0, 1.4])
def test_widths_are_torchvisions(multiplier: float) -> None:
    torch = pytest.importorskip("torch")
    from export.models import Shape, mobilenet_backbone

    # torchvision leaves the last convolution at 1280 in narrow networks, as Sandler et al. do.
    layers, channels = mobilenet_backbone(Shape("mobilenetv2-lstm", 9, 9, multiplier=multiplier, last=0))
    wanted = [m for m in layers.modules() if isinstance(m, torch.nn.Conv2d)]
    *found, last, projection = mobilenet_v2(multiplier)
    assert [(f.depthwise, f.kernel, f.stride, f.outputs) for f in found] == [
        (m.groups > 1, m.kernel_size[0], m.stride[0], m.out_channels) for m in wanted
    ]
    assert channels == found[-1].outputs
    assert (last.outputs, projection.outputs) == ({1.4: 1792}.get(multiplier, 1280), 256)


def test_multiply_accumulates() -> None:
    # 4x4x2 -> 6 wide -> stride 2 -> 2x2x3: 16*2*6 + 4*9*6 + 4*6*3
    assert Layer("a", "block", 4, 4, 2, 6, 3, 2, False).macs() == 192 + 216 + 72


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a block 4 4 2 6 3 2", "8 columns"),
        ("a slab 4 4 2 6 3 2 no", "kind slab"),
        ("a block 4 5 2 6 3 2 no", "square"),
        ("a block 4 4 2 6 3 2 yes", "stride 1"),
        ("a conv 4 4 2 6 3 2 no", "of no use"),
        ("a conv 4 4 2 - x 2 no", "invalid literal"),
        ("a conv 4 4 2 - 3 2 perhaps", "residual perhaps"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "layers.txt"
    file.write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(ValueError, match=f"layers.txt:3: .*{said}"):
        read_layers(file)


def test_lines_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "layers.txt"
    file.write_text("\n".join(as_line(layer) for layer in read_layers()))
    assert read_layers(file) == read_layers()
    file.write_text(FILE.read_text() * 2)
    with pytest.raises(ValueError, match="twice"):
        read_layers(file)


def test_folding_loses_no_bit(tmp_path: Path) -> None:
    file, first = make_layer(tmp_path / "a.evqa", FOLDED)
    assert (first, file.sizes.cells, file.sizes.channels) == (0, 34, 20)
    picture = np.random.default_rng(1).integers(0, 256, (136, 136, 3), np.uint8)
    model = load_tensors(tmp_path / "a.evqa")
    *_, made, folded = reference.encode(model, picture)
    assert made.shape == (68, 68, 5)
    assert len(np.unique(made)) > 100  # it is no map of one value, in which errors would drown
    quarters = [made[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    assert (folded == np.concatenate(quarters, 2)).all()
    features = reference.ReferenceEngine(model).encode(picture.tobytes())
    assert (features == folded.reshape(-1, 20)).all()


@needs_native
def test_another_result_is_no_time(tmp_path: Path) -> None:
    pytest.importorskip("pytest_benchmark")
    from bench.suite.engines import ProfiledEngine
    from bench.suite.test_layers import check

    right, wrong, pixels = tmp_path / "right.evqa", tmp_path / "wrong.evqa", os.urandom(136 * 136 * 3)
    make_layer(right, FOLDED)
    make_layer(wrong, FOLDED, seed=1)
    check(ProfiledEngine(right), right, pixels)
    with pytest.raises(AssertionError):
        check(ProfiledEngine(wrong), right, pixels)


def run_suite(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "bench/suite", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@needs_native
def test_the_suite_runs() -> None:
    pytest.importorskip("pytest_benchmark")
    from bench.suite.engines import levels

    chosen = "tiny-14 or cnn-08 or (answer and tiny-5) or (resize and 640) or (jpeg and 640) or telex or crc32"
    done = run_suite("--benchmark-disable", "--level=all", "-k", chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{3 * len(levels()) + 4} passed" in done.stdout or "skipped" in done.stdout  # the CRC needs a compiler


@needs_native
def test_a_layers_time_is_its_own(tmp_path: Path) -> None:
    """A whole look of cnn-08's network takes longer than its layer, which the clock alone must have counted."""
    pytest.importorskip("pytest_benchmark")
    import json

    out = tmp_path / "out.json"
    done = run_suite(f"--benchmark-json={out}", "--benchmark-max-time=0.01", "--benchmark-min-rounds=2", "-k", "cnn-08")
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(out.read_text())["benchmarks"]
    more = found["extra_info"]
    assert more["macs"] == 7 * 7 * 256 * 256
    assert more["gmac_per_second"] == pytest.approx(more["macs"] / found["stats"]["median"] / 1e9)
    assert more.keys() >= {"level", "threads", "version", "processor"}
    assert "StepClock" in found["options"]["timer"]


@needs_native
def test_an_unknown_level_is_told() -> None:
    pytest.importorskip("pytest_benchmark")
    done = run_suite("--benchmark-disable", "--level=abacus")
    assert done.returncode == 4
    assert "--level abacus" in done.stderr + done.stdout


def test_filters_of_a_block_add_what_came_in() -> None:
    block = Layer("a", "block", 8, 8, 16, 96, 16, 1, True)
    assert block.filters()[-1] == Filter(False, 1, 1, 16, back=3)
    assert replace(block, residual=False).filters()[-1].back == 0
