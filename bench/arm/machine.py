"""python -m bench.arm.machine [--wheel FILE] [--path FOLDER] [--packages NAME ...] CORE [python's arguments]

Run real ARM Python on this x86-64 machine as a chosen core, without root file system tricks: Debian's own build of
CPython for ARM, unpacked into a folder, run by qemu's user-mode emulation. An instruction that the core lacks ends the
process with SIGILL, as on the device.

    python -m bench.arm.machine --wheel dist/edge_vqa-*_aarch64.whl cortex-a72 -m edge_vqa.doctor

What is missing is installed or downloaded first: qemu-user and mmdebstrap by apt (as root), Debian packages by
mmdebstrap, wheels for 64-bit ARM by pip. It is kept in .arm-machine/ of the checkout, or in the folder that
EDGE_VQA_ARM_MACHINE names (300 MB with both sizes of word). fork and threads work in the emulated Python; starting
another ARM program from it does not, because the kernel outside cannot run it.

Exit codes: Python's own; 2 wrong usage or no emulated machine can be had here.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_vqa.errors import EdgeVQAError

SUITE, PYTHON = "bookworm", "3.11"
"""The Debian release whose Python runs, and that Python's version."""

ARCHITECTURES = {64: "arm64", 32: "armhf"}
_QEMU = {64: "qemu-aarch64", 32: "qemu-arm"}
_DEBIAN = (f"python{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", "libstdc++6", "libgomp1")
_DEBIAN_32 = {"numpy": "python3-numpy", "pillow": "python3-pil", "pytest": "python3-pytest"}
"""PyPI has no wheels for 32-bit ARM: there, as on a 32-bit Raspberry Pi OS, packages are Debian's."""
_PLATFORMS = [f"manylinux_2_{minor}" for minor in range(36, 16, -1)] + ["manylinux2014", "linux"]
"""What a system with glibc 2.36 can install: pip, told a platform, takes just that one."""
_MACHINES = {64: "aarch64", 32: "armv7l"}
"""The ends of the platforms' names."""

_A53 = "fp asimd evtstrm crc32 cpuid"
_A76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
_A7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"

_NO_NEON = "half thumb fastmult vfp edsp vfpv3 vfpv3d16 tls idiva idivt lpae evtstrm"


class MachineError(EdgeVQAError):
    """There is no emulated ARM machine to be had here; one line says why."""


@dataclass(frozen=True)
class Core:
    """How qemu is told to be this core, and what Linux says of it in /proc/cpuinfo and of its caches in /sys.

    `part` is the core's number in MIDR_EL1 (Arm's Technical Reference Manuals), `features` the words of the kernel's
    hwcap list, `caches` the sizes of a core's first data cache and of the second one on the boards that have it, in KB.
    Libraries that choose kernels by these would otherwise read what the machine outside says.
    """

    bits: int
    qemu: str
    part: int
    features: str
    caches: tuple[int, int]

    def cpuinfo(self, processors: int = 2) -> str:
        """The text of /proc/cpuinfo."""
        name = "" if self.bits == 64 else "model name\t: ARMv7 Processor rev 5 (v7l)\n"
        return "".join(
            f"processor\t: {i}\n{name}BogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: {8 if self.bits == 64 else 7}\nCPU variant\t: 0x0\nCPU part\t: {self.part:#x}\n"
            "CPU revision\t: 1\n\n"
            for i in range(processors)
        )

    def files(self) -> dict[str, str]:
        """Path below the root -> text of all that the kernel says of this core."""
        found = {"proc/cpuinfo": self.cpuinfo()}
        nearest, second = self.caches
        caches = (1, "Data", nearest), (1, "Instruction", nearest), (2, "Unified", second)
        for index, (level, kind, size) in enumerate(caches):
            folder = f"sys/devices/system/cpu/cpu0/cache/index{index}"
            found |= {f"{folder}/level": f"{level}\n", f"{folder}/type": f"{kind}\n", f"{folder}/size": f"{size}K\n"}
        return found


# qemu 7.2 computes some instructions wrongly when its "max" core has SVE.
CORES = {
    "cortex-a53": Core(64, "cortex-a53", 0xD03, _A53, (32, 512)),  # Raspberry Pi 3, Zero 2 W
    "cortex-a72": Core(64, "cortex-a72", 0xD08, _A53, (32, 1024)),  # Raspberry Pi 4
    "cortex-a76": Core(64, "cortex-a76", 0xD0B, _A76, (64, 512)),  # Raspberry Pi 5
    "i8mm": Core(64, "max,sve=off,sme=off", 0xD4F, f"{_A76} i8mm bf16", (64, 1024)),  # newer ones, as Neoverse V2
    "cortex-a7": Core(32, "cortex-a7", 0xC07, _A7, (32, 512)),  # Raspberry Pi 2; 32-bit systems
    "armv7-vfp": Core(32, "cortex-a7,neon=off", 0xC07, _NO_NEON, (32, 512)),  # the least that a wheel runs on
}


@dataclass(frozen=True)
class Machine:
    """An emulated ARM machine of 32 or 64 bits: several processes may run in it at once, as different cores."""

    folder: Path
    bits: int
    system: str
    site: Path | None

    def emulator(
        self, core: str, *, plugin: str | None = None, environment: Mapping[str, str] | None = None
    ) -> list[str]:
        """What to write before an ARM program's own command line; it sees `environment` and no other variables.

        `plugin` goes to qemu's -plugin, which takes a qemu with plugins (the dynamic qemu-user since bookworm's 7.2).
        """
        found = CORES.get(core)
        if found is None:
            raise MachineError(f"{core}: no such core: {', '.join(CORES)}")
        if found.bits != self.bits:
            raise MachineError(f"{core} runs {found.bits} bits, this machine was prepared for {self.bits}")
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        plugins = [] if plugin is None else ["-plugin", plugin]
        qemu = [_tool(_QEMU[self.bits]), "-cpu", found.qemu, "-L", str(self._root(core)), *plugins]
        return ["env", "-i", *variables, *qemu]

    def command(
        self,
        core: str,
        arguments: Sequence[str | Path],
        *,
        path: Sequence[Path] = (),
        plugin: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> list[str]:
        """The command line that runs Python as `core`; its sys.path begins with the folders of `path`.

        See `emulator` for the others.
        """
        folders = [*path, *([self.site] if self.site else [])]
        variables = {"PYTHONPATH": os.pathsep.join(str(Path(f).resolve()) for f in folders), **(environment or {})}
        python = self._root(core) / "usr" / "bin" / f"python{PYTHON}"
        return [*self.emulator(core, plugin=plugin, environment=variables), str(python), *map(str, arguments)]

    def run(
        self,
        core: str,
        arguments: Sequence[str | Path],
        *,
        path: Sequence[Path] = (),
        plugin: str | None = None,
        environment: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python as `core` to its end. A process that died of a signal has the signal's number, negative, as code.

        Raises subprocess.TimeoutExpired after `timeout` seconds.
        """
        command = self.command(core, arguments, path=path, plugin=plugin, environment=environment)
        return _run(command, input=input, timeout=timeout)

    def program(
        self,
        core: str,
        file: Path,
        arguments: Sequence[str | Path] = (),
        *,
        plugin: str | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a compiled ARM program to its end, as `run` does."""
        command = [*self.emulator(core, plugin=plugin, environment=environment), str(file), *map(str, arguments)]
        return _run(command, timeout=timeout)

    def _root(self, core: str) -> Path:
        return self.folder / "cores" / f"{core}-{self.system}"


def default_folder() -> Path:
    """Where the machine is kept: EDGE_VQA_ARM_MACHINE, or .arm-machine in the checkout."""
    named = os.environ.get("EDGE_VQA_ARM_MACHINE")
    return Path(named).resolve() if named else Path(__file__).resolve().parents[2] / ".arm-machine"


def prepare(folder: Path | None = None, bits: int = 64, packages: Sequence[str] = ("numpy", "pillow")) -> Machine:
    """The emulated machine, made where it is not there yet (half a minute; later milliseconds).

    `packages` are names for pip, versions allowed ("onnxruntime==1.20.1"); in 32 bits only those of Debian. Each
    choice of packages is kept apart, so a machine holds no more than what was asked for.

    Raises MachineError where a part cannot be had: no apt, no root to install with, no network.
    """
    folder = (folder or default_folder()).resolve()
    wanted = sorted(packages)
    with _one_at_a_time(folder):
        for tool in (_QEMU[bits], "mmdebstrap"):
            if not shutil.which(tool):
                _install_tools()
                break
        if bits == 64:
            system, debian, site = ARCHITECTURES[bits], list(_DEBIAN), _site(folder, wanted)
        else:
            if unknown := [name for name in wanted if name not in _DEBIAN_32]:
                raise MachineError(f"{', '.join(unknown)}: not for 32-bit ARM, which has {', '.join(_DEBIAN_32)}")
            system, site = "-".join([ARCHITECTURES[bits], *wanted]), None
            debian = [*_DEBIAN, *(_DEBIAN_32[name] for name in wanted)]
        _system(folder / system, ARCHITECTURES[bits], debian)
        for name, core in CORES.items():
            if core.bits == bits:
                _core(folder / system, folder / "cores" / f"{name}-{system}", core)
    return Machine(folder, bits, system, site)


def install(wheel: Path, folder: Path, bits: int = 64) -> Path:
    """Unpack a wheel, one that pip on the machine would take, into `folder`, and nothing that it depends on."""
    _pip(folder, ["--no-deps", "--no-index", "--upgrade", str(wheel)], bits)
    return folder


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Others who prepare the same folder wait until this one has done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise MachineError(f"{folder}: {error.strerror or error}: EDGE_VQA_ARM_MACHINE names another folder") from error


def _install_tools() -> None:
    wanted = "qemu-user mmdebstrap"
    if not shutil.which("apt-get"):
        raise MachineError(f"needs {wanted}, and there is no apt here to install them")
    if os.geteuid() != 0:
        raise MachineError(f"needs {wanted}, and only root may install them: sudo apt install {wanted}")
    apt = ["apt-get", "-qq", "-o", "Acquire::http::Timeout=30"]
    _do([*apt, "update"], "apt-get update")
    _do([*apt, "install", "--yes", "--no-install-recommends", *wanted.split()], f"apt-get install {wanted}")


def _system(folder: Path, architecture: str, packages: Sequence[str]) -> None:
    """Unpack Debian packages and what they depend on. Nothing of them is run, and files belong to this user."""
    if folder.exists():
        return
    new, archive = folder.with_name(f"{folder.name}.part"), folder.with_name(f"{folder.name}.tar")
    shutil.rmtree(new, ignore_errors=True)
    variant = ["--quiet", "--variant=extract", "--format=tar", f"--architectures={architecture}"]
    # The release alone: it hardly changes, its updates do.
    release = f"""--setup-hook=sed --in-place /{SUITE}-/d "$1/etc/apt/sources.list\""""
    command = ["mmdebstrap", *variant, release, f"--include={','.join(packages)}", SUITE, str(archive)]
    try:
        _do(command, f"mmdebstrap of {SUITE} for {architecture}")
        new.mkdir()
        unpack = ["tar", "--extract", "--no-same-owner", "--exclude=./dev/*", "--file", str(archive)]
        _do([*unpack, "--directory", str(new)], f"unpacking {archive.name}")
    finally:
        archive.unlink(missing_ok=True)
    _link_blas(new)
    new.rename(folder)


def _link_blas(root: Path) -> None:
    """Make the links of libblas and liblapack that Debian's update-alternatives would make on a running system."""
    for library in (root / "usr" / "lib").glob("*-linux-gnu*/*/lib*.so.3"):
        if library.parent.name in ("blas", "lapack"):
            (library.parents[1] / library.name).symlink_to(f"{library.parent.name}/{library.name}")


def _site(folder: Path, packages: Sequence[str]) -> Path | None:
    if not packages:
        return None
    site = folder / "-".join(["site", *packages])
    if not site.exists():
        new = site.with_name(site.name + ".part")
        shutil.rmtree(new, ignore_errors=True)
        _pip(new, packages)
        new.rename(site)
    return site


def _pip(folder: Path, arguments: Sequence[str], bits: int = 64) -> None:
    target = ["--target", str(folder), "--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:"]
    platforms = [word for platform in _PLATFORMS for word in ("--platform", f"{platform}_{_MACHINES[bits]}")]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    _do([sys.executable, "-m", "pip", "install", *quiet, *target, *platforms, *arguments], "pip install")


def _core(system: Path, root: Path, core: Core) -> None:
    """A root for one core: links to the system's folders, and what the kernel says of it."""
    for name in ("usr", "lib", "etc"):
        link = root / name
        if not link.is_symlink() and (system / name).exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path("..") / ".." / system.name / name)
    for file, text in core.files().items():
        place = root / file
        if not place.is_file() or place.read_text() != text:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MachineError(f"{name} is not installed: apt install qemu-user")
    return found


def _run(
    command: list[str], input: str | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, input=input, timeout=timeout)


def _do(command: list[str], what: str) -> None:
    """Run a command that must succeed; its last line of complaint is the error."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        # mmdebstrap takes its mirror from standard input, if there is any, and else the distribution's own.
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise MachineError(f"{what}: {error}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        # apt and mmdebstrap say the cause first and that they failed last; pip the other way round.
        cause = next((line for line in lines if line.startswith("E: ")), lines[-1])
        raise MachineError(f"{what} failed: {cause.strip()}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.arm.machine", description="Run ARM Python on this machine as a chosen core."
    )
    parser.add_argument("--wheel", type=Path, help="a wheel for it to import from, such as edge_vqa's")
    parser.add_argument("--path", type=Path, nargs="+", default=[], help="folders for it to import from")
    parser.add_argument("--packages", nargs="+", default=["numpy", "pillow"], metavar="NAME", help="wheels of PyPI")
    parser.add_argument("core", choices=CORES)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="Python's own")
    options = parser.parse_args(arguments)
    try:
        machine = prepare(None, CORES[options.core].bits, options.packages)
        path = list(options.path)
        if options.wheel:
            path.insert(0, install(options.wheel, machine.folder / "wheels" / options.wheel.stem, machine.bits))
        command = machine.command(options.core, options.arguments, path=path)
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
