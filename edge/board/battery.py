"""A phone's, a laptop's or an UPS's battery (Documentation/ABI/testing/sysfs-class-power), or Termux:API.

Drivers differ in what current_now is: microamperes by the ABI, milliamperes on some phones; negative while it
discharges by the ABI, while it charges on some, always positive on others. `Gauge` learns both from what it sees.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from edge.board.files import Absent, Files
from edge.board.termux import Termux

SUPPLIES = "sys/class/power_supply"
KINDS = ("Battery", "UPS")
STATUSES = {"charging", "discharging", "full", "not charging"}
PERIOD_SECONDS = 10.0
MILLI_BELOW = 20_000
"""A board at work takes more than 20 mA: of smaller numbers the unit must be mA (and 20 A no battery of ours gives)."""
LEARNED_OF, KEPT = 5, 60
"""Readings that the unit is told by, at least and at most."""
SIDES_MIN = 2
"""Readings of each status that the sign is told by."""
STUCK_SECONDS = 300


class Gauge:
    """The current's unit and sign, learned over a session. clock: seconds that go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._drawn: deque[int] = deque(maxlen=KEPT)
        self._signs: dict[str, deque[bool]] = {status: deque(maxlen=KEPT) for status in ("charging", "discharging")}
        self._last: tuple[int, float] | None = None

    def amperes(self, raw: int, status: str | None) -> float | None:
        """Negative while it discharges; None while unit or sign are not known. ValueError where the gauge is stuck."""
        self._learn(raw, status)
        unit, sign = self._unit(raw), self._sign(raw, status)
        return None if unit is None or sign is None else round(sign * abs(raw) / unit, 4)

    def _learn(self, raw: int, status: str | None) -> None:
        if status == "discharging":
            self._drawn.append(abs(raw))
            if self._last is None or self._last[0] != raw:
                self._last = raw, self._clock()
            if self._clock() - self._last[1] > STUCK_SECONDS:
                raise ValueError(f"{raw} for more than {STUCK_SECONDS // 60} minutes, while it discharges")
        else:
            self._last = None
        if status in self._signs and raw:
            self._signs[status].append(raw < 0)

    def _unit(self, raw: int) -> float | None:
        """How many make an ampere."""
        if abs(raw) >= MILLI_BELOW or not raw:
            return 1e6
        if len(self._drawn) < LEARNED_OF:
            return None
        return 1e3 if sorted(self._drawn)[len(self._drawn) // 2] < MILLI_BELOW else 1e6

    def _sign(self, raw: int, status: str | None) -> int | None:
        """By the driver's own, once it was seen on both sides and differs between them; else by the status."""
        charging, discharging = (list(self._signs[status]) for status in ("charging", "discharging"))
        if min(len(charging), len(discharging)) >= SIDES_MIN:
            is_negative_out, is_negative_in = (2 * sum(side) > len(side) for side in (discharging, charging))
            if is_negative_out != is_negative_in:
                return -1 if (raw < 0) == is_negative_out else 1
        return {"charging": 1, "discharging": -1}.get(status or "")


class Battery:
    """Level, current, heat. clock: seconds that go on."""

    name = "battery"

    def __init__(self, clock: Callable[[], float] = time.monotonic, termux: Termux | None = None) -> None:
        self._gauge, self._termux = Gauge(clock), termux or Termux()
        self.period_seconds = PERIOD_SECONDS

    def read(self, files: Files) -> Mapping[str, Any]:
        """Of the first battery, or as Termux:API says; Absent."""
        folder = found(files)
        if folder is not None:
            return self._of_kernel(files, folder)
        said = self._said(files)
        if said is None and not files.has_trouble:
            raise Absent
        if said is None:
            return dict.fromkeys(("level_percent", "is_charging", "status", "celsius", "volts", "amperes"))
        raw, status = said.pop("raw"), said["status"]
        return {**said, "amperes": self._amperes(files, "termux-battery-status", raw, status)}

    def _said(self, files: Files) -> dict[str, Any] | None:
        """By Termux:API, which takes seconds: it is asked more rarely, whether it answers or not."""
        if not self._termux.is_there(files):
            return None
        self.period_seconds = self._termux.period_seconds
        return self._termux.read(files)

    def _of_kernel(self, files: Files, folder: str) -> Mapping[str, Any]:
        status, level = status_of(files, folder), files.number(f"{folder}/capacity")
        if level is not None and not 0 <= level <= 100:
            files.reject(f"{folder}/capacity", f"{level:g} % is no level")
            level = None
        raw, volts = files.count(f"{folder}/current_now"), volts_of(files, folder)
        watts = files.number(f"{folder}/power_now", 1e6) if raw is None else None
        if watts is not None and volts:
            raw = round(watts / volts * 1e6)
        return {
            "level_percent": level,
            "is_charging": is_charging(status),
            "status": status,
            "celsius": celsius_of(files, folder),
            "volts": volts,
            "amperes": self._amperes(files, f"{folder}/current_now", raw, status),
        }

    def _amperes(self, files: Files, path: str, raw: int | None, status: str | None) -> float | None:
        if raw is None:
            return None
        try:
            return self._gauge.amperes(raw, status)
        except ValueError as error:
            files.reject(path, str(error))
            return None


def found(files: Files) -> str | None:
    """The folder of the board's first battery; a mouse's is not the board's."""
    for path in files.names(SUPPLIES, "*"):
        is_ours = files.text(f"{path}/type") in KINDS and files.text(f"{path}/scope") != "Device"
        if is_ours and files.text(f"{path}/present") != "0":
            return path
    return None


def status_of(files: Files, folder: str) -> str | None:
    """In small letters; None of `Unknown`, and of what the ABI does not name."""
    status = (files.text(f"{folder}/status") or "").lower()
    return status if status in STATUSES else None


def is_charging(status: str | None) -> bool | None:
    """Whether a current goes in."""
    return None if status is None else status == "charging"


def volts_of(files: Files, folder: str) -> float | None:
    """Microvolts by the ABI; less than a tenth of a volt of these must be millivolts."""
    raw = files.count(f"{folder}/voltage_now")
    if raw is None or raw <= 0:
        return None
    return round(raw / (1e3 if raw < 100_000 else 1e6), 4)


def celsius_of(files: Files, folder: str) -> float | None:
    """Tenths of a degree."""
    celsius = files.number(f"{folder}/temp", 10)
    if celsius is not None and not -40 < celsius < 100:
        files.reject(f"{folder}/temp", f"{celsius:g} °C cannot be")
        return None
    return celsius


def drawn_watts(files: Files, gauge: Gauge) -> float | None:
    """What the board's battery gives now; None where it does not, or does not say."""
    folder = found(files)
    if folder is None or (status := status_of(files, folder)) != "discharging":
        return None
    watts = files.number(f"{folder}/power_now", 1e6)
    if watts:
        return abs(watts)
    raw, volts = files.count(f"{folder}/current_now"), volts_of(files, folder)
    if raw is None or volts is None:
        return None
    try:
        amperes = gauge.amperes(raw, status)
    except ValueError as error:
        files.reject(f"{folder}/current_now", str(error))
        return None
    return round(-amperes * volts, 3) if amperes else None
