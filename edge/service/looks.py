"""What a look at the board says to its governor: how near it is to its limits, from readings that are of now."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

Readings = Mapping[str, Mapping[str, Any]]

STALE_SECONDS, STALE_BATTERY_SECONDS = 10.0, 180.0
"""Of a reading that a driver holds up: after so long it says nothing of the board as it is. A battery's is read seldom.
"""
ACTS = {"passive", "hot"}
"""Trips at which the kernel slows a board down, or warns."""


def fresh(readings: Readings) -> dict[str, Mapping[str, Any]]:
    """Those that are of now; the last one of a source that gives no answer any more is not."""
    return {
        name: its
        for name, its in readings.items()
        if its.get("age_seconds", 0) <= (STALE_BATTERY_SECONDS if name == "battery" else STALE_SECONDS)
    }


def heat(thermal: Mapping[str, Any], usual_limit: float | None) -> tuple[float | None, float | None]:
    """The temperature of the zone that is nearest to its own limit, and that limit, on one scale for all zones.

    A laptop's skin may have its trip at 55 °C and be far from it, while its processor is well at 70: each is held to
    its own lowest trip at which the kernel acts, one without to the usual limit. The scale is that of the highest
    limit, so that the temperature does not jump where another zone becomes the nearest. usual_limit: None where one
    limit holds for the hottest zone, whatever the kernel's trips are.
    """
    zones, hottest = thermal.get("zones_celsius", {}), thermal.get("hottest_celsius")
    trips = {name: lowest(its) for name, its in thermal.get("trips", {}).items()}
    if usual_limit is None or all(trip is None for trip in trips.values()):
        return hottest, None
    limits = {name: usual_limit if (trip := trips.get(name)) is None else trip for name in zones}
    over = [celsius - limits[name] for name, celsius in zones.items() if celsius is not None]
    highest = max(limits.values())
    return (highest + max(over), highest) if over else (hottest, None)


def lowest(trips: list[Mapping[str, Any]]) -> float | None:
    """The lowest of a zone's trips at which the kernel acts; None where it has none."""
    return min((trip["celsius"] for trip in trips if trip["type"] in ACTS), default=None)


def is_supplied(status: str | None) -> bool | None:
    """Whether a battery is spared by its charger; None where nobody says.

    `Full` and `Not charging` are said of one that is plugged in (Documentation/ABI/testing/sysfs-class-power).
    """
    return None if status is None else status != "discharging"


class Room:
    """How much memory is available, and how much usually is beside the engine. Shares of all memory."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=3)
        self.usual: float | None = None
        """The most that three looks in a row have shown; what goes as the engine ends is not of these."""

    def available(self, memory: Mapping[str, Any], is_up: bool | None) -> float | None:
        """Now. None where it is not known; while the engine comes or goes, too, and until it was seen beside it.

        is_up: whether the engine stands; None while it comes or goes.
        """
        total, available = memory.get("total_bytes"), memory.get("available_bytes")
        ratio = available / total if total and available is not None else None
        if not is_up or ratio is None:
            self._last.clear()
        else:
            self._last.append(ratio)
            if len(self._last) == self._last.maxlen:
                self.usual = max(min(self._last), self.usual or 0.0)
        return None if is_up is None or self.usual is None else ratio
