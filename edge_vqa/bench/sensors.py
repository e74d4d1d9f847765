"""What the board tells of its heat, clock, power and load, from files of Linux and Raspberry Pi's vcgencmd.

Nothing is guessed: what is missing ends up in `missing`, what is unreadable or nonsense in `faults`, with the path.
"""

from __future__ import annotations

import glob
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

THROTTLED = ("voltage too low", "clock capped", "throttled", "soft temperature limit")
"""Bits 0 to 3 of `get_throttled` say what is so now, bits 16 to 19 what has been so since the start.

https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
"""

TEMPERATURES = ("sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/hwmon*/temp*_input")
CLOCKS = "sys/devices/system/cpu/cpu[0-9]*/cpufreq"
FIRMWARE = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
VCGENCMD = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
_CELSIUS = (1, 150)
_MEGAHERTZ = (10, 10_000)


class Sensors:
    """Reads below `root`, which is / but in tests."""

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self.faults: dict[str, str] = {}
        """Path -> what is wrong with it, of everything that was tried and is there."""
        self.missing: dict[str, list[str]] = {}
        """What -> where it was looked for, in vain."""

    def text(self, path: str) -> str | None:
        """The file's text without the white space and NULs around it. None, and a fault: it cannot be read."""
        try:
            with open(os.path.join(self.root, path), "rb") as stream:
                return stream.read(1 << 20).decode("utf-8", "replace").strip("\0 \n\t")
        except OSError as error:
            self.faults["/" + path] = (error.strerror or str(error)).lower()
            return None

    def optional(self, path: str) -> str | None:
        """The same for a file whose absence says something by itself."""
        return self.text(path) if os.path.exists(os.path.join(self.root, path)) else None

    def number(self, path: str, scale: float, least: float, most: float, unit: str) -> float | None:
        """A whole number times `scale`. None, and a fault: there is none, or not one from `least` to `most`."""
        text = self.text(path)
        if text is None:
            return None
        try:
            value = int(text) * scale
        except ValueError:
            self.faults["/" + path] = f"{text[:40]!r} is not a whole number"
            return None
        if not least <= value <= most:
            self.faults["/" + path] = f"{text} would be {value:g} {unit}: not to be believed"
            return None
        return value

    def find(self, pattern: str) -> list[str]:
        """Paths relative to the root, in order."""
        found = glob.glob(os.path.join(glob.escape(self.root), pattern))
        return sorted((os.path.relpath(path, self.root) for path in found), key=lambda p: (len(p), p))

    def temperatures(self) -> list[dict[str, Any]]:
        """Name, path, degrees Celsius of each sensor. hwmon is asked only where no thermal zone answers."""
        for pattern in TEMPERATURES:
            found = []
            for path in self.find(pattern):
                value = self.number(path, 1e-3, *_CELSIUS, "°C")
                if value is not None:
                    name = self.optional(os.path.join(os.path.dirname(path), "type"))
                    name = name or self.optional(os.path.join(os.path.dirname(path), "name"))
                    found.append({"name": name or os.path.basename(path), "path": "/" + path, "celsius": value})
            if found:
                return found
        self._miss("temperature", *TEMPERATURES)
        return []

    def limit(self) -> float | None:
        """The lowest temperature, °C, at which a thermal zone begins to slow the processor; None: not told."""
        found = []
        for path in self.find("sys/class/thermal/thermal_zone*/trip_point_*_type"):
            told = self.optional(path[: -len("type")] + "temp") or ""
            if self.optional(path) in ("passive", "hot") and told.isdecimal():  # negative: switched off
                found.append(int(told) / 1000)
        return min((value for value in found if _CELSIUS[0] <= value <= _CELSIUS[1]), default=None)

    def clocks(self) -> dict[str, float]:
        """Processor -> MHz now, by cpufreq, else by /proc/cpuinfo where that tells (x86)."""
        found = {}
        for folder in self.find(CLOCKS):
            value = self.number(f"{folder}/scaling_cur_freq", 1e-3, *_MEGAHERTZ, "MHz")
            if value is not None:
                found[folder.split("/")[-2]] = value
        if found:
            return found
        lines = (self.optional("proc/cpuinfo") or "").splitlines()
        told = [line.split(":")[1] for line in lines if line.startswith("cpu MHz")]
        try:
            found = {f"cpu{i}": float(value) for i, value in enumerate(told)}
        except ValueError:
            self.faults["/proc/cpuinfo"] = "cpu MHz is not a number"
        if not found:
            self._miss("clock", f"{CLOCKS}/scaling_cur_freq", "proc/cpuinfo")
        return found

    def governors(self) -> list[dict[str, Any]]:
        """Of each group of processors that share a clock: governor, and MHz allowed and possible."""
        found: list[dict[str, Any]] = []
        folders = self.find(CLOCKS)
        for folder in folders:
            about: dict[str, Any] = {"governor": self.text(f"{folder}/scaling_governor")}
            for name in ("scaling_min_freq", "scaling_max_freq", "cpuinfo_max_freq"):
                about[name + "_mhz"] = self.number(f"{folder}/{name}", 1e-3, *_MEGAHERTZ, "MHz")
            if about not in found:
                found.append(about)
        if not folders:
            self._miss("governor", f"{CLOCKS}/scaling_governor")
        return found

    def throttled(self) -> dict[str, Any] | None:
        """Raspberry Pi's flags, decoded: value, source, now, since_start. None, and a fault: not told."""
        for path in self.find(FIRMWARE):
            told = self.text(path)
            if told is not None and (flags := self._flags(told, "/" + path)) is not None:
                return flags
        programs = [path for path in VCGENCMD if os.path.exists(os.path.join(self.root, path))]
        for path in programs:
            told = self._ask_firmware(path)
            if told is not None and (flags := self._flags(told, "/" + path)) is not None:
                return flags
        self._miss("throttling flags", FIRMWARE, *VCGENCMD)
        return None

    def _ask_firmware(self, path: str) -> str | None:
        try:
            done = subprocess.run(
                [os.path.join(self.root, path), "get_throttled"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=3, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            self.faults["/" + path] = getattr(error, "strerror", None) or "does not answer"
            return None
        told = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode or not told.startswith("throttled="):
            self.faults["/" + path] = f"says {(told.splitlines() or ['nothing'])[0][:80]!r}"
            return None
        return told[len("throttled=") :]

    def _flags(self, told: str, source: str) -> dict[str, Any] | None:
        try:
            value = int(told, 16)
        except ValueError:
            self.faults[source] = f"{told[:40]!r} is not a hexadecimal number"
            return None
        now, since = ([name for bit, name in enumerate(THROTTLED) if value >> shift + bit & 1] for shift in (0, 16))
        return {"value": f"{value:#x}", "source": source, "now": now, "since_start": since}

    def cooling(self) -> list[dict[str, Any]]:
        """Fans and limiters: type, state, most. State 0 is off."""
        found = []
        for folder in self.find("sys/class/thermal/cooling_device*"):
            state = self.number(f"{folder}/cur_state", 1, 0, 1e9, "steps")
            most = self.number(f"{folder}/max_state", 1, 0, 1e9, "steps")
            found.append({"type": self.text(f"{folder}/type"), "state": state, "most": most})
        return found

    def load(self) -> list[float] | None:
        """Runnable processes, averaged over 1, 5 and 15 minutes."""
        text = self.text("proc/loadavg")
        try:
            return None if text is None else [float(value) for value in text.split()[:3]]
        except ValueError:
            self.faults["/proc/loadavg"] = f"{(text or '')[:40]!r} is not a load"
            return None

    def snapshot(self) -> dict[str, Any]:
        """Everything at once, for before and after."""
        return {
            "temperatures": self.temperatures(), "limit_celsius": self.limit(), "clocks_mhz": self.clocks(),
            "governors": self.governors(), "throttled": self.throttled(), "cooling": self.cooling(),
            "load": self.load(),
        }  # fmt: skip

    def brief(self) -> dict[str, Any]:
        """Hottest sensor, °C; quickest processor's clock, MHz; flags. None: not told. A few milliseconds."""
        clock = max(self.clocks().values(), default=None)  # first: it falls as soon as nothing runs
        flags = self.throttled()
        return {
            "celsius": max((t["celsius"] for t in self.temperatures()), default=None),
            "mhz": clock,
            "throttled": None if flags is None else flags["now"],
        }

    def busy(self, seconds: float, sleep: Callable[[float], None] = time.sleep) -> dict[str, Any] | None:
        """How many processors others keep busy while this process sleeps `seconds`, and which do, three at most."""
        before, began = self._processor_time(), self._process_times()
        sleep(seconds)
        after, ended = self._processor_time(), self._process_times()
        if before is None or after is None:
            return None
        total = (after[0] - before[0]) / max(1, after[2])
        if total <= 0:
            self.faults["/proc/stat"] = "does not count"
            return None
        shares = [((ticks - began[who]) / total, who[1]) for who, ticks in ended.items() if who in began]
        first = sorted((share for share in shares if share[0] >= 0.05), reverse=True)[:3]
        programs = [{"name": name, "processors": round(share, 2)} for share, name in first]
        return {"processors": round((after[1] - before[1]) / total, 3), "programs": programs}

    def _processor_time(self) -> tuple[int, int, int] | None:
        """Ticks of all processors, those of them at work, and how many processors."""
        lines = (self.text("proc/stat") or "").splitlines()
        try:
            ticks = [int(value) for value in lines[0].split()[1:9]]  # guests' time is in user already
            return sum(ticks), sum(ticks) - ticks[3] - ticks[4], sum(line[:3] == "cpu" for line in lines) - 1
        except (IndexError, ValueError):
            self.faults["/proc/stat"] = "cannot be understood"
            return None

    def _process_times(self) -> dict[tuple[str, str], int]:
        """(Number, name) -> ticks, of every process but this one; those that end meanwhile are left out."""
        found = {}
        for path in glob.glob(os.path.join(glob.escape(self.root), "proc/[0-9]*/stat")):
            number = path.split(os.sep)[-2]
            try:
                with open(path, encoding="utf-8", errors="replace") as stream:
                    head, _, tail = stream.read().rpartition(")")
                fields = tail.split()
                if number != str(os.getpid()):
                    found[number, head.partition("(")[2]] = int(fields[11]) + int(fields[12])
            except (OSError, ValueError, IndexError):
                continue
        return found

    def _miss(self, what: str, *patterns: str) -> None:
        self.missing[what] = ["/" + pattern for pattern in patterns]
