"""Readers of /proc and /sys over board trees: an absent sensor is not a failed one, and none hides another."""

from __future__ import annotations

from edge.board.host import Board, Cpu, Memory, available_bytes
from edge.board.source import sample
from edge.board.thermal import Thermal
from edge.testing import write_tree

PI = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/meminfo": "MemTotal: 8245104 kB\nMemAvailable: 7000000 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n",
    "proc/pressure/memory": "some avg10=1.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00\n",
    "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\n",
    "proc/loadavg": "0.50 0.40 0.30 1/100 1234\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48250\n",
}
JETSON = {
    **PI,
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano\0",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "51000\n",
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal\n",
    "sys/class/thermal/thermal_zone2/temp": "",
}
SOURCES = (Board, Thermal, Memory, Cpu)


def read(root):
    """One sample of fresh sources."""
    return sample([source() for source in SOURCES], root)


def test_a_pi(tmp_path):
    """Name, heat in degrees, memory in bytes, pressure, load."""
    taken = read(write_tree(tmp_path, PI))
    assert taken.readings["board"]["model"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert taken.readings["thermal"] == {"zones_celsius": {"cpu-thermal": 48.25}, "hottest_celsius": 48.25}
    assert taken.readings["memory"]["available_bytes"] == 7000000 * 1024
    assert taken.readings["memory"]["swap_used_bytes"] == 60 * 1024
    assert taken.readings["memory"]["pressure_percent"] == 1.5
    assert taken.readings["cpu"]["used_percent"] == 20.0
    assert (taken.absent, taken.failed) == ([], {})


def test_a_jetson_with_a_zone_that_is_off(tmp_path):
    """The zone that cannot be read is left out; the hottest of the others counts."""
    thermal = read(write_tree(tmp_path, JETSON)).readings["thermal"]
    assert thermal == {"zones_celsius": {"cpu-thermal": 48.25, "gpu-thermal": 51.0}, "hottest_celsius": 51.0}


def test_nothing_there_and_something_broken(tmp_path):
    """No zones: absent. A meminfo that is nonsense: failed, with the reason; the rest is read all the same."""
    tree = {name: text for name, text in PI.items() if "thermal" not in name and "device-tree" not in name}
    taken = read(write_tree(tmp_path, {**tree, "proc/meminfo": "MemTotal: many kB\n"}))
    assert taken.absent == ["board", "thermal"]
    assert list(taken.failed) == ["memory"]
    assert "cpu" in taken.readings


def test_a_cgroup_limit_counts_as_the_memory_there_is(tmp_path):
    """A container of 1 GiB with 400 MiB used has 624 MiB, whatever the board has."""
    limit = {"sys/fs/cgroup/memory.max": str(1 << 30), "sys/fs/cgroup/memory.current": str(400 << 20)}
    assert available_bytes(write_tree(tmp_path, {**PI, **limit})) == 624 << 20
