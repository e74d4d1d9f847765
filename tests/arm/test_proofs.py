"""The tests of this folder can fail: each kind of fault, put in on purpose, is found by the same judgement.

The engine is linked anew with its level "neon" compiled so that fault.cc runs at the entry of its functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from arm import builds, instructions, verdict
from arm.builds import Build
from arm.conftest import LIMIT, Ask
from arm.test_kernels import judge

from bench.arm.machine import Machine

Faulty = dict[str, tuple[Path, Path]]


@pytest.fixture(scope="module")
def faulty(built: Callable[[str, int], Build], tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    """A library and a kernel_test with each fault, and ones that were linked alike without any ("none")."""
    build, folder = built("zig", 64), tmp_path_factory.mktemp("faults")
    return {fault: builds.with_fault(build, fault, folder) for fault in builds.FAULTS}


def steps(tiny_models: dict[str, Path], level: str) -> list[verdict.Asked]:
    name = "tiny-mobile-attention"
    return [verdict.golden(name, tiny_models[name], level, 1)]


@pytest.mark.parametrize(
    ("core", "fault", "complaint"),
    [
        ("cortex-a53", "none", None),
        ("cortex-a53", "sdot", "died of SIGILL in step 0"),
        ("cortex-a72", "sdot", "died of SIGILL in step 0"),
        ("cortex-a76", "sdot", None),
        ("cortex-a53", "rounding", "/features is"),
    ],
)
def test_a_fault_in_the_baseline_is_found_in_answers(
    core: str, fault: str, complaint: str | None, ask: Ask, faulty: Faulty, tiny_models: dict[str, Path]
) -> None:
    """A dot product where Cortex-A53 and -A72 have none kills the process, and passes where the core has it."""
    asked = steps(tiny_models, "neon")
    done = ask(core, asked, faulty[fault][0])
    if complaint is None:
        verdict.judge(core, done, asked, {})
    else:
        with pytest.raises(AssertionError, match=complaint):
            verdict.judge(core, done, asked, {})


@pytest.mark.parametrize(
    ("core", "fault", "complaint"),
    [
        ("cortex-a72", "none", None),
        ("cortex-a72", "sdot", "died of SIGILL"),
        ("cortex-a72", "rounding", "scalar says"),
    ],
)
def test_a_fault_in_the_baseline_is_found_in_kernels(
    core: str, fault: str, complaint: str | None, faulty: Faulty, machines: dict[int, Machine]
) -> None:
    done = machines[64].program(core, faulty[fault][1], ["1"], timeout=LIMIT)
    if complaint is None:
        judge(core, done)
    else:
        with pytest.raises(AssertionError, match=complaint):
            judge(core, done)


def test_wrong_results_are_found(ask: Ask, tiny_models: dict[str, Path]) -> None:
    """One bit of an answer, a level that the core should have, a result that is missing."""
    levels = verdict.Asked({"do": "levels"}, {"levels": ["neon", "scalar"], "chosen": "neon"})
    right = [levels, *steps(tiny_models, "neon")]
    done = ask("cortex-a72", right)
    verdict.judge("cortex-a72", done, right, {})
    changed: Any = json.loads(json.dumps(right[1].expected))
    first = changed["pictures"]["slope"]["logits"][0]
    changed["pictures"]["slope"]["logits"][0] = f"{int(first, 16) ^ 1:064x}"
    more = {"levels": ["neondot", "neon", "scalar"], "chosen": "neondot"}
    for asked, complaint in (
        ([levels, verdict.Asked(right[1].step, changed)], "/pictures/slope/logits/0 is"),
        ([verdict.Asked(levels.step, more), right[1]], "/levels is"),
        ([*right, levels], "in step 2"),
    ):
        with pytest.raises(AssertionError, match=complaint):
            verdict.judge("cortex-a72", done, asked, {})


def test_a_foreign_instruction_is_found_without_running_it(built: Callable[[str, int], Build], tmp_path: Path) -> None:
    """Each extension in an object that has no right to it."""
    instructions.need_objdump(64)
    source = tmp_path / "neon.cc"
    for extension, (name, code) in instructions.EXAMPLES.items():
        source.write_text(f'void f() {{ asm volatile(".arch_extension {name}\\n\\t{code}"); }}\n')
        compiled = built("zig", 64).compile(source, [], tmp_path / "neon.o")
        found = instructions.foreign({"kernels/arm/neon.cc": compiled}, 64)
        assert len(found) == 1 and f"{extension} in" in found[0], (extension, found)
        own = instructions.foreign({"kernels/arm/neoni8mm.cc": compiled}, 64)
        assert bool(own) == (extension not in ("dotprod", "i8mm"))
