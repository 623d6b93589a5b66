"""Temperatures, from the kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.board.source import Absent


class Thermal:
    """Every zone by its type, in degrees Celsius, and the hottest of them."""

    name = "thermal"

    def read(self, root: Path) -> Mapping[str, Any]:
        """`{"zones_celsius": {"cpu-thermal": 48.2}, "hottest_celsius": 48.2}`."""
        zones: dict[str, float] = {}
        for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
            celsius = _celsius(zone)
            if celsius is not None:
                zones[_unused(zones, (zone / "type").read_text().strip())] = celsius
        if not zones:
            raise Absent
        return {"zones_celsius": zones, "hottest_celsius": max(zones.values())}


def _celsius(zone: Path) -> float | None:
    """A zone's temperature; None where the zone is switched off, which reads as an error (EAGAIN, EINVAL)."""
    try:
        return int((zone / "temp").read_text()) / 1000
    except (OSError, ValueError):
        return None


def _unused(zones: Mapping[str, float], name: str) -> str:
    """Two zones may have one type; the second gets a number."""
    return name if name not in zones else f"{name}-{sum(each.startswith(name) for each in zones) + 1}"
