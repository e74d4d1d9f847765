"""What the sensors say, on made-up boards."""

import os
from pathlib import Path

import pytest
from tiny_model import make_model

from edge_vqa.bench import __main__ as command
from edge_vqa.bench import machine
from edge_vqa.bench.sensors import Sensors

CPU = "sys/devices/system/cpu"
PI_4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": "".join(
        f"processor\t: {i}\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n" for i in range(4)
    ),
    "proc/meminfo": "MemTotal:        3884344 kB\nMemFree:  100 kB\nMemAvailable:    3000000 kB\n",
    "proc/loadavg": "0.31 0.20 0.10 1/180 2222\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61835\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "110000\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_type": "passive\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_temp": "80000\n",
    "sys/class/thermal/thermal_zone0/trip_point_2_type": "passive\n",
    "sys/class/thermal/thermal_zone0/trip_point_2_temp": "-274000\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "1\n",
    "sys/class/thermal/cooling_device0/max_state": "4\n",
    f"{CPU}/cpu0/cache/index0/level": "1\n",
    f"{CPU}/cpu0/cache/index0/type": "Data\n",
    f"{CPU}/cpu0/cache/index0/size": "32K\n",
    **{
        f"{CPU}/cpu{i}/cpufreq/{name}": f"{value}\n"
        for i in range(4)
        for name, value in {
            "scaling_cur_freq": 600000 if i else 1500000,
            "scaling_governor": "ondemand",
            "scaling_min_freq": 600000,
            "scaling_max_freq": 1500000,
            "cpuinfo_max_freq": 1800000,
        }.items()
    },
}


def board(root: Path, files: dict[str, str], vcgencmd: str | None = None) -> Sensors:
    """A tree of these files below `root`; `vcgencmd`: what that program prints."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    if vcgencmd is not None:
        program = root / "usr/bin/vcgencmd"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] || exit 9\n{vcgencmd}\n')
        program.chmod(0o755)
    return Sensors(str(root))


def test_a_raspberry_pi_4_tells_everything(tmp_path: Path) -> None:
    sensors = board(tmp_path, PI_4, "echo throttled=0x50005")
    told = sensors.snapshot()
    assert told["temperatures"] == [
        {"name": "cpu-thermal", "path": "/sys/class/thermal/thermal_zone0/temp", "celsius": pytest.approx(61.835)}
    ]
    assert told["limit_celsius"] == 80
    assert told["clocks_mhz"] == {"cpu0": 1500, "cpu1": 600, "cpu2": 600, "cpu3": 600}
    assert told["governors"] == [
        {
            "governor": "ondemand",
            "scaling_min_freq_mhz": 600,
            "scaling_max_freq_mhz": 1500,
            "cpuinfo_max_freq_mhz": 1800,
        }
    ]
    assert told["throttled"] == {
        "value": "0x50005",
        "source": "/usr/bin/vcgencmd",
        "now": ["voltage too low", "throttled"],
        "since_start": ["voltage too low", "throttled"],
    }
    assert told["cooling"] == [{"type": "pwm-fan", "state": 1, "most": 4}]
    assert told["load"] == [0.31, 0.2, 0.1]
    assert sensors.brief() == {
        "celsius": pytest.approx(61.835), "mhz": 1500, "throttled": ["voltage too low", "throttled"],
    }  # fmt: skip
    assert (sensors.faults, sensors.missing) == ({}, {})
    about = machine.describe(sensors)
    assert about["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert about["processor"] == "4 x Cortex-A72"
    assert about["caches"] == ["L1 data 32K"]
    assert about["memory_mb"] == pytest.approx(3884344 * 1024 / 1e6)
    assert about["distribution"] == "Debian GNU/Linux 12 (bookworm)"
    assert (about["quota"], about["container"], about["virtual"], about["emulated"]) == (None, None, False, None)


@pytest.mark.parametrize(
    ("value", "now", "since"),
    [
        ("0", [], []),
        ("80008", ["soft temperature limit"], ["soft temperature limit"]),
        ("20002", ["clock capped"], ["clock capped"]),
        ("e0000", [], ["clock capped", "throttled", "soft temperature limit"]),
    ],
)
def test_flags_are_read_from_the_kernel_before_any_program_is_started(
    tmp_path: Path, value: str, now: list[str], since: list[str]
) -> None:
    sensors = board(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": value + "\n"}, "exit 1")
    told = sensors.throttled()
    assert told is not None and (told["now"], told["since_start"]) == (now, since)
    assert told["value"] == "0x" + value
    assert sensors.faults == {}


def test_a_board_that_tells_nothing_is_said_to(tmp_path: Path) -> None:
    sensors = Sensors(str(tmp_path))
    told = sensors.snapshot()
    assert told == {
        "temperatures": [], "limit_celsius": None, "clocks_mhz": {}, "governors": [], "throttled": None, "cooling": [],
        "load": None,
    }  # fmt: skip
    assert set(sensors.missing) == {"temperature", "clock", "governor", "throttling flags"}
    assert "/sys/class/thermal/thermal_zone*/temp" in sensors.missing["temperature"]
    assert "/usr/bin/vcgencmd" in sensors.missing["throttling flags"]
    assert sensors.faults == {"/proc/loadavg": "no such file or directory"}
    assert sensors.busy(0, lambda seconds: None) is None
    about = machine.describe(sensors)
    assert (about["board"], about["processor"], about["memory_mb"]) == (None, None, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("0", "not to be believed"),
        ("-12000", "not to be believed"),
        ("999000", "not to be believed"),
        ("45", "not to be believed"),
        ("45.5", "not a whole number"),
        ("N/A", "not a whole number"),
        ("", "not a whole number"),
    ],
)
def test_a_temperature_that_is_nonsense_is_said_to_be(tmp_path: Path, content: str, reason: str) -> None:
    path = "sys/class/thermal/thermal_zone0/temp"
    sensors = board(tmp_path, {path: content + "\n"})
    assert sensors.temperatures() == []
    assert reason in sensors.faults["/" + path]
    assert sensors.brief()["celsius"] is None


def test_one_bad_sensor_does_not_hide_the_others(tmp_path: Path) -> None:
    zones = "sys/class/thermal/thermal_zone"
    sensors = board(tmp_path, {f"{zones}0/temp": "0", f"{zones}1/temp": "50000", f"{zones}1/type": "gpu"})
    assert [t["name"] for t in sensors.temperatures()] == ["gpu"]
    assert list(sensors.faults) == [f"/{zones}0/temp"]


def test_hwmon_is_asked_where_there_is_no_thermal_zone(tmp_path: Path) -> None:
    sensors = board(tmp_path, {"sys/class/hwmon/hwmon0/temp1_input": "43500\n", "sys/class/hwmon/hwmon0/name": "k10\n"})
    assert [(t["name"], t["celsius"]) for t in sensors.temperatures()] == [("k10", 43.5)]
    assert sensors.missing == {}


def test_a_sensor_that_cannot_be_read_is_said_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir(parents=True)
    sensors = board(tmp_path, {f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "7\n"})
    assert sensors.temperatures() == []
    assert sensors.faults["/sys/class/thermal/thermal_zone0/temp"] == "is a directory"
    assert sensors.clocks() == {}
    assert "not to be believed" in sensors.faults[f"/{CPU}/cpu0/cpufreq/scaling_cur_freq"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission_denied_is_named(tmp_path: Path) -> None:
    path = "sys/class/thermal/thermal_zone0/temp"
    sensors = board(tmp_path, {path: "50000"})
    (tmp_path / path).chmod(0)
    assert sensors.temperatures() == []
    assert sensors.faults["/" + path] == "permission denied"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("echo VCHI initialization failed; exit 255", "says 'VCHI initialization failed'"),
        ("exit 0", "says 'nothing'"),
        ("echo throttled=zwölf", "not a hexadecimal number"),
        ("echo throttled=", "not a hexadecimal number"),
    ],
)
def test_what_vcgencmd_says_instead_of_flags_is_passed_on(tmp_path: Path, program: str, reason: str) -> None:
    sensors = board(tmp_path, {}, program)
    assert sensors.throttled() is None
    assert reason in sensors.faults["/usr/bin/vcgencmd"]


def test_a_vcgencmd_that_cannot_be_started_is_said_to(tmp_path: Path) -> None:
    sensors = board(tmp_path, {"usr/bin/vcgencmd": "no program"})
    assert sensors.throttled() is None
    assert sensors.faults["/usr/bin/vcgencmd"]


def test_how_busy_others_are(tmp_path: Path) -> None:
    """Two processors, 100 ticks each: of 200 ticks 60 were work, 40 of them by one program, whose name has brackets."""

    def process(ticks: int) -> str:
        return "7 (a) b) S " + "0 " * 10 + f"{ticks} 10 0\n"

    def second(seconds: float) -> None:
        board(tmp_path, {"proc/stat": "cpu 150 0 20 1130 10 0 0 0 0 0\ncpu0 1\ncpu1 1\n", "proc/7/stat": process(60)})

    files = {"proc/stat": "cpu 100 0 10 1000 0 0 0 0 0 0\ncpu0 1\ncpu1 1\n", "proc/7/stat": process(20)}
    sensors = board(tmp_path, files)
    assert sensors.busy(1, second) == {"processors": 0.6, "programs": [{"name": "a) b", "processors": 0.4}]}
    assert sensors.busy(1, lambda seconds: None) is None
    assert sensors.faults["/proc/stat"] == "does not count"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "nonsense\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/user.slice/a.scope\n",
                "sys/fs/cgroup/user.slice/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/user.slice/a.scope/cpu.max": "200000 100000\n",
            },
            0.5,
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 0.25),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_the_control_groups_limit(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert machine.quota(board(tmp_path, files)) == quota


def test_processors_are_named() -> None:
    little_big = "".join(f"CPU implementer : 0x41\nCPU part : {p}\n\n" for p in ("0xd05", "0xd05", "0xd0b"))
    assert machine.processor(little_big) == "2 x Cortex-A55, 1 x Cortex-A76"
    assert machine.processor("CPU implementer : 0x61\nCPU part : 0x022\n") == "1 x implementer 0x61 part 0x022"
    assert machine.processor("model name : Some CPU\n\nmodel name : Some CPU\n") == "Some CPU"


def test_emulation_is_told_only_where_it_is_certain() -> None:
    assert machine.emulated({"vendor_id": "GenuineIntel", "model name": "Xeon"}, "aarch64") == "aarch64 on Xeon"
    assert machine.emulated({"vendor_id": "AuthenticAMD"}, "armv7l") == "armv7l on AuthenticAMD"
    assert machine.emulated({"vendor_id": "GenuineIntel"}, "x86_64") is None
    assert machine.emulated({}, "aarch64") is None


def test_a_whole_run_on_a_board_that_is_held_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sensors = board(tmp_path / "pi", PI_4, "echo throttled=0x50004")
    model = str(make_model(tmp_path / "tiny.evqa", "mobile-attention"))
    arguments = ["--quick", "--runs", "1", "--minutes", "0.002", "--model", model, "--q", "mon nay gi", "--no-progress"]
    assert command.main([*arguments, "--markdown"], root=sensors.root) == 0
    out = capsys.readouterr().out
    for said in (
        "- board: Raspberry Pi 4 Model B Rev 1.4\n",
        "cpu-thermal 61.8 °C, clock 600 to 1500 MHz, governor ondemand, throttling flags 0x50004 (now: throttled; "
        "since the start: voltage too low, throttled), pwm-fan 1 of 4, load 0.31",
        "| 61.8 °C | 1500 MHz | throttled |",
        "Warning: the board was being held back while it was measured: throttled.",
        "Warning: the board was held back since it was started: voltage too low.",
        "Warning: the clock's governor is ondemand, not performance",
        "Warning: at most 1500 of 1800 MHz are allowed.",
        "the board said: throttled",
    ):
        assert said in out
    assert "Not told" not in out
