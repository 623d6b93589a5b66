"""The kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst), by type, never by number."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from edge.board.files import Files

FOLDER = "sys/class/thermal"
CELSIUS_MIN, CELSIUS_MAX = -40.0, 125.0
"""Of what a board can bear; drivers' words for "not known" (-274, -256, -128, -44, 127, 255) lie outside."""
SIBLINGS_CELSIUS = 15.0
"""Exactly 0.0 beside one that is warmer is no temperature."""
TRIPS = {"active", "passive", "hot", "critical"}
TRIP_CELSIUS_MAX = 150.0
NAME_CHARACTERS = 60


@dataclass(frozen=True)
class Zone:
    """One zone. celsius: None where it did not say, or said what cannot be; per: of its units make a degree."""

    name: str
    folder: str
    celsius: float | None
    per: int


class Stuck:
    """Tells a sensor that gives one value for ever, as ACPI's often do, from a board that is as warm as before."""

    SECONDS = 600.0
    LOAD = 2.0
    """By which the load average has to have changed meanwhile: two cores' work warms any board."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, float, float, float]] = {}

    def is_stuck(self, name: str, celsius: float, load: float | None) -> bool:
        """Whether a sensor has said the same to the last digit for ten minutes in which the load changed."""
        now = self._clock()
        value, since, low, high = self._kept.get(name, (celsius, now, float("inf"), float("-inf")))
        if value != celsius:
            since, low, high = now, float("inf"), float("-inf")
        if load is not None:
            low, high = min(low, load), max(high, load)
        self._kept[name] = celsius, since, low, high
        return now - since >= self.SECONDS and high - low >= self.LOAD


class Zones:
    """All zones, look after look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck = Stuck(clock)
        self._per: dict[str, int] = {}

    def read(self, files: Files, is_phone: bool, load: float | None) -> list[Zone]:
        """Those that are not switched off. load: the load average, None where it is not known."""
        found: dict[str, Zone] = {}
        for folder in files.names(FOLDER, "thermal_zone[0-9]*"):
            if files.text(f"{folder}/mode") == "disabled":
                continue
            kind, raw = files.text(f"{folder}/type"), files.count(f"{folder}/temp")
            if raw is None and not files.is_troubled(f"{folder}/temp"):  # it is going away
                continue
            name = unused(found, (kind or "unnamed")[:NAME_CHARACTERS])
            per = self._unit(name, raw or 0) if is_phone else 1000
            found[name] = Zone(name, folder, None if raw is None else raw / per, per)
        warmest = warmest_of(zone.celsius for zone in found.values())
        return [self._checked(files, zone, warmest, load) for zone in found.values()]

    def _unit(self, name: str, raw: int) -> int:
        """On phones some zones give thousandths of a degree, some tenths, some degrees; none is above 125 of them.

        Taken for degrees or tenths until a larger number has been seen: below 12.5 °C a zone of tenths is not told.
        """
        per = 1 if abs(raw) <= CELSIUS_MAX else 10 if abs(raw) <= 10 * CELSIUS_MAX else 1000
        self._per[name] = max(per, self._per.get(name, 1))
        return self._per[name]

    def _checked(self, files: Files, zone: Zone, warmest: float, load: float | None) -> Zone:
        """The zone, without a temperature that cannot be; that one counts as a failure."""
        if zone.celsius is None:
            return zone
        why = impossible(zone.celsius, warmest)
        if not why and self._stuck.is_stuck(zone.name, zone.celsius, load):
            why = f"{zone.celsius:g} °C to the last digit for ten minutes while the load changed"
        if why:
            files.reject(f"{zone.folder}/temp", why)
        return Zone(zone.name, zone.folder, None, zone.per) if why else zone


def is_possible(celsius: float) -> bool:
    """Whether something can be so warm."""
    return CELSIUS_MIN < celsius < CELSIUS_MAX


def warmest_of(celsius: Iterable[float | None]) -> float:
    """The warmest that is possible; 0 where none is."""
    return max((each for each in celsius if each is not None and is_possible(each)), default=0.0)


def impossible(celsius: float, warmest: float) -> str:
    """Why a temperature cannot be one, beside the warmest of the others; empty where it can."""
    if not is_possible(celsius):
        return f"{celsius:g} °C cannot be"
    return f"0 °C beside {warmest:g} °C cannot be" if celsius == 0 and warmest > SIBLINGS_CELSIUS else ""


def trips(files: Files, zone: Zone) -> list[dict[str, Any]]:
    """`{"type": "passive", "celsius": 85.0}` each, the lowest first; those that are not set lie at or below 0."""
    found = []
    for path in files.names(zone.folder, "trip_point_*_temp"):
        raw, kind = files.count(path), files.text(path.removesuffix("_temp") + "_type")
        if raw is not None and kind in TRIPS and 0 < raw / zone.per < TRIP_CELSIUS_MAX:
            found.append({"type": kind, "celsius": raw / zone.per})
    return sorted(found, key=lambda trip: (trip["celsius"], trip["type"]))


def cooling(files: Files) -> dict[str, dict[str, int | None]]:
    """Steps of what cools, by types; by a step of -1 a driver means that it is not in use (intel_powerclamp)."""
    found: dict[str, dict[str, int | None]] = {}
    for folder in files.names(FOLDER, "cooling_device[0-9]*"):
        kind, state, most = (files.text(f"{folder}/type"), *_steps(files, folder))
        if kind is not None:
            found[unused(found, kind[:NAME_CHARACTERS])] = {"state": state, "state_max": most}
    return found


def _steps(files: Files, folder: str) -> list[int | None]:
    counts = [files.count(f"{folder}/{name}") for name in ("cur_state", "max_state")]
    return [None if count is None or count < 0 else count for count in counts]


def unused(names: Container[str], name: str) -> str:
    """Two may have one name; the second gets a number."""
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name}-{number}"
    return found
