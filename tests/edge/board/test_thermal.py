"""Temperatures over small trees: names that stay when numbers change, and values that are none."""

from __future__ import annotations

import shutil

import pytest

from edge.board.files import Absent, Files
from edge.board.sensors import read_all
from edge.board.thermal import Thermal
from edge.testing import write_tree

ZONE = "sys/class/thermal/thermal_zone"
HWMON = "sys/class/hwmon/hwmon"


def zones(**raw: str) -> dict[str, str]:
    """Zones by their types, in this order."""
    named = enumerate(raw.items())
    return {f"{ZONE}{n}/{file}": text for n, each in named for file, text in zip(("type", "temp"), each, strict=True)}


class Clock:
    """Time that a test moves on."""

    seconds = 0.0

    def __call__(self):
        """Now."""
        return self.seconds


def test_a_zone_that_sleeps_is_null_and_counts(tmp_path):
    """A Jetson's cv0 answers EAGAIN; the hottest of the others counts."""
    root = write_tree(tmp_path, zones(cpu="48250\n", cv0="0\n"))

    def read(path):
        if path == root / f"{ZONE}1/temp":
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return path.read_bytes()

    taken = read_all([Thermal()], root, read)
    assert taken.readings["thermal"]["zones_celsius"] == {"cpu": 48.25, "cv0": None}
    assert taken.readings["thermal"]["hottest_celsius"] == 48.25
    assert taken.errors == {"thermal": 1}
    assert "EAGAIN" in taken.failed["thermal"]


def test_hwmon_may_number_its_chips_anew(tmp_path):
    """Between two looks: the same names, the same values."""
    thermal = Thermal()
    tree = {f"{HWMON}2/name": "pwmfan\n", f"{HWMON}2/fan1_input": "1518\n", f"{HWMON}2/pwm1": "75\n"}
    tree |= {f"{HWMON}1/name": "nvme\n", f"{HWMON}1/temp1_input": "40850\n", f"{HWMON}1/temp1_label": "Composite\n"}
    root = write_tree(tmp_path, tree)
    before = thermal.read(Files(root))
    shutil.move(root / f"{HWMON}2", root / f"{HWMON}9")
    shutil.move(root / f"{HWMON}1", root / f"{HWMON}2")
    assert thermal.read(Files(root)) == before
    assert before["fans"] == {"pwmfan": {"rpm": 1518, "duty_percent": 29.4}}
    assert before["sensors_celsius"] == {"nvme Composite": 40.85}


def test_two_chips_of_one_name_go_by_their_devices(tmp_path):
    """Which keep their places when the numbers change."""
    thermal = Thermal()
    root = write_tree(
        tmp_path,
        {
            f"{HWMON}{n}/{file}": text
            for n, celsius in ((0, "40000"), (1, "50000"))
            for file, text in (("name", "nvme"), ("temp1_input", celsius))
        },
    )
    (root / f"{HWMON}0/device").symlink_to("../../../devices/b")
    (root / f"{HWMON}1/device").symlink_to("../../../devices/a")
    before = thermal.read(Files(root))["sensors_celsius"]
    assert before == {"nvme temp1": 50.0, "nvme-2 temp1": 40.0}
    shutil.move(root / f"{HWMON}0", root / f"{HWMON}5")
    assert thermal.read(Files(root))["sensors_celsius"] == before


def test_a_zone_may_vanish_while_it_is_looked_at(tmp_path):
    """Listed, and gone when it is read: left out, and nobody's failure."""
    root = write_tree(tmp_path, zones(cpu="48000\n", modem="40000\n"))

    def read(path):
        if path.parent == root / f"{ZONE}1":
            shutil.rmtree(path.parent, ignore_errors=True)
        return path.read_bytes()

    files = Files(root, read)
    assert Thermal().read(files)["zones_celsius"] == {"cpu": 48.0}
    assert files.failed == {}


@pytest.mark.parametrize(
    "raw", ["-274000", "-256000", "-128000", "-44000", "127000", "255000", "125000", "-40000", "0"]
)
def test_what_no_board_bears_is_dropped_and_counted(raw, tmp_path):
    """The words of drivers for "not known", and zero beside a zone that is warm."""
    files = Files(write_tree(tmp_path, zones(cpu="45000\n", odd=f"{raw}\n")))
    assert Thermal().read(files)["zones_celsius"] == {"cpu": 45.0, "odd": None}
    assert list(files.failed) == [f"{ZONE}1/temp"]


def test_frost_is_a_temperature(tmp_path):
    """Zero where all is cold, and below."""
    found = Thermal().read(Files(write_tree(tmp_path, zones(cpu="0\n", soc="-12500\n"))))
    assert found["zones_celsius"] == {"cpu": 0.0, "soc": -12.5}


def stuck_after(tmp_path, loads: list[float], celsius: list[str]) -> float | None:
    """What a zone says last, of looks three minutes apart."""
    clock = Clock()
    thermal = Thermal(clock)
    for load, raw in zip(loads, celsius, strict=True):
        tree = {"proc/loadavg": f"{load:.2f} 0 0 1/1 1\n", **zones(cpu="45000\n", acpitz=f"{raw}\n")}
        found = thermal.read(Files(write_tree(tmp_path, tree)))["zones_celsius"]["acpitz"]
        clock.seconds += 180
    return found


def test_a_sensor_that_does_not_move_under_load_is_stuck(tmp_path):
    """Ten minutes to the last digit, and the load changed: dropped. It counts again once it moves."""
    assert stuck_after(tmp_path, [0, 0, 4, 4, 4], ["16800"] * 5) is None
    assert stuck_after(tmp_path, [0, 0, 4, 4, 4, 4], [*["16800"] * 5, "17000"]) == 17.0


def test_a_sensor_that_does_not_move_on_an_idle_board_is_not(tmp_path):
    """Nor one that has had too little time, nor one that moved meanwhile."""
    assert stuck_after(tmp_path, [0, 0, 1, 0, 0, 0], ["16800"] * 6) == 16.8
    assert stuck_after(tmp_path, [0, 0, 4, 4], ["16800"] * 4) == 16.8
    assert stuck_after(tmp_path, [0, 0, 4, 4, 4], ["16800", "16800", "17000", "16800", "16800"]) == 16.8


@pytest.mark.parametrize(
    ("raw", "celsius"), [("41500", 41.5), ("415", 41.5), ("41", 41.0), ("9900", 9.9), ("130", 13.0), ("-5", -5.0)]
)
def test_a_phones_zones_have_units_of_their_own(raw, celsius, tmp_path):
    """Told by their size; elsewhere all are thousandths of a degree."""
    tree = {**zones(battery=f"{raw}\n"), "system/build.prop": ""}
    assert Thermal().read(Files(write_tree(tmp_path / "phone", tree)))["zones_celsius"] == {"battery": celsius}
    found = Thermal().read(Files(write_tree(tmp_path / "board", zones(battery=f"{raw}\n"))))
    assert found["zones_celsius"] == {"battery": int(raw) / 1000}


def test_a_phones_unit_is_kept_where_it_was_told(tmp_path):
    """Tenths that fall below 12.5 °C are not taken for degrees any more."""
    thermal = Thermal()
    for raw, celsius in (("210", 21.0), ("100", 10.0)):
        root = write_tree(tmp_path, {**zones(battery=raw), "system/build.prop": ""})
        assert thermal.read(Files(root))["zones_celsius"] == {"battery": celsius}


def test_trips_are_the_same_in_whatever_order(tmp_path):
    """Kernels number them differently; those that are not set, or of no kind that we know, are none."""
    rows = [("critical", "110000"), ("active", "50000"), ("passive", "-274000"), ("hot", "0"), ("odd", "60000")]
    for order, folder in ((rows, "a"), (rows[::-1], "b")):
        tree = zones(cpu="45000\n")
        for number, (kind, raw) in enumerate(order):
            tree |= {f"{ZONE}0/trip_point_{number}_type": kind, f"{ZONE}0/trip_point_{number}_temp": raw}
        found = Thermal().read(Files(write_tree(tmp_path / folder, tree)))["trips"]
        assert found == {"cpu": [{"type": "active", "celsius": 50.0}, {"type": "critical", "celsius": 110.0}]}


def test_trips_are_read_once_a_minute_and_with_a_new_zone(tmp_path):
    """They are most of the files; a zone that comes later has its own at once."""
    clock, paths = Clock(), []

    def read(path):
        paths.append(path.name)
        return path.read_bytes()

    thermal = Thermal(clock)
    trip = {f"{ZONE}0/trip_point_0_type": "hot", f"{ZONE}0/trip_point_0_temp": "90000"}
    root, reads = write_tree(tmp_path, {**zones(cpu="45000\n"), **trip}), []
    for seconds, more in ((0, {}), (59, {}), (60, {}), (61, zones(cpu="45000\n", gpu="44000\n"))):
        clock.seconds = seconds
        found = thermal.read(Files(write_tree(root, more), read))
        assert found["trips"] == {"cpu": [{"type": "hot", "celsius": 90.0}]}
        reads.append(paths.count("trip_point_0_temp"))
    assert reads == [1, 1, 2, 3]


def test_a_jetsons_one_fan_has_two_chips(tmp_path):
    """One gives it power, the other counts its turns."""
    tree = {f"{HWMON}0/name": "pwmfan", f"{HWMON}0/pwm1": "51", f"{HWMON}1/name": "pwm_tach", f"{HWMON}1/rpm": "1700"}
    found = Thermal().read(Files(write_tree(tmp_path, tree)))
    assert found["fans"] == {"pwmfan": {"rpm": 1700, "duty_percent": 20.0}}
    alone = {name: text for name, text in tree.items() if name.startswith(f"{HWMON}1")}
    found = Thermal().read(Files(write_tree(tmp_path / "alone", alone)))
    assert found["fans"] == {"pwm_tach": {"rpm": 1700, "duty_percent": None}}


def test_a_scale_for_fans_is_no_temperature_where_there_is_one(tmp_path):
    """AMD's Tctl beside Tdie (Documentation/hwmon/k10temp.rst)."""
    tree = {f"{HWMON}0/name": "k10temp", f"{HWMON}0/temp1_label": "Tctl", f"{HWMON}0/temp1_input": "75000"}
    assert Thermal().read(Files(write_tree(tmp_path, tree)))["hottest_celsius"] == 75.0
    tree |= {f"{HWMON}0/temp2_label": "Tdie", f"{HWMON}0/temp2_input": "55000"}
    assert Thermal().read(Files(write_tree(tmp_path, tree)))["sensors_celsius"] == {"k10temp Tdie": 55.0}


def test_a_board_without_sensors_is_no_failure(tmp_path):
    """A virtual machine may have steps that cool, and nothing that measures."""
    with pytest.raises(Absent):
        Thermal().read(Files(write_tree(tmp_path, {"sys/class/thermal/cooling_device0/type": "Processor\n"})))
