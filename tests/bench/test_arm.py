"""Instructions are told apart, counted and given cycles as by hand; a comparison takes the best peer."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from native_library import needs_native
from tiny_model import make_model

from bench.arm import __main__ as command
from bench.arm import boards, chips, cycles, files, kernels, report, session, worker
from bench.arm.counted import (
    CLOCK_GETTIME,
    Block,
    Region,
    argument,
    compile_plugin,
    join_split,
    joined,
    products,
    read_counts,
)
from bench.arm.cycles import CycleModel
from bench.arm.instructions import CLASSES, classify
from bench.arm.steps import step_table
from edge_vqa import EdgeVQAError
from edge_vqa.engines.onnx_graph import onnx_model
from edge_vqa.evqa_tensors import load_tensors

needs_llvm = pytest.mark.skipif(
    not shutil.which(f"llvm-mca-{cycles.LLVM}"), reason=f"llvm-mca-{cycles.LLVM} is not installed"
)
needs_qemu = pytest.mark.skipif(
    not shutil.which("qemu-aarch64") or not shutil.which("cc"), reason="qemu-aarch64 or a C compiler is not installed"
)

ADD = 0x8B010000  # add x0, x0, x1: each waits for the one before
SDOT = [0x4E9E97E0 | register for register in range(16)]  # sdot v0..v15.4s, v31.16b, v30.16b
SMULL = [0x0E3EC3E0 | register for register in range(16)]  # smull v0..v15.8h, v31.8b, v30.8b


@pytest.mark.parametrize(
    ("word", "text", "name", "macs"),
    [
        (0x3DC00020, "ldr q0, [x1]", "load", 0),
        (0xB9800020, "ldrsw x0, [x1]", "load", 0),
        (0x38401420, "ldrb w0, [x1], #1", "load", 0),
        (0x3CDF0023, "ldur q3, [x1, #-16]", "load", 0),
        (0xAD400440, "ldp q0, q1, [x2]", "load", 0),
        (0x58000040, "ldr x0, #8", "load", 0),
        (0x4C40A000, "ld1 {v0.16b, v1.16b}, [x0]", "load", 0),
        (0x4D40C800, "ld1r {v0.4s}, [x0]", "load", 0),
        (0xC85FFC20, "ldaxr x0, [x1]", "load", 0),
        (0x3D800020, "str q0, [x1]", "store", 0),
        (0xF9000420, "str x0, [x1, #8]", "store", 0),
        (0x78226820, "strh w0, [x1, x2]", "store", 0),
        (0xA9BF07E0, "stp x0, x1, [sp, #-16]!", "store", 0),
        (0x0C9F7000, "st1 {v0.8b}, [x0], #8", "store", 0),
        (0xC802FC20, "stlxr w2, x0, [x1]", "store", 0),
        (0x54FFFF81, "b.ne #-16", "branch", 0),
        (0xB4000040, "cbz x0, #8", "branch", 0),
        (0x37180040, "tbnz w0, #3, #8", "branch", 0),
        (0x94000010, "bl #64", "branch", 0),
        (0xD65F03C0, "ret", "branch", 0),
        (0x8B020020, "add x0, x1, x2", "integer", 0),
        (0x9B020C20, "madd x0, x1, x2, x3", "integer", 0),
        (0x0E22C020, "smull v0.8h, v1.8b, v2.8b", "multiply", 8),
        (0x4E22C020, "smull2 v0.8h, v1.16b, v2.16b", "multiply", 8),
        (0x2E228020, "umlal v0.8h, v1.8b, v2.8b", "multiply", 8),
        (0x0E62A020, "smlsl v0.4s, v1.4h, v2.4h", "multiply", 4),
        (0x0F722020, "smlal v0.4s, v1.4h, v2.h[3]", "multiply", 4),
        (0x2FA2A020, "umull v0.2d, v1.2s, v2.s[1]", "multiply", 2),
        (0x4E229420, "mla v0.16b, v1.16b, v2.16b", "multiply", 16),
        (0x2E629420, "mls v0.4h, v1.4h, v2.4h", "multiply", 4),
        (0x4EA29C20, "mul v0.4s, v1.4s, v2.4s", "multiply", 4),
        (0x4F728820, "mul v0.8h, v1.8h, v2.h[7]", "multiply", 8),
        (0x4E829420, "sdot v0.4s, v1.16b, v2.16b", "dot", 16),
        (0x2E829420, "udot v0.2s, v1.8b, v2.8b", "dot", 8),
        (0x4FA2E820, "sdot v0.4s, v1.16b, v2.4b[3]", "dot", 16),
        (0x4E829C20, "usdot v0.4s, v1.16b, v2.16b", "dot", 16),
        (0x4F22F020, "sudot v0.4s, v1.16b, v2.4b[1]", "dot", 16),
        (0x0FA2F020, "usdot v0.2s, v1.8b, v2.4b[1]", "dot", 8),
        (0x4E82A420, "smmla v0.4s, v1.16b, v2.16b", "matrix", 32),
        (0x4E82AC20, "usmmla v0.4s, v1.16b, v2.16b", "matrix", 32),
        (0x4E22CC20, "fmla v0.4s, v1.4s, v2.4s", "float", 0),
        (0x4FA25020, "fmls v0.4s, v1.4s, v2.s[1]", "float", 0),
        (0x1F020C20, "fmadd s0, s1, s2, s3", "float", 0),
        (0x6E22DC20, "fmul v0.4s, v1.4s, v2.4s", "vector", 0),
        (0x4E606820, "sadalp v0.4s, v1.8h", "vector", 0),
        (0x6EA2B420, "sqrdmulh v0.4s, v1.4s, v2.4s", "vector", 0),
        (0x0E62D020, "sqdmull v0.4s, v1.4h, v2.4h", "vector", 0),
        (0x6E229C20, "pmul v0.16b, v1.16b, v2.16b", "vector", 0),
        (0x0E22E020, "pmull v0.8h, v1.8b, v2.8b", "vector", 0),
        (0x0F08A420, "sshll v0.8h, v1.8b, #0", "vector", 0),
        (0x6E42FC20, "bfdot v0.4s, v1.8h, v2.8h", "vector", 0),
    ],
)
def test_an_instruction_is_what_it_is(word: int, text: str, name: str, macs: int) -> None:
    assert classify(word) == (name, macs), text
    assert name in CLASSES


@needs_llvm
@pytest.mark.parametrize(
    ("core", "words", "expected"),
    [
        ("cortex-a53", [ADD] * 8, 8),
        ("cortex-a76", [ADD] * 8, 8),
        ("cortex-a76", SDOT, 8),  # two pipes
        ("cortex-a72", SMULL, 16),  # one pipe
        ("cortex-a53", SMULL, 16),
    ],
)
def test_cycles_are_those_of_a_loop_worked_out_by_hand(core: str, words: list[int], expected: float) -> None:
    assert CycleModel(core).of_words(tuple(words)) == pytest.approx(expected, abs=0.1)


@needs_llvm
def test_a_regions_cycles_are_the_blocks_times_their_counts() -> None:
    model = CycleModel("cortex-a76")
    chain, dots, cold = Block(0, (ADD,) * 8), Block(64, tuple(SDOT)), Block(256, (ADD,))
    region = Region(1, {chain: 100, dots: 1000, cold: 1})  # the last is beyond what is scheduled
    expected = 100 * model.of_block(chain) + 1000 * model.of_block(dots)
    assert model.cycles(region) == pytest.approx(expected * 16801 / 16800)
    assert model.cycles(Region(1, {})) == 0


@needs_llvm
def test_the_disassembler_takes_what_it_does_not_know_for_a_nop() -> None:
    assert cycles.disassemble([ADD, 0xFFFFFFFF, ADD]) == ["add\tx0, x0, x1", "nop", "add\tx0, x0, x1"]


@needs_llvm
def test_the_most_that_a_core_can_multiply() -> None:
    dot = kernels.limits(CycleModel("cortex-a76"))
    assert dot["sdot"] == pytest.approx(32, rel=0.02)
    assert set(kernels.limits(CycleModel("cortex-a72"))) == {"smull, smlal2"}


def test_counts_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "counted"
    file.write_text(
        f"block 1000 {ADD:x} {SDOT[0]:x}\nblock 1000 {ADD:x} {SDOT[0]:x}\nblock 2000 {ADD:x}\n"
        "region 0 2:5\nregion 1 0:3 1:4 2:1\nregion -1\nmap 1000-2000 r-xp 00000000 00:00 1 /lib/a b.so\n"
    )
    (before, found, after), maps = read_counts(file)
    assert kernels.by_file(found, maps) == {"a b.so": 14, "unknown": 1}
    # The same block, translated twice, is one.
    assert found.times == {Block(0x1000, (ADD, SDOT[0])): 7, Block(0x2000, (ADD,)): 1}
    assert (before.instructions, found.instructions, after.instructions) == (5, 15, 0)
    assert (found.macs, found.classes()) == (7 * 16, {"integer": 8, "dot": 7})
    assert joined([before, found]).instructions == 20


def test_a_block_that_is_split_at_a_border_is_one() -> None:
    branch = 0x54FFFFA1  # b.ne
    top, tail = Block(0xFF8, (ADD, ADD)), Block(0x1000, (SDOT[0], branch))
    entry, after = Block(0xFF4, (SDOT[1], ADD, ADD)), Block(0x1008, (ADD,))
    assert join_split({tail: 110, top: 99, entry: 1, after: 5}) == {
        Block(0xFF8, top.words + tail.words): 99,
        Block(0xFF4, entry.words + tail.words): 1,
        tail: 10,  # jumped to
        after: 5,  # behind a branch
    }


def test_several_pieces_are_joined_and_no_execution_is_lost_or_made() -> None:
    pieces = [Block(4 * i, (ADD,)) for i in range(3)]
    assert join_split(dict.fromkeys(pieces, 7)) == {Block(0, (ADD,) * 3): 7}
    # The middle was also a target, and the end is known in two translations.
    given = {pieces[0]: 4, pieces[1]: 10, pieces[2]: 6, Block(8, (ADD, SDOT[0])): 5}
    found = join_split(given)
    assert sum(n * len(b.words) for b, n in found.items()) == sum(n * len(b.words) for b, n in given.items())
    assert sum(n for b, n in found.items() if b.address == 0) == 4


@needs_qemu
def test_a_loop_across_a_page_is_counted_as_one_block(tmp_path: Path) -> None:
    before = (0x1000 - 120 - 4 * 5) // 4  # the loop's second instruction begins a page
    padded = [*PROGRAM[:4], *[0x8B020020] * before, *PROGRAM[4:]]
    plugin, out = compile_plugin(tmp_path), tmp_path / "counted"
    qemu = ["qemu-aarch64", "-plugin", argument(plugin, out), "-cpu"]
    subprocess.run([*qemu, "cortex-a76", program(tmp_path / "program", padded)], check=True)
    (_, found, _), _ = read_counts(out)
    assert found.times[Block(0x401000 - 4, (*SDOT[:2], 0xF1000421, 0x54FFFFA1))] == ROUNDS - 1
    assert found.instructions == 1 + before + 4 * ROUNDS + 2


def test_a_program_that_did_not_end_is_no_measurement(tmp_path: Path) -> None:
    file = tmp_path / "counted"
    file.write_text(f"block 1000 {ADD:x}\n")
    with pytest.raises(EdgeVQAError, match="did not end"):
        read_counts(file)


def program(path: Path, words: list[int]) -> Path:
    """The smallest ELF file that runs these instructions."""
    code, start = b"".join(word.to_bytes(4, "little") for word in words), 0x400000
    size = 64 + 56 + len(code)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, start + 120, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    path.write_bytes(header + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 4096) + code)
    path.chmod(0o755)
    return path


ROUNDS = 1000
PROGRAM = [
    0xD2884848,  # mov x8, #0x4242
    0xD2800000,  # mov x0, #0
    0xD4000001,  # svc #0: what is counted begins
    0xD2807D01,  # mov x1, #1000
    SDOT[0],
    SDOT[1],
    0xF1000421,  # subs x1, x1, #1
    0x54FFFFA1,  # b.ne #-12
    0xD28000E0,  # mov x0, #7
    0xD4000001,  # svc #0: it ends, as region 7
    0xD2800BA8,  # mov x8, #93
    0xD2800000,  # mov x0, #0
    0xD4000001,  # svc #0: exit(0)
]


@needs_qemu
def test_the_plugin_counts_a_program(tmp_path: Path) -> None:
    plugin, out = compile_plugin(tmp_path), tmp_path / "counted"
    qemu = ["qemu-aarch64", "-plugin", argument(plugin, out), "-cpu"]
    subprocess.run([*qemu, "cortex-a76", program(tmp_path / "program", PROGRAM)], check=True)
    (before, found, after), maps = read_counts(out)
    assert kernels.by_file(found, maps) == {"program": found.instructions}
    assert [before.number, found.number, after.number] == [0, 7, -1]
    assert (before.instructions, found.instructions, after.instructions) == (3, 1 + 4 * ROUNDS + 2, 3)
    assert found.macs == 2 * 16 * ROUNDS
    loop = Block(0x400000 + 120 + 4 * 4, (*SDOT[:2], 0xF1000421, 0x54FFFFA1))
    assert found.times[loop] == ROUNDS - 1  # the first round is part of the block before it
    assert products(loop) == 32


@needs_qemu
def test_a_core_without_the_instruction_is_no_measurement(tmp_path: Path) -> None:
    plugin, out = compile_plugin(tmp_path), tmp_path / "counted"
    qemu = ["qemu-aarch64", "-plugin", argument(plugin, out), "-cpu"]
    done = subprocess.run([*qemu, "cortex-a72", program(tmp_path / "program", PROGRAM)], capture_output=True)
    assert done.returncode != 0
    with pytest.raises(EdgeVQAError, match="did not end"):
        read_counts(out)


class Flat:
    """A model in which every instruction takes a cycle."""

    core = "cortex-a76"

    def cycles(self, region: Region) -> float:
        return float(region.instructions)

    def of_block(self, block: Block) -> float:
        return float(len(block.words))


def ran(number: int, instructions: int) -> Region:
    return Region(number, {Block(0, (ADD,)): instructions})


def test_steps_are_what_ran_between_readings_of_the_clock(tmp_path: Path) -> None:
    model = load_tensors(make_model(tmp_path / "m.evqa", "mobile-attention"))
    steps = [{"name": name, "first_layer": 0, "layers": 0, "macs": 0} for name in ("pixels", "positions")]
    clock = CLOCK_GETTIME
    regions = [ran(clock, 1), ran(worker.ELSE, 2), ran(clock, 4), ran(clock, 8), ran(clock, 16), ran(worker.STEPS, 32)]
    rows = step_table(regions, steps, Flat(), model.file.convs)  # type: ignore[arg-type]
    assert [(row["step"], row["cycles"]) for row in rows] == [("pixels", 8), ("positions", 16)]
    with pytest.raises(EdgeVQAError, match="3 times for 1 steps"):
        step_table(regions, steps[:1], Flat(), model.file.convs)  # type: ignore[arg-type]


def test_a_functions_inner_loop_is_the_block_that_multiplied_most() -> None:
    loop, after = Block(0x5010, (*SDOT, ADD)), Block(0x5100, (ADD, ADD, SDOT[0]))
    region = Region(1, {loop: 100, after: 10, Block(0x9000, (ADD,)): 300})
    maps = "5000-6000 r-xp 00001000 00:00 1 /nowhere/lib a.so\n4000-5000 r--p 00000000 00:00 1 /nowhere/lib a.so\n"
    rows = kernels.inner_loops("ours", region, Flat(), maps)  # type: ignore[arg-type]
    assert [row["function"] for row in rows] == ["lib a+0x1010", "lib a+0x1100"]  # it has no symbols
    assert rows[0] == rows[0] | {"instructions": 17, "macs": 256, "cycles": 17.0, "share": 1700 / 2030}


def counts(encoder: float, head: float) -> dict:
    part = {"instructions": 4e6, "macs": 9e6, "classes": {}}
    whole = {"instructions": 8e6, "macs": 18e6, "cycles": encoder + head}
    return {
        "detail": "made up",
        "encoder": {**part, "cycles": encoder},
        "head": {**part, "cycles": head},
        "answer": whole,
    }


@pytest.fixture
def result() -> dict:
    agreement = {"same": 9, "questions": 10, "largest_logit_difference": 0.1}
    cores = {
        core: {
            "ours": counts(10e6, 1e6),
            "litert": {**counts(litert * 1e6, 2e6), "agreement": agreement},
            "onnxruntime-u8": {**counts(20e6, 0.5e6), "agreement": agreement},
        }
        for core, litert in zip(session.CORES, (15, 18, 19.5))
    }
    loop = {"contender": "ours", "function": "conv<8>", "share": 0.5, "instructions": 17, "macs": 256, "cycles": 8.0}
    step = {"step": "conv", "layers": "0-0", "shape": "8x8x3 -> 4", "macs": 1000, "instructions": 100, "cycles": 50.0}
    return {
        "date": "2026-01-01", "host": "", "qemu": "7.2", "llvm": "19.1", "model": "m", "question": "q", "macs": 30e6,
        "cores": cores, "ratios": session.ratios(cores),
        "kernels": {c: {"limits": {"sdot": 32.0}, "loops": [{**loop, "macs_per_cycle": 32.0}]} for c in cores},
        "steps": {core: [step] for core in cores},
        "start": {
            "cortex-a76": {
                name: {"instructions": count, "files": {"python3": count - 1e6, "libc": 1e6}, "answer": "a"}
                for name, count in (("ours", 1e8), ("litert", 3e8))
            }
        },
    }  # fmt: skip


def test_each_ratio_is_that_of_the_best_peer(result: dict) -> None:
    # An answer's best peer may be another one than the encoder's: 20.5 are fewer than 21.5.
    assert session.last_line(result["ratios"]) == "a53=1.50 a72=1.80 a76=1.95 answer_a76=1.86"
    assert result["ratios"]["a76"]["best_peer"] == "litert"
    assert result["ratios"]["answer_a76"]["best_peer"] == "onnxruntime-u8"
    assert session.last_line(session.ratios({})) == "a53=n/a a72=n/a a76=n/a answer_a76=n/a"


def test_an_earlier_result_fills_documents(result: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier, document, pi = tmp_path / "r.json", tmp_path / "arm.md", tmp_path / "pi.md"
    earlier.write_text(json.dumps(result))
    document.write_text("before\n<!-- arm -->\nold\n<!-- /arm -->\n<!-- arm-steps --><!-- /arm-steps -->\nafter")
    pi.write_text("<!-- pi -->\n<!-- /pi -->")
    assert command.main(["--from", str(earlier), "--fill", str(document), str(pi), "--steps"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "a53=1.50 a72=1.80 a76=1.95 answer_a76=1.86"
    text = document.read_text()
    assert "| Cortex-A76 | edge_vqa | 4.0 | 10.0 | 7.50 | 3.0 | 1.00 | 11.0 | 1.95, 1.86 |" in text
    assert "our answer to 9 of 10 questions" in text and "Modelled, not measured" in text
    assert "old" not in text and text.startswith("before") and text.endswith("after")
    assert "| Raspberry Pi 5 | Cortex-A76, 2.4 GHz | 5.1 to 5.3 | 9.6 to 9.9 (onnxruntime (u8)) |" in pi.read_text()


def test_a_second_model_has_its_own_best_peer(result: dict) -> None:
    for name, found in (("ours", 10e6), ("litert", 15e6), ("onnxruntime-u8", 14e6)):
        result["cores"]["cortex-a53"][name]["encoder"]["second_model"] = {"name": "cortex-a55", "cycles": found}
    said = "Cortex-A53's encoder by LLVM's model of Cortex-A55: edge_vqa 10.0 Mcycles, onnxruntime (u8) 14.0, best peer"
    assert f"{said} / ours 1.40." in report.notes(result)


def test_processes_are_compared_whole_and_by_file(result: dict) -> None:
    assert report.starts(result)[1:] == [["Cortex-A76", "100", "300", "3.00"]]
    assert report.start_files(result) == (
        "By file, as Cortex-A76, at least 5 Minstr: edge_vqa: python3 99; LiteRT: python3 299."
    )


def test_a_document_without_a_block_is_an_error(result: dict, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("nothing")
    with pytest.raises(ValueError, match="<!-- pi -->"):
        report.fill(tmp_path / "a.md", result)


def test_an_estimate_is_cycles_by_clock_times_the_boards_range() -> None:
    board = boards.Board("x", "cortex-a72", 1.5)
    assert boards.milliseconds(board, 30e6) == pytest.approx((30.0, 40.0))
    assert boards.milliseconds(board, 30e6, 1.75) == pytest.approx((30.0, 35.0))
    assert boards.milliseconds(board, 30e6, 1.2) == pytest.approx((24.0, 24.0))


def test_a_peers_estimate_is_no_slower_than_what_was_published_of_it(result: dict) -> None:
    # Of the network with so many products a single thread needs 168 million cycles at most: 168 ms at 1 GHz.
    for core in result["cores"].values():
        core["litert"] = counts(150e6, 0)
        core["onnxruntime-u8"] = counts(200e6, 0)
    rows = {row[0]: row[-1] for row in report.boards({**result, "macs": boards.PUBLISHED_MACS})}
    assert rows["Raspberry Pi Zero 2 W"] == "159 to 168 (LiteRT)"
    for core in result["cores"].values():
        core["litert"] = counts(180e6, 0)
    rows = {row[0]: row[-1] for row in report.boards({**result, "macs": boards.PUBLISHED_MACS})}
    assert rows["Raspberry Pi Zero 2 W"] == "at most 168 (LiteRT)"


def test_what_a_published_time_with_four_threads_says_about_one(result: dict) -> None:
    found = {row[0]: row[1:] for row in boards.published_check({**result, "macs": boards.PUBLISHED_MACS})}
    # 17 ms at 1.5 GHz are 25.5 million cycles on each of four cores.
    assert found["Raspberry Pi 4, 64 bits"] == ["17", "4", "102", "18", "5.67"]


def test_answers_are_compared_without_the_place_for_none() -> None:
    found = session.agreement([[1.0, 2.0, 9.0], [3.0, 0.0, 9.0]], [[1.0, 2.5, 0.0], [0.0, 3.0, 0.0]])
    assert found == {"same": 1, "questions": 2, "largest_logit_difference": 3.0}


def test_signed_activations_are_the_same_numbers(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = load_tensors(make_model(tmp_path / "m.evqa", "mobile-attention"))
    graph, side = onnx_model(model, "encoder"), model.file.sizes.side
    pixels = np.random.default_rng(5).integers(0, 256, (1, side, side, 3), np.uint8)
    unsigned = runtime.InferenceSession(graph).run(None, {"pixels": pixels})[0]
    signed = runtime.InferenceSession(files.signed_activations(graph))
    assert signed.get_inputs()[0].type == "tensor(int8)"
    found = signed.run(None, {"pixels": (pixels ^ 128).view(np.int8)})[0]
    assert np.abs(found - unsigned).max() <= 1.01 * model.file.sizes.features_scale  # one step of rounding


@needs_native
@pytest.mark.parametrize("peer", session.PEERS)
def test_contenders_in_the_machine_do_the_same_work(peer: str, tmp_path: Path) -> None:
    # Here without a machine: nobody sees the markers, and the processor is this one.
    pytest.importorskip("onnxruntime"), pytest.importorskip("onnx"), pytest.importorskip("ai_edge_litert")
    path = make_model(tmp_path / "m.evqa", "mobile-attention")
    files.prepare_files(load_tensors(path), path, tmp_path, peers=True)
    found = {}
    for name in (session.OURS, peer):
        worker.main(name, tmp_path, "regions")
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())["logits"]
    agreed = session.agreement(found[session.OURS], found[peer])
    spread = max(max(row) - min(row) for row in found[session.OURS])
    assert agreed["questions"] == 10 and agreed["largest_logit_difference"] < 0.02 * spread


@needs_native
def test_our_steps_are_those_of_the_engines_profile(tmp_path: Path) -> None:
    path = make_model(tmp_path / "m.evqa", "mobile-attention")
    model = load_tensors(path)
    files.prepare_files(model, path, tmp_path, peers=False)
    worker.main(session.OURS, tmp_path, "steps")
    steps = json.loads((tmp_path / "ours.json").read_text())["steps"]
    assert sum(step["macs"] for step in steps) == session.macs(model)


def test_a_wheel_without_an_engine_is_an_error(tmp_path: Path) -> None:
    unpack = pytest.importorskip("bench.arm.engine").unpack_wheel
    for content, complaint in ((b"no zip", "is no wheel"), (b"PK\5\6" + bytes(18), "holds no engine")):
        (tmp_path / "a.whl").write_bytes(content)
        with pytest.raises(EdgeVQAError, match=complaint):
            unpack(tmp_path / "a.whl", tmp_path)


def test_without_llvm_one_line_says_so(monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = program(tmp_path / "libedge_vqa.so", PROGRAM)
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if "llvm" in name else found(name))
    monkeypatch.setattr(session, "prepare", lambda **_: None)
    assert command.main(["--library", str(library), "--ours"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "apt install llvm-19" in said[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--library", "nowhere.so"], "nowhere.so: No such file"),
        (["--library", __file__], "is no library for aarch64"),
        (["--from", "nowhere.json"], "nowhere.json"),
        (["--from", __file__], "is no result of --json"),
    ],
)
def test_a_wrong_file_is_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and complaint in said[0]


def test_json_that_is_something_else_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in ("[]", "{}", '{"cores": {}}'):
        (tmp_path / "r.json").write_text(content)
        assert command.main(["--from", str(tmp_path / "r.json")]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_raspberry_pi_4_hides_cryptography_and_a_5_does_not(tmp_path: Path) -> None:
    try:
        found = chips.environment("cortex-a72", tmp_path)
    except EdgeVQAError as error:
        pytest.skip(str(error))
    assert (tmp_path / "hwcap.so").read_bytes()[18:20] == b"\xb7\x00"  # for aarch64
    assert found == {"LD_PRELOAD": str(tmp_path / "hwcap.so")}
    assert chips.environment("cortex-a76", tmp_path) == {}
