"""What a board takes: by a Pi 5's chip, a Jetson's monitors, a PC's counters, a battery."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from edge.board import pmic, rapl, tegrastats
from edge.board.files import Absent, Files
from edge.board.mailbox import Mailbox
from edge.board.power import Power, power_mode
from edge.board.program import Program
from edge.board.tegrastats import Tegrastats
from edge.testing import ScriptedFirmware, write_tree
from tests import boards
from tests.edge.board.test_throttling import Clock

RAPL = "sys/class/powercap/intel-rapl:0"
HWMON = "sys/class/hwmon/hwmon4"
LINES = {  # values of tegrastats lines that other people's tests hold, and what is to be read of them
    "RAM 2257/30536MB (lfb 5392x4MB) SWAP 0/15268MB (cached 0MB) CPU [2%@729,1%@729,off,off] EMC_FREQ 0%@204"
    " GR3D_FREQ 0%@0 CV0@-256C CPU@41.437C tj@41.656C VDD_GPU_SOC 2390mW/2390mW VDD_CPU_CV 796mW/796mW"
    " VIN_SYS_5V0 3522mW/3522mW NC 0mW/0mW": (
        {"VDD_GPU_SOC": 2.39, "VDD_CPU_CV": 0.796, "VIN_SYS_5V0": 3.522},
        0.0,
        0,
    ),
    "07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,0%@2201] EMC_FREQ 3%@3199"
    " GR3D_FREQ 12%@[1300,1300] cpu@52.968C/52.968C VDD_GPU_SOC 5139mW/5139mW/5139mW": (
        {"VDD_GPU_SOC": 5.139},
        12.0,
        1_300_000_000,
    ),
    "RAM 9/125772MB CPU [off] GR3D_FREQ @[1000,1000,1000] VIN 31020mW/30990mW": (
        {"VIN": 31.02},
        None,
        1_000_000_000,
    ),
    "RAM 1/2MB GR3D_FREQ 7% VDD_IN 5012/4990": ({"VDD_IN": 5.012}, 7.0, None),
}


def power(firmware=None, clock=None):
    """A fresh source."""
    return Power(Mailbox(firmware or ScriptedFirmware({}, {})), clock or Clock())


def test_the_26_lines_of_a_pi_5(tmp_path):
    """Twelve with both, two with volts alone; the sum is that of the twelve, as computed by hand of the capture."""
    board = boards.plant("pi5", tmp_path)
    text = board.firmware.answers["pmic_read_adc"]
    rails = pmic.read_rails(text)
    assert len(text.splitlines()) == 26
    assert len(rails) == 14
    assert [name for name, rail in rails.items() if rail.amperes is None] == ["EXT5V", "BATT"]
    assert pmic.total(rails) == pytest.approx(1.898, abs=0.001)
    found = power(board.firmware).read(Files(board.root, board.read))
    assert (found["scope"], found["supply_volts"]) == ("SoC rails", 5.1711)


def test_a_print_that_is_none(tmp_path):
    """What the firmware of an older board answers is no line of anything."""
    assert pmic.read_rails('error=1 error_msg="Command not registered"') == {}
    assert pmic.read_rails("VDD_CORE_A current(7)=nan\n EXT5V_V volt(24)=1e9V") == {}


def test_a_pi_5_whose_firmware_may_not_be_asked(tmp_path):
    """Denied is not absent: the reading is there, and knows nothing."""
    board = boards.plant("pi5-with-file", tmp_path)
    files = Files(board.root, board.read)
    found = power(board.firmware).read(files)
    assert (found["watts"], found["rails"]) == (None, {})
    assert "dev/vcio" in files.denied


def test_a_jetsons_total_is_its_input_line(tmp_path):
    """VDD_IN alone; the sum of shunts and what is not connected are no lines."""
    board = boards.plant("orin-nano", tmp_path)
    found = power().read(Files(board.root, board.read))
    assert (found["watts"], found["scope"], found["mode"]) == (5.145, "module", "25W")
    assert list(found["rails"]) == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]


def test_an_agx_orin_has_no_line_that_holds_all(tmp_path):
    """Its 5 V input is one of three: the lines are told, a total is not."""
    tree = {f"{HWMON}/name": "ina3221\n"}
    lines = (("VDD_GPU_SOC", 19_980, 400), ("VDD_CPU_CV", 19_980, 100), ("VIN_SYS_5V0", 4980, 700))
    for number, (label, millivolts, milliamperes) in enumerate(lines, start=1):
        tree[f"{HWMON}/in{number}_label"] = label
        tree[f"{HWMON}/in{number}_input"], tree[f"{HWMON}/curr{number}_input"] = str(millivolts), str(milliamperes)
    tree[f"{HWMON}/in4_label"] = "NC"
    found = power().read(Files(write_tree(tmp_path, tree)))
    assert (found["watts"], len(found["rails"])) == (None, 3)
    assert found["rails"]["VDD_GPU_SOC"]["watts"] == 7.992


def test_thors_input_is_in_microwatts(tmp_path):
    """An INA238 beside an INA3221: what comes in is the total."""
    tree = {
        "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\0",
        f"{HWMON}/name": "ina238\n",
        f"{HWMON}/in1_input": "20010\n",
        f"{HWMON}/curr1_input": "1551\n",
        f"{HWMON}/power1_input": "31020000\n",
        "sys/class/hwmon/hwmon5/name": "ina3221\n",
        "sys/class/hwmon/hwmon5/in1_label": "VDD_GPU",
        "sys/class/hwmon/hwmon5/in1_input": "20000",
        "sys/class/hwmon/hwmon5/curr1_input": "500",
    }
    found = power().read(Files(write_tree(tmp_path, tree)))
    assert (found["watts"], found["supply_volts"], found["scope"]) == (31.02, 20.01, "module")


def test_the_driver_before_hwmon(tmp_path):
    """NVIDIA's own: names, millivolts, milliamperes and milliwatts from channel 0 on."""
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    tree = {}
    for number, (label, values) in enumerate(
        {"POM_5V_IN": (5010, 410, 2054), "POM_5V_GPU": (5010, 8, 40), "NC": (0, 0, 0)}.items()
    ):
        tree[f"{folder}/rail_name_{number}"] = label
        for kind, value in zip(("voltage", "current", "power"), values, strict=True):
            tree[f"{folder}/in_{kind}{number}_input"] = str(value)
    found = power().read(Files(write_tree(tmp_path, tree)))
    assert (found["watts"], list(found["rails"])) == (2.054, ["POM_5V_IN", "POM_5V_GPU"])


@pytest.mark.parametrize("text", LINES)
def test_tegrastats_in_each_of_its_forms(text):
    """With and without a date, lists of clocks, no percentage, two or three numbers a line, NC and memory left out."""
    line = tegrastats.parse(text)
    assert (line.watts, line.gpu_used_percent, line.gpu_hertz) == LINES[text]


def test_tegrastats_is_asked_for_one_line_and_ended(tmp_path):
    """The program goes on for ever; it is a Jetson's alone, and a failure is told."""
    script = tmp_path / "tegrastats"
    script.write_text('#!/bin/sh\nwhile :; do echo "VDD_IN 5012mW/4990mW"; sleep 0.01; done\n')
    script.chmod(0o755)
    source = Power(Mailbox(ScriptedFirmware({}, {})), Clock(), Tegrastats(Program([str(script)])))
    with pytest.raises(Absent):
        source.read(Files(tmp_path))
    root = write_tree(tmp_path, {"etc/nv_tegra_release": "# R36\n"})
    found = source.read(Files(root))
    assert (found["watts"], found["scope"], source.period_seconds) == (5.012, "module", 30.0)
    script.write_text("#!/bin/sh\nsleep 60\n")
    source = Power(Mailbox(ScriptedFirmware({}, {})), Clock(), Tegrastats(Program([str(script)], seconds=0.1)))
    files = Files(root)
    assert source.read(files)["watts"] is None
    assert "has said nothing" in files.failed[tegrastats.PROGRAM]
    assert source.period_seconds == 30.0


def test_modes_are_told_by_name(tmp_path):
    """By the board's own table; a number that is not in it as a number; none where there is no file."""
    assert power_mode(Files(tmp_path)) is None
    tree = {"var/lib/nvpmodel/status": "pmode:0002\n", "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"}
    assert power_mode(Files(write_tree(tmp_path, tree))) == "MAXN_SUPER"
    assert power_mode(Files(write_tree(tmp_path, {"var/lib/nvpmodel/status": "pmode:0007 fmode:x\n"}))) is None
    assert power_mode(Files(write_tree(tmp_path, {"var/lib/nvpmodel/status": "pmode:0007\n"}))) == "mode 7"


def test_counters_become_watts(tmp_path):
    """Two packages are added, the cores within one are not; the first look has no watts."""
    clock = Clock()
    source = power(clock=clock)
    for core, second in ((1_000_000, 5_000_000), (6_000_000, 25_000_000)):
        tree = {}
        for path, name, count in (
            (RAPL, "package-0", second),
            (f"{RAPL}:0", "core", core),
            ("sys/class/powercap/intel-rapl:1", "package-1", second),
            ("sys/class/powercap/intel-rapl:2", "psys", second),
        ):
            tree |= {
                f"{path}/name": name,
                f"{path}/energy_uj": str(count),
                f"{path}/max_energy_range_uj": "262143328850",
            }
        found = source.read(Files(write_tree(tmp_path, tree)))
        clock.seconds += 10
    assert (found["watts"], found["scope"]) == (4.0, "package")
    assert found["rails"]["package-0 core"]["watts"] == 0.5
    assert list(found["rails"]) == ["package-0", "package-0 core", "package-1"]


def test_a_counter_that_wraps():
    """Once is added; what could have wrapped twice is not known, and counts for nothing."""
    first = rapl.later(None, 0.0, 262_000_000_000, 262_143_328_850)
    once = rapl.later(first, 10.0, 56_671_150, 262_143_328_850)
    assert (first.watts, once.watts, once.joules) == (None, 20.0, 200.0)
    late = rapl.later(once, 10.0 + 263, 1_056_671_150, 262_143_328_850)
    assert (late.watts, late.joules) == (None, 200.0)
    assert rapl.later(late, 274.0, 0, 0).watts is None


def test_counters_that_are_roots(tmp_path):
    """Denied, with the reason; the battery is asked instead."""
    root = write_tree(tmp_path, {f"{RAPL}/name": "package-0", f"{RAPL}/energy_uj": "1"})

    def read(path):
        if path.name == "energy_uj":
            raise OSError(errno.EACCES, "Permission denied")
        return path.read_bytes()

    files = Files(root, read)
    assert power().read(files)["watts"] is None
    assert "root's alone" in files.denied[f"{RAPL}/energy_uj"]


def test_a_laptop_on_its_battery(tmp_path):
    """Watts of the whole device while it discharges, and none while it is charged."""
    folder = "sys/class/power_supply/BAT0"
    tree = {f"{folder}/type": "Battery", f"{folder}/status": "Discharging", f"{folder}/power_now": "5002000"}
    found = power().read(Files(write_tree(tmp_path, tree)))
    assert (found["watts"], found["scope"]) == (5.002, "whole device")
    with pytest.raises(Absent):
        power().read(Files(write_tree(tmp_path, {f"{folder}/status": "Charging"})))


def test_a_pi_4_measures_nothing(tmp_path):
    """Absent, and its firmware is not asked for a chip that it has not."""
    board = boards.plant("pi4", tmp_path)
    firmware = ScriptedFirmware({})
    with pytest.raises(Absent):
        power(firmware).read(Files(board.root, board.read))
    assert firmware.asked == []


def test_a_program_within_bounds(tmp_path):
    """So many bytes, so many seconds, and killed with what it started."""
    script = tmp_path / "say"
    script.write_text("#!/bin/sh\ncat /dev/zero & cat /dev/zero\n")
    script.chmod(0o755)
    assert len(Program([str(script)]).first()) == 1 << 16
    script.write_text(f"#!/bin/sh\nsleep 300 & echo $! > {tmp_path}/child; wait\n")
    with pytest.raises(TimeoutError, match="has said nothing"):
        Program([str(script)], seconds=1.0).first()
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)


def test_our_settings_are_not_handed_to_a_program(monkeypatch):
    """A broker's password in the environment stays ours."""
    monkeypatch.setenv("EDGE_BROKER__PASSWORD", "secret")
    assert "secret" not in Program(["env"]).first()
