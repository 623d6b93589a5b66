"""Which lines of `edge status` want a look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.commands.boards import READY
from edge.commands.status_rows import Found, is_hot, part

WAITING_PERCENT, SCARCE = 10, 0.1
"""Of the last ten seconds, and of all memory: what wants a look."""


def is_short_of_memory(found: Found) -> bool:
    """Little is left, or much is waited for it."""
    known = part(found, "telemetry", "memory")
    free, total = (known.get(name) for name in ("available_bytes", "total_bytes"))
    is_scarce = free is not None and total is not None and free < SCARCE * total
    return is_scarce or (known.get("pressure_percent") or 0) > WAITING_PERCENT


def is_blinded(found: Found) -> bool:
    """Whether the governor sees nothing though there is something to be seen: a board without a sensor has no fault."""
    reading = part(found, "telemetry")
    return part(reading, "governor").get("state") == "blind" and "thermal" not in (reading.get("absent") or ())


def is_held(found: Found) -> bool:
    """Whether the governor slows the engine down, or memory is so short that it gives back or keeps people out."""
    known = part(found, "telemetry", "governor")
    return known.get("state") == "slowed" or known.get("memory", "enough") != "enough"


def is_not_exchanged(found: Found) -> bool:
    """Whether a bundle that somebody wants is not to be had, or was not kept."""
    return part(found, "telemetry", "bundle").get("state") in ("rolled_back", "refused")


ALARMS: dict[str, Callable[[Found], Any]] = {
    "board": lambda found: found["status"].get("state") not in READY,
    "bundle": is_not_exchanged,
    "wire": lambda _found: True,
    "heat": is_hot,
    "memory": is_short_of_memory,
    "throttling": lambda found: any(part(found, "telemetry", "throttling", "now").values()),
    "governor": lambda found: is_held(found) or is_blinded(found),
    "sensors": lambda _found: True,
}
