"""Which board it is, by the names that boards have."""

from __future__ import annotations

import pytest

from edge.board.board import Board
from edge.board.files import Absent, Files
from edge.testing import write_tree

MODELS = {
    "Raspberry Pi 5 Model B Rev 1.0": "raspberry-pi-5",
    "Raspberry Pi Compute Module 5 Rev 1.0": "raspberry-pi-5",
    "Raspberry Pi 500 Rev 1.0": "raspberry-pi-5",
    "Raspberry Pi 4 Model B Rev 1.4": "raspberry-pi-4",
    "Raspberry Pi 400 Rev 1.0": "raspberry-pi-4",
    "Raspberry Pi 3 Model B Plus Rev 1.3": "raspberry-pi-3",
    "Raspberry Pi Zero 2 W Rev 1.0": "raspberry-pi-3",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super": "jetson-orin-nano",
    "NVIDIA Jetson Orin NX Engineering Reference Developer Kit": "jetson-orin-nx",
    "NVIDIA Jetson AGX Orin Developer Kit": "jetson-agx-orin",
    "A board of somebody's": None,
}
COMPATIBLE = {
    "acme,carrier\0nvidia,p3767-0005\0nvidia,tegra234\0": "jetson-orin-nano",
    "acme,carrier\0nvidia,p3767-0000\0nvidia,tegra234\0": "jetson-orin-nx",
    "radxa,rock-5b\0rockchip,rk3588\0": "rk3588",
    "xunlong,orangepi-5\0rockchip,rk3588s\0": "rk3588",
    "brcm,bcm2835\0": None,
}


@pytest.mark.parametrize("model", MODELS)
def test_a_board_by_its_model(model, tmp_path):
    """The device tree's text ends with NUL."""
    found = Board().read(Files(write_tree(tmp_path, {"proc/device-tree/model": f"{model}\0"})))
    assert (found["model"], found["kind"]) == (model, MODELS[model])


@pytest.mark.parametrize("compatible", COMPATIBLE)
def test_a_board_of_somebodys_by_what_it_is_made_around(compatible, tmp_path):
    """A carrier's maker names the module that is on it."""
    tree = {"proc/device-tree/model": "Acme\0", "proc/device-tree/compatible": compatible}
    assert Board().read(Files(write_tree(tmp_path, tree)))["kind"] == COMPATIBLE[compatible]


def test_a_phone_and_a_pc(tmp_path):
    """By what Android and Intel's processors alone have; a PC's name is its firmware's."""
    phone = write_tree(tmp_path / "phone", {"system/build.prop": "", "proc/uptime": "12.50 9.00\n"})
    assert Board().read(Files(phone)) == {"model": None, "kind": "phone", "uptime_seconds": 12.5}
    tree = {"proc/cpuinfo": "processor : 0\nflags\t\t: fpu vme\n", "sys/class/dmi/id/product_name": "NUC\n"}
    found = Board().read(Files(write_tree(tmp_path / "pc", tree)))
    assert (found["model"], found["kind"]) == ("NUC", "x86")


def test_what_does_not_change_is_read_once(tmp_path):
    """The second look reads the uptime, and nothing of the name."""
    root, paths = write_tree(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5\0", "proc/uptime": "1.00 1.00\n"}), []

    def read(path):
        paths.append(path.name)
        return path.read_bytes()

    board = Board()
    board.read(Files(root, read))
    paths.clear()
    assert board.read(Files(root, read))["kind"] == "raspberry-pi-5"
    assert paths == ["uptime"]


def test_nothing_to_read_is_no_sensor(tmp_path):
    """As on a system without /proc."""
    with pytest.raises(Absent):
        Board().read(Files(tmp_path))
