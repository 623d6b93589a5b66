"""What Termux:API says of a phone's battery, where Android lets nobody read the kernel's files: seconds a call.

`termux-battery-status` prints a JSON object (termux-api, BatteryStatusAPI); its current is in whatever the phone's
driver counts, like the kernel's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.board.files import Files
from edge.board.program import Program

PATH = "data/data/com.termux/files/usr/bin/termux-battery-status"
STATUSES = {"CHARGING": "charging", "DISCHARGING": "discharging", "FULL": "full", "NOT_CHARGING": "not charging"}


class Termux:
    """The program, one call at a time, killed after 15 s. program: another one that prints the same."""

    period_seconds = 60.0

    def __init__(self, program: Program | None = None) -> None:
        self._program = program

    def is_there(self, files: Files) -> bool:
        """Whether this is a phone that has it."""
        return self._program is not None or (files.root == Path("/") and (files.root / PATH).is_file())

    def read(self, files: Files) -> dict[str, Any] | None:
        """The battery with its current as it is counted (`raw`); None where it has failed."""
        try:
            return parse((self._program or Program([str(files.root / PATH)])).first())
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            files.reject(PATH, str(error))
            return None


def parse(text: str) -> dict[str, Any]:
    """Of one print; ValueError where it is none. A battery of 0 °C and unknown health is none that was measured."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"no object: {text[:40]!r}")
    status = STATUSES.get(str(found.get("status")))
    celsius = number(found, "temperature", -40, 100)
    if celsius == 0 and found.get("health") == "UNKNOWN":
        celsius = None
    volts, raw = number(found, "voltage", 1, 100_000), number(found, "current", -1e8, 1e8)
    return {
        "level_percent": number(found, "percentage", 0, 100),
        "is_charging": None if status is None else status == "charging",
        "status": status,
        "celsius": None if celsius is None else round(celsius, 2),
        "volts": None if volts is None else volts / 1000,
        "raw": None if raw is None else round(raw),
    }


def number(found: dict[str, Any], key: str, low: float, high: float) -> float | None:
    """A number within bounds; None else."""
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return float(value)
