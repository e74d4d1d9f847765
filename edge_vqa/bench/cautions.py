"""Why figures may not be what the board can do, and what to do about it. Works on a result alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HOT = 75.0
"""°C near which most boards begin to slow down, where the board does not tell its limit."""
NEAR = 5.0
"""°C below the limit that count as near."""
BUSY = 0.15
"""Processors kept busy by others that are worth a warning."""
STEADY_CLOCK = 0.05
"""Change of the clock, as a share of the highest, that is worth a warning."""
NOISY = 1.5
"""p95 over p5 above which a measurement is called noisy."""
_FEW_RUNS = 10
"""Below so many runs p5 and p95 say nothing about noise."""
_LITTLE_MEMORY = 100.0
"""MB."""

Caution = tuple[str, str, str]
"""What it is about, what is so, what to do."""


def find(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """All that apply, ready for JSON: about, text, advice."""
    parts = (_power, _clock, _heat, _share, _others, _engine, _noise)
    return [dict(zip(("about", "text", "advice"), found)) for part in parts for found in part(result)]


def _power(result: Mapping[str, Any]) -> Iterator[Caution]:
    before, after = (result["sensors"].get(when, {}).get("throttled") for when in ("before", "after"))
    now = sorted({name for flags in (before, after) if flags for name in flags["now"]})
    during = {name for sample in _samples(result) for name in sample["throttled"] or ()}
    now = sorted({*now, *during})
    remedy = "voltage too low: the board's own power supply and a short cable; else: a heat sink or a fan. Measure anew"
    if now:
        yield "throttled", f"the board was being held back while it was measured: {', '.join(now)}", remedy
    if after:
        fresh = [n for n in after["since_start"] if not before or n not in before["since_start"]]
        old = [n for n in after["since_start"] if n not in fresh and n not in now]
        fresh = [n for n in fresh if n not in now]
        if fresh:
            yield "throttled", f"the board was held back for a while during the run: {', '.join(fresh)}", remedy
        if old:
            advice = "restart the board to see whether it comes again; " + remedy
            yield "throttled", f"the board was held back since it was started: {', '.join(old)}", advice


def _clock(result: Mapping[str, Any]) -> Iterator[Caution]:
    groups = result["sensors"].get("before", {}).get("governors", [])
    named = sorted({g["governor"] for g in groups if g["governor"] not in (None, "performance")})
    if named:
        yield (
            "governor",
            f"the clock's governor is {', '.join(named)}, not performance: the clock rises only once work has begun",
            "for measuring: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor "
            f"(to go back: {named[0]}; a restart goes back, too)",
        )
    for group in groups:
        allowed, possible = group["scaling_max_freq_mhz"], group["cpuinfo_max_freq_mhz"]
        if allowed and possible and allowed < possible:
            advice = "see scaling_max_freq below /sys/devices/system/cpu/cpu*/cpufreq, and what sets it"
            yield "clock", f"at most {allowed:.0f} of {possible:.0f} MHz are allowed", advice
    seen = [sample["mhz"] for sample in _samples(result) if sample["mhz"]]
    if seen and max(seen) - min(seen) > STEADY_CLOCK * max(seen):
        yield (
            "clock",
            f"the clock changed while it was measured: {min(seen):.0f} to {max(seen):.0f} MHz",
            "set the governor performance, and see to cooling and power; then measure anew",
        )


def _heat(result: Mapping[str, Any]) -> Iterator[Caution]:
    seen = [sample["celsius"] for sample in _samples(result) if sample["celsius"] is not None]
    told = result["sensors"].get("before", {}).get("limit_celsius")
    limit = told if told is not None else HOT + NEAR
    if seen and max(seen) >= limit - NEAR:
        who = "the board slows down at" if told is not None else "many boards slow down from about"
        text = f"the board reached {max(seen):.0f} °C: {who} {limit:.0f} °C"
        yield "heat", text, "let it cool; a heat sink, a fan, or room for air"


def _share(result: Mapping[str, Any]) -> Iterator[Caution]:
    machine = result["machine"]
    usable, there, quota = machine.get("usable"), machine.get("processors"), machine.get("quota")
    if quota is not None and usable and quota < usable:
        yield (
            "quota",
            f"the control group allows {quota:.2g} of {usable} processors' time: the kernel pauses this process",
            "raise the container's or service's limit (docker --cpus, CPUQuota=), or take as many --threads",
        )
    if there and usable and usable < there:
        yield (
            "processors",
            f"this process may run on {usable} of {there} processors only",
            "as it should be if you chose so (taskset, cpuset); else start it without",
        )
    if usable == 1:
        yield (
            "processors",
            "there is one processor: whatever else runs takes its time from what is measured",
            "stop other programs; more threads cannot help here",
        )
    if machine.get("emulated"):
        yield (
            "emulation",
            f"this is an emulation ({machine['emulated']}): its times say nothing about any board",
            "measure on the board itself",
        )
    if (machine.get("available_mb") or _LITTLE_MEMORY) < _LITTLE_MEMORY:
        yield (
            "memory",
            f"only {machine['available_mb']:.0f} MB of memory are free: the system may swap",
            "stop other programs, the desktop first",
        )


def _others(result: Mapping[str, Any]) -> Iterator[Caution]:
    busy = result["sensors"].get("busy_before")
    if busy and busy["processors"] >= BUSY:
        named = ", ".join(f"{p['name']} ({p['processors']:.2f})" for p in busy["programs"])
        who = f", most by {named}" if named else ""
        text = f"other programs kept {busy['processors']:.2f} processors busy before the run{who}"
        yield "load", text, "stop them, or wait until they are done, and measure anew"


def _engine(result: Mapping[str, Any]) -> Iterator[Caution]:
    setup = result["setup"]
    if setup["engine"]["name"] == "reference":
        yield (
            "engine",
            "the reference engine (NumPy) defines what is right; it is not made to be quick",
            "install a wheel, or a C++ compiler and then edge_vqa again (python -m edge_vqa.doctor says more)",
        )
    forced = setup["environment"].get("EDGE_VQA_ISA")
    if forced:
        yield "engine", f"EDGE_VQA_ISA={forced} decides which kernels compute", "unset it to measure the best ones"


def _noise(result: Mapping[str, Any]) -> Iterator[Caution]:
    noisy = [
        row["label"]
        for row in result["measurements"]
        if row["unit"] != "MB" and row["runs"] >= _FEW_RUNS and row["p95"] > NOISY * row["p5"]
    ]
    if noisy:
        some = "; ".join(noisy[:3]) + (f"; and {len(noisy) - 3} more" if len(noisy) > 3 else "")
        yield (
            "noise",
            f"p95 is over {NOISY:g} times p5 in {len(noisy)} of {len(result['measurements'])} measurements: {some}",
            "stop other programs, set the governor performance, and measure anew",
        )


def _samples(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the sensors said after each measurement and in the sustained run."""
    return [*result["sensors"].get("during", []), *((result.get("sustained") or {}).get("intervals", []))]
