"""What the power chip of a Raspberry Pi 5 measures: currents and voltages of its lines, as the firmware prints them.

A line is `VDD_CORE_A current(7)=0.92871990A` or `EXT5V_V volt(24)=5.17105900V`. A dump of all takes some 23 ms, most
of it waiting. What hangs at the 5 V line itself (USB, HATs, NVMe) goes by the chip, and is in no sum.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from edge.board.files import Files

LINE = re.compile(r"^\s*([A-Z0-9_]+)_([AV]) (?:current|volt)\([0-9]+\)=([0-9]{1,3}\.[0-9]{1,9})[AV]\s*$", re.MULTILINE)
EXTERNAL = "EXT5V"
"""The supply; it has a voltage alone."""
SCOPE = "SoC rails"
BOARDS = re.compile(r"Raspberry Pi (5|Compute Module 5)")
"""What the device tree calls those that have the chip, the Pi 500 among them."""


@dataclass(frozen=True)
class Rail:
    """One supply line; None is not measured."""

    volts: float | None = None
    amperes: float | None = None
    watts: float | None = None


def is_there(files: Files) -> bool:
    """Whether this is a board with such a chip."""
    return bool(BOARDS.search(files.text("proc/device-tree/model") or ""))


def read_rails(text: str) -> dict[str, Rail]:
    """Every line of the firmware's print by name, volts and amperes of one put together."""
    rails: dict[str, Rail] = {}
    for name, unit, number in LINE.findall(text):
        rail, value = rails.get(name, Rail()), float(number)
        rails[name] = replace(rail, volts=value) if unit == "V" else replace(rail, amperes=value)
    return {name: rounded(rail.volts, rail.amperes) for name, rail in rails.items()}


def rounded(volts: float | None, amperes: float | None, watts: float | None = None) -> Rail:
    """Thousandths; the watts are the product where nobody measured them."""
    if watts is None and volts is not None and amperes is not None:
        watts = volts * amperes
    return Rail(*(None if value is None else round(value, 4) for value in (volts, amperes, watts)))


def total(rails: dict[str, Rail]) -> float | None:
    """Watts of all lines that have both; none lies within another."""
    watts = [rail.watts for rail in rails.values() if rail.watts is not None]
    return round(sum(watts), 4) if watts else None
