"""What a wheel must hold and be named, and how they are built (tests/arm builds those for ARM and runs them)."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from runtime import wheels
from runtime.wheels import building, checks, compiler
from runtime.wheels.__main__ import main
from runtime.wheels.checks import ENGINE, WheelError

ROOT = Path(__file__).resolve().parents[2]
METADATA = "edge_vqa-0.3.0.dist-info"

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, library_path: Path) -> Make:
    """Writes a wheel with this machine's engine, named for any platform, without or with further files."""
    pytest.importorskip("auditwheel")
    if os.uname().machine != "x86_64":
        pytest.skip("the engine is not compiled for x86-64")

    def make_(tag: str, without: str | None = None, more: Iterable[str] = ()) -> Path:
        wheel = tmp_path / f"edge_vqa-0.3.0-py3-none-{tag}.whl"
        package = [p for kind in ("*.py", "*.evqa", "*.json", "*.md") for p in (ROOT / "edge_vqa").rglob(kind)]
        files = {str(p.relative_to(ROOT)): p for p in package} | {ENGINE: library_path}
        files |= {f"{METADATA}/licenses/LICENSE": ROOT / "LICENSE"} | {name: Path(__file__) for name in more}
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, path in files.items():
                if without is None or without not in name:
                    archive.write(path, name)
            archive.writestr(f"{METADATA}/RECORD", "".join(f"{name},,\n" for name in archive.namelist()))
            archive.writestr(f"{METADATA}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-{tag}\n")
        return wheel

    return make_


def newest_glibc(library: Path) -> int:
    """N of the newest GLIBC_2.N that the engine names, read off its bytes."""
    return max(int(n) for n in re.findall(rb"GLIBC_2\.(\d+)", library.read_bytes()))


def test_a_wheel_may_promise_what_its_engine_needs_and_no_older_system(make: Make, library_path: Path) -> None:
    oldest = newest_glibc(library_path)
    assert oldest > 17, "the system's compiler makes no engine for manylinux2014"
    found = checks.check(make("manylinux_2_99_x86_64"))
    assert int(found.split("_")[2]) >= oldest
    assert checks.check(make(found)) == found
    for older in ("manylinux_2_17_x86_64", "manylinux2014_x86_64", f"{found}.manylinux_2_17_x86_64"):
        with pytest.raises(WheelError, match="but auditwheel finds that it needs"):
            checks.check(make(older))


@pytest.mark.parametrize("tag", ("manylinux_2_99_aarch64", "musllinux_1_2_x86_64", "linux_x86_64", "any"))
def test_another_processor_another_c_library_and_no_promise_at_all_are_refused(make: Make, tag: str) -> None:
    with pytest.raises(WheelError, match="auditwheel (cannot judge it|finds that it needs)"):
        checks.check(make(tag))


@pytest.mark.parametrize("without", ("_native/", "models/tiny.evqa", "models/mobilenetv2", "LICENSE"))
def test_a_wheel_without_engine_model_or_licence_is_refused(make: Make, without: str) -> None:
    with pytest.raises(WheelError, match=f"_native/.* not compiled|lacks .*{without}|lacks its licence"):
        checks.check(make("manylinux_2_99_x86_64", without))


@pytest.mark.parametrize("stray", ("edge_vqa/kernels.cc", "tests/test_wheels.py", "runtime/include/edge_vqa.h"))
def test_sources_and_tests_stay_out_of_wheels(make: Make, stray: str) -> None:
    with pytest.raises(WheelError, match=re.escape(f"holds {stray}")):
        checks.check(make("manylinux_2_99_x86_64", more=[stray]))


def test_a_wheel_that_is_too_large_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LARGEST", 1_000_000)
    with pytest.raises(WheelError, match="more than the 1 MB"):
        checks.check(make("manylinux_2_99_x86_64"))


def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no.whl").write_text("no wheel")
    assert main(["--check", str(tmp_path / "no.whl")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(WheelError, match="no such platform: .*aarch64"):
        wheels.build(["sparc"], tmp_path)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    assert main(["--out", str(tmp_path), "--only", "aarch64"]) == 1
    assert re.fullmatch(r'error: .*pip install "\.\[wheels\]"\n', capsys.readouterr().err)


def test_every_platform_has_a_name_of_its_own_that_pip_knows() -> None:
    tags = [platform.tag for platform in wheels.PLATFORMS.values()]
    assert len(set(tags)) == len(tags)
    for platform in wheels.PLATFORMS.values():
        kind, version, machine = checks._parse(platform.tag)
        assert machine == platform.machine
        # manylinux_2_28 is what a Raspberry Pi OS of 2021 and newer takes; Alpine has musl 1.2 since 3.13.
        assert version <= {"manylinux": (2, 28), "musllinux": (1, 2)}[kind]


def test_the_compiler_is_told_its_target_and_links_without_a_cxx_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zig = tmp_path / "a folder" / "zig"
    zig.parent.mkdir()
    zig.write_text('#!/bin/sh\necho "$@"\n')
    zig.chmod(0o755)
    monkeypatch.setenv("CXXFLAGS", "-march=native")
    monkeypatch.setenv("SKBUILD_CMAKE_ARGS", "-DX=1")
    environment = compiler.compiler(zig, wheels.PLATFORMS["armv7l"], tmp_path)
    assert not {"CXXFLAGS", "SKBUILD_CMAKE_ARGS"} & set(environment)

    def called(name: str, *arguments: str) -> list[str]:
        return subprocess.run(
            [environment[name], *arguments], capture_output=True, text=True, check=True
        ).stdout.split()

    for found, language in ((called("CXX", "-O3", "-c", "a.cc"), "c++"), (called("CXX", "a.o", "-shared"), "cc"),
                            (called("CC", "-c", "a.c"), "cc")):  # fmt: skip
        assert found[0] == language
        assert found[found.index("-target") + 1].startswith("arm-linux-gnueabihf")
    assert called("CXX", "-O3", "-c", "a b.cc")[-4:] == ["-O3", "-c", "a", "b.cc"]


def test_libraries_for_musl_ask_for_it_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setattr(compiler.shutil, "which", lambda name, path=None: str(tool))
    library = tmp_path / "libedge_vqa.so"
    library.touch()
    environment = compiler.compiler(tool, wheels.PLATFORMS["musl-aarch64"], tmp_path)
    for language in ("CC", "CXX"):
        linked = subprocess.run(
            [environment[language], "-shared", "a.o", "-o", library], capture_output=True, text=True, check=True
        )
        calls = linked.stdout.splitlines()
        assert len(calls) == 2
        assert calls[1] == f"--replace-needed libc.so libc.musl-aarch64.so.1 {library}"
    tool.write_text("#!/bin/sh\nexit 3\n")
    assert subprocess.run([environment["CC"], "a.o", "-o", library], check=False).returncode == 3


def test_wheels_of_one_commit_have_one_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert building._date() == "1700000000"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setattr(building, "ROOT", tmp_path)  # no repository
    assert int(building._date()) >= 315532800  # 1980, before which zip knows no dates
