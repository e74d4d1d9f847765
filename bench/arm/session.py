"""One whole comparison: every contender on every core, counted and modelled."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_vqa import EdgeVQAError
from edge_vqa.evqa_tensors import EvqaModel, load_tensors
from edge_vqa.model_file import find_model

from ..peers.cold_start import command
from ..peers.environments import ROOT
from . import chips, counted, worker
from .boards import best_peer
from .cycles import LLVM, SECOND_MODELS, CycleModel
from .files import QUESTIONS, prepare_files
from .kernels import by_file, inner_loops, limits
from .machine import Machine, prepare
from .steps import step_table

CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
OURS, PEERS = "ours", ("litert", "onnxruntime-u8", "onnxruntime-s8")
PACKAGES = ("numpy", "pillow", "ai-edge-litert==2.3.0", "onnxruntime==1.32.0")
"""What the machine's Python gets; the versions that docs/arm.md speaks of."""

_AARCH64 = 183
"""Its number in the header of ELF files."""

AGREE = 0.8
"""A peer that answers fewer of the questions as we do runs another network: an error."""

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
"""NumPy's own threads, for products that nobody here asks for, would be counted too."""


@dataclass
class Plan:
    """What to measure."""

    library: Path
    """Of our engine, for aarch64."""
    package: Path = ROOT
    """Where its Python package is imported from."""
    model: str | None = None
    cores: Sequence[str] = CORES
    peers: Sequence[str] = PEERS
    start: bool = True
    """Count processes from their start, too."""


class Bench:
    """What all measurements on one core share. Raises EdgeVQAError without LLVM or a compiler for aarch64."""

    def __init__(self, plan: Plan, core: str, folder: Path, machine: Machine, plugin: Path) -> None:
        self.plan, self.core, self.folder, self.machine, self.plugin = plan, core, folder, machine, plugin
        folder.mkdir(parents=True, exist_ok=True)
        self.chip = chips.environment(core, folder)
        self.cycles = CycleModel(core)
        self.second = CycleModel(core, SECOND_MODELS[core]) if core in SECOND_MODELS else None

    def count(
        self, name: str, arguments: Sequence[str], syscall: int | None = None
    ) -> tuple[list[counted.Region], str]:
        """What ran when Python was run as the core, and where its files lay. Raises EdgeVQAError when it fails."""
        out = self.folder / f"{name}.counted"
        self.run(name, arguments, counted.argument(self.plugin, out, syscall))
        found = counted.read_counts(out)
        out.unlink()
        return found

    def run(self, name: str, arguments: Sequence[str], plugin: str | None = None) -> str:
        """What it printed."""
        environment = {**ENVIRONMENT, **self.chip, "EDGE_VQA_LIBRARY": str(self.plan.library)}
        done = self.machine.run(
            self.core, list(arguments), path=[self.plan.package, ROOT], plugin=plugin, environment=environment
        )
        if done.returncode:
            said = (done.stderr or done.stdout or "it said nothing").strip().splitlines()[-1]
            raise EdgeVQAError(f"{name} as {self.core} ends with {done.returncode}: {said}")
        return str(done.stdout)


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Everything that report.py shows, ready for JSON; `folder` takes the files. Raises EdgeVQAError, OSError."""
    model_path = Path(find_model(plan.model))
    model = load_tensors(model_path)
    machine = prepare(packages=PACKAGES if plan.peers else PACKAGES[:2])
    plugin = counted.compile_plugin(folder)
    benches = [Bench(plan, core, folder / core, machine, plugin) for core in plan.cores]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # of what is waiting for other programs
        found = list(pool.map(lambda bench: measure_core(bench, model, model_path), benches))
    by_core = {key: dict(zip(plan.cores, (f[key] for f in found))) for key in ("cores", "kernels", "steps", "start")}
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "host": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "qemu": _version(["qemu-aarch64", "--version"]), "llvm": _version([f"llvm-mca-{LLVM}", "--version"]),
        "model": str(model.file.about.get("name", model_path.name)), "question": QUESTIONS[0],
        "macs": macs(model), **by_core, "ratios": ratios(by_core["cores"]),
    }  # fmt: skip


def measure_core(bench: Bench, model: EvqaModel, model_path: Path) -> dict[str, Any]:
    """All of one core. Raises EdgeVQAError."""
    prepare_files(model, model_path, bench.folder, bool(bench.plan.peers))
    contenders, loops = measure_contenders(bench)
    return {
        "cores": contenders,
        "kernels": {"limits": limits(bench.cycles), "loops": loops},
        "steps": measure_steps(bench, model),
        "start": measure_start(bench, model_path) if bench.plan.start else {},
    }


def check_library(path: Path) -> None:
    """Raises EdgeVQAError when a file is no library for aarch64."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError as error:
        raise EdgeVQAError(f"{path}: {error.strerror}") from error
    if header[:6] != b"\x7fELF\x02\x01" or int.from_bytes(header[18:20], "little") != _AARCH64:
        raise EdgeVQAError(f"{path}: is no library for aarch64; docs/arm.md says how to build one")


def macs(model: EvqaModel) -> int:
    """Multiply-accumulates of the encoder for one picture."""
    return sum(
        conv.out_side**2 * conv.outputs * conv.kernel**2 * (1 if conv.depthwise else conv.inputs)
        for conv in model.file.convs
    )


def measure_contenders(bench: Bench) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Every contender; and every contender's inner loops. Raises EdgeVQAError when answers differ."""
    found: dict[str, Any] = {}
    loops = []
    for name in (OURS, *bench.plan.peers):
        regions, maps = bench.count(name, ["-m", "bench.arm.worker", name, str(bench.folder), "regions"])
        said = json.loads((bench.folder / f"{name}.json").read_text(encoding="utf-8"))
        encoder, head = (counted.joined(r for r in regions if r.number == n) for n in (worker.ENCODER, worker.HEAD))
        parts = {"encoder": encoder, "head": head}
        found[name] = {"detail": said["detail"], **{k: measured(bench.cycles, r) for k, r in parts.items()}}
        found[name]["answer"] = {
            key: found[name]["encoder"][key] + found[name]["head"][key] for key in ("instructions", "macs", "cycles")
        }
        if bench.second:
            second = {"name": bench.second.name, "cycles": bench.second.cycles(encoder)}
            found[name]["encoder"]["second_model"] = second
        loops += inner_loops(name, counted.joined(parts.values()), bench.cycles, maps)
        if name == OURS:
            wanted = said["logits"]
        else:
            found[name]["agreement"] = agreement(wanted, said["logits"])
            _must_agree(name, bench.core, found[name]["agreement"])
    return found, loops


def measured(model: CycleModel, region: counted.Region) -> dict[str, Any]:
    """Of one region: executed instructions, also by class, products of integers, and modelled cycles."""
    return {
        "instructions": region.instructions, "macs": region.macs, "cycles": model.cycles(region),
        "classes": dict(region.classes()),
    }  # fmt: skip


def agreement(wanted: Sequence[Sequence[float]], found: Sequence[Sequence[float]]) -> dict[str, Any]:
    """To how many questions the best answer is the same, and how far logits are apart at most."""
    pairs = [(list(a[:-1]), list(b[:-1])) for a, b in zip(wanted, found, strict=True)]  # the last: no answer
    return {
        "same": sum(a.index(max(a)) == b.index(max(b)) for a, b in pairs),
        "questions": len(pairs),
        "largest_logit_difference": max(abs(x - y) for a, b in pairs for x, y in zip(a, b, strict=True)),
    }


def _must_agree(name: str, core: str, found: Mapping[str, Any]) -> None:
    if found["same"] < AGREE * found["questions"]:
        raise EdgeVQAError(f"{name} as {core} answers only {found['same']} of {found['questions']} questions as we do")


def measure_steps(bench: Bench, model: EvqaModel) -> list[dict[str, Any]]:
    """Cycles of each step of our encoder."""
    arguments = ["-m", "bench.arm.worker", OURS, str(bench.folder), "steps"]
    regions, _ = bench.count(OURS, arguments, counted.CLOCK_GETTIME)
    said = json.loads((bench.folder / f"{OURS}.json").read_text(encoding="utf-8"))
    return step_table(regions, said["steps"], bench.cycles, model.file.convs)


def measure_start(bench: Bench, model_path: Path) -> dict[str, Any]:
    """Instructions of whole processes, from their start to their end, and what they answered.

    Each ran before, uncounted: Python's modules are compiled then. The picture is a JPEG that already has the
    network's size, because the peers' programs resize nothing.
    """
    picture = str(bench.folder / "ca_rot.jpg")
    ids = ",".join(str(i) for i in json.loads((bench.folder / "asked.json").read_text(encoding="utf-8"))[0][1])
    programs = {OURS: ["-m", "edge_vqa.run", "--image", picture, "--q", QUESTIONS[0], "--model", str(model_path)]}
    for name in dict.fromkeys(peer.split("-")[0] for peer in bench.plan.peers):
        programs[name] = command("", f"first_answer:{name}", [str(bench.folder), picture, QUESTIONS[0], ids, "1"])[1:]
    found = {}
    for name, arguments in programs.items():
        answer = bench.run(name, arguments).strip()
        regions, maps = bench.count(f"start-{name}", arguments)
        whole = counted.joined(regions)
        found[name] = {"instructions": whole.instructions, "files": by_file(whole, maps), "answer": answer}
    return found


def ratios(cores: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Best peer's modelled cycles over ours, and who: the encoder on each core, the whole answer on Cortex-A76."""
    wanted = [(core, "encoder", f"a{core[8:]}") for core in CORES] + [("cortex-a76", "answer", "answer_a76")]
    found = {}
    for core, part, label in wanted:
        contenders = cores.get(core, {})
        if len(contenders) > 1:
            best = best_peer(contenders, part)
            ratio = contenders[best][part]["cycles"] / contenders[OURS][part]["cycles"]
            found[label] = {"ratio": ratio, "best_peer": best}
    return found


def last_line(found: Mapping[str, Mapping[str, Any]]) -> str:
    """`a53=R a72=R a76=R answer_a76=R` with two decimals; n/a where no peer was measured."""
    labels = ("a53", "a72", "a76", "answer_a76")
    return " ".join(f"{k}={found[k]['ratio']:.2f}" if k in found else f"{k}=n/a" for k in labels)


def _version(command: Sequence[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    return next((word for word in said.split() if word[:1].isdigit()), "unknown")
