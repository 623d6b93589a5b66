"""What a Jetson's power monitors measure (Documentation/hwmon/ina3221.rst, ina238.rst): lines by label, and the total.

One line has all the others in it: VDD_IN on Orin Nano and NX, POM_5V_IN on the first Nano, VIN of an INA238 on Thor. Of
the AGX boards none has: VIN_SYS_5V0 is their 5 V input beside those of GPU and CPU (tegra234-p3701.dtsi leaves it out
of the chip's own summation), so that their total is not known.
"""

from __future__ import annotations

import re

from edge.board.files import Files
from edge.board.pmic import Rail, rounded

TOTALS = ("VIN", "VDD_IN", "POM_5V_IN")
"""The lines that hold all others; the first that is there counts."""
SCOPE = "module"
NOT_CONNECTED = "NC"
SHUNTS = "sum of shunt voltages"


def read_rails(files: Files) -> dict[str, Rail]:
    """Every line that is measured, by its label; none on a board without such a chip."""
    rails: dict[str, Rail] = {}
    aside = files.aside()  # the thermal source tells what is wrong with folders and names
    for path in aside.names("sys/class/hwmon", "hwmon*/name"):
        chip = aside.text(path)
        folder = path.rpartition("/")[0]
        if chip in ("ina3221", "ina3221x"):
            rails |= _three(files, folder)
        elif chip == "ina238" and is_jetson(aside):
            rails |= _one(files, folder)
    return rails or _older(files)


def is_jetson(files: Files) -> bool:
    """Whether the chip is on NVIDIA's carrier, and not on somebody's own board."""
    return "NVIDIA" in (files.text("proc/device-tree/model") or "")


def total(rails: dict[str, Rail]) -> tuple[str, Rail] | None:
    """The line that holds all others; None where none does."""
    return next(((name, rails[name]) for name in TOTALS if name in rails), None)


def _three(files: Files, folder: str) -> dict[str, Rail]:
    """An INA3221: millivolts and milliamperes of each channel; the watts are ours to multiply."""
    rails = {}
    for path in files.names(folder, "in[0-9]_label"):
        number, label = re.sub(r".*in([0-9])_label", r"\1", path), files.text(path)
        if not label or label in (NOT_CONNECTED, SHUNTS) or files.text(f"{folder}/in{number}_enable") == "0":
            continue
        volts = files.number(f"{folder}/in{number}_input", 1000)
        rails[label] = rounded(volts, files.number(f"{folder}/curr{number}_input", 1000))
    return rails


def _one(files: Files, folder: str) -> dict[str, Rail]:
    """An INA238: what comes in, in millivolts, milliamperes and microwatts; in0 is its shunt."""
    volts, amperes = files.number(f"{folder}/in1_input", 1000), files.number(f"{folder}/curr1_input", 1000)
    return {"VIN": rounded(volts, amperes, files.number(f"{folder}/power1_input", 1e6))}


def _older(files: Files) -> dict[str, Rail]:
    """NVIDIA's own driver before hwmon (L4T to 32): one folder a chip, channels 0 to 2, milliwatts."""
    rails = {}
    for path in files.names("sys/bus/i2c/drivers/ina3221x", "*/iio:device*/rail_name_[0-9]"):
        folder, number, label = path.rpartition("/")[0], path[-1], files.text(path)
        if label and label != NOT_CONNECTED:
            values = [
                files.number(f"{folder}/in_{kind}{number}_input", 1000) for kind in ("voltage", "current", "power")
            ]
            rails[label] = rounded(*values)
    return rails
