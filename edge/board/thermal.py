"""How warm it is, where, what the kernel does about it and when, and how fans turn."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.board import hwmon
from edge.board.board import is_phone
from edge.board.files import Absent, Files
from edge.board.zones import Zone, Zones, cooling, trips

TRIPS_SECONDS = 60.0


class Thermal:
    """Zones, chips, fans. clock: seconds that pass, by which a sensor that is stuck is told."""

    name = "thermal"
    period_seconds = 0.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._zones, self._clock = Zones(clock), clock
        self._trips: dict[str, list[dict[str, Any]]] = {}
        self._trips_at = float("-inf")

    def read(self, files: Files) -> Mapping[str, Any]:
        """`{"zones_celsius": {"cpu-thermal": 48.2}, "hottest_celsius": 48.2, …}`; Absent where nothing is measured."""
        zones = self._zones.read(files, is_phone(files.aside()), _load(files.aside()))
        chips = hwmon.chips(files)
        celsius = {zone.name: zone.celsius for zone in zones}
        sensors, fans = hwmon.sensors(files, chips), hwmon.fans(files, chips)
        if not celsius and not sensors and not fans:
            raise Absent
        return {
            "zones_celsius": celsius,
            "sensors_celsius": sensors,
            "hottest_celsius": _hottest(celsius) if _hottest(celsius) is not None else _hottest(sensors),
            "trips": {name: found for name, found in self._trips_of(files, zones).items() if found},
            "fans": fans,
            "cooling": cooling(files),
        }

    def _trips_of(self, files: Files, zones: list[Zone]) -> dict[str, list[dict[str, Any]]]:
        """By zones. They are most of the files, and change when somebody sets them: read anew once a minute."""
        if self._clock() - self._trips_at >= TRIPS_SECONDS or self._trips.keys() != {zone.name for zone in zones}:
            self._trips, self._trips_at = {zone.name: trips(files, zone) for zone in zones}, self._clock()
        return self._trips


def _hottest(celsius: Mapping[str, float | None]) -> float | None:
    return max((each for each in celsius.values() if each is not None), default=None)


def _load(files: Files) -> float | None:
    """The load average over a minute; None where it is not told."""
    found = re.match(r"\d{1,6}\.\d+", files.text("proc/loadavg") or "")
    return float(found[0]) if found else None
