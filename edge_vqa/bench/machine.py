"""What machine this is: board, processor, caches, memory, system, and what share of it this process may use."""

from __future__ import annotations

import os
import platform
import struct
from typing import Any

from .sensors import Sensors

_ARM_PARTS = {
    "0xc07": "Cortex-A7", "0xc08": "Cortex-A8", "0xc09": "Cortex-A9", "0xc0f": "Cortex-A15", "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57", "0xd08": "Cortex-A72", "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78", "0xd49": "Neoverse-N2", "0xd4f": "Neoverse-V2", "0xb76": "ARM1176",
}  # fmt: skip
"""CPU part of implementer 0x41, from Arm's technical reference manuals (MIDR)."""

_X86 = ("GenuineIntel", "AuthenticAMD")


def usable_processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(sensors: Sensors) -> dict[str, Any]:
    """Everything, ready for JSON; None where the system does not tell."""
    cpuinfo = sensors.text("proc/cpuinfo") or ""
    fields = _fields(cpuinfo)
    return {
        "board": board(sensors),
        "processor": processor(cpuinfo),
        "processors": os.cpu_count(),
        "usable": usable_processors(),
        "quota": quota(sensors),
        "caches": caches(sensors),
        **_memory(sensors),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "bits": struct.calcsize("P") * 8,
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "distribution": _distribution(sensors),
        "container": container(sensors),
        "virtual": "hypervisor" in fields.get("flags", "").split(),
        "emulated": emulated(fields, platform.machine()),
    }


def _fields(cpuinfo: str) -> dict[str, str]:
    """The fields of the first processor, and those that /proc/cpuinfo gives once for all."""
    found: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def board(sensors: Sensors) -> str | None:
    """As the device tree (ARM boards) or the firmware (PCs) names it."""
    for path in ("proc/device-tree/model", "sys/firmware/devicetree/base/model"):
        if name := sensors.optional(path):
            return name
    parts = [sensors.optional(f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name")]
    return " ".join(part for part in parts if part) or None


def processor(cpuinfo: str) -> str | None:
    """The model's name; on ARM the cores', or their numbers where they are not among those known here."""
    cores: dict[str, int] = {}
    for block in cpuinfo.split("\n\n"):
        fields = _fields(block)
        maker, part = fields.get("CPU implementer"), fields.get("CPU part")
        if part:
            name = _ARM_PARTS.get(part) if maker == "0x41" else None
            name = name or f"implementer {maker} part {part}"
            cores[name] = cores.get(name, 0) + 1
    return ", ".join(f"{count} x {name}" for name, count in cores.items()) or _fields(cpuinfo).get("model name")


def emulated(fields: dict[str, str], machine: str) -> str | None:
    """What it really is, where this ARM program certainly runs on another processor; None: nothing says so."""
    maker = fields.get("vendor_id")
    certain = maker in _X86 and machine[:3] in ("arm", "aar")
    return f"{machine} on {fields.get('model name', maker)}" if certain else None


def caches(sensors: Sensors) -> list[str]:
    """Of the first processor: L1 data 32K, ..."""
    found = []
    for folder in sensors.find("sys/devices/system/cpu/cpu0/cache/index*"):
        level, kind, size = (sensors.optional(f"{folder}/{name}") for name in ("level", "type", "size"))
        if level and kind and size:
            found.append(f"L{level} {kind.lower()} {size}")
    return found


def _memory(sensors: Sensors) -> dict[str, Any]:
    values = {}
    for line in (sensors.text("proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        amount = rest.split()
        if amount and amount[0].isdigit():
            values[name] = int(amount[0]) * 1024 / 1e6
    return {"memory_mb": values.get("MemTotal"), "available_mb": values.get("MemAvailable")}


def _distribution(sensors: Sensors) -> str | None:
    for line in (sensors.optional("etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return None


def container(sensors: Sensors) -> str | None:
    """Docker, podman or what systemd says; None: no sign of one."""
    for path, name in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if os.path.exists(os.path.join(sensors.root, path)):
            return name
    return sensors.optional("run/systemd/container") or None


def quota(sensors: Sensors) -> float | None:
    """Processors' worth of time that the control group, or one above it, allows; None: no limit is told."""
    groups = (sensors.optional("proc/self/cgroup") or "").splitlines()
    own = next((line[3:].strip("/") for line in groups if line.startswith("0::")), "")
    found = []
    parts = own.split("/") if own and ".." not in own else []
    for depth in range(len(parts) + 1):
        path = "/".join(["sys/fs/cgroup", *parts[:depth], "cpu.max"])
        found.append(_ratio(sensors.optional(path)))
    period = sensors.optional("sys/fs/cgroup/cpu/cpu.cfs_period_us")
    found.append(_ratio(f"{sensors.optional('sys/fs/cgroup/cpu/cpu.cfs_quota_us')} {period}" if period else None))
    return min((value for value in found if value is not None), default=None)


def _ratio(text: str | None) -> float | None:
    try:
        most, period = (int(value) for value in (text or "").split())
        return most / period if most > 0 and period > 0 else None
    except ValueError:  # "max", or nothing
        return None
