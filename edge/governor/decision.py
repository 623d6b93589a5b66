"""What comes in once a second, and what goes out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["off", "free", "slowed", "blind"]
Memory = Literal["enough", "give back", "short only", "refuse", "unload"]


@dataclass(frozen=True)
class Inputs:
    """One look at the board; None is "not known", and never acted upon.

    seconds: monotonic. temperature_celsius: of what the preset watches: the zone of a board that is nearest to its
    limit, the battery of a phone. trip_celsius: that zone's lowest passive or hot trip, where the kernel has one.
    is_working: whether the engine has work in hand; is_asked: whether anybody waits or is being answered.
    memory_some_percent, memory_full_percent: of the last ten seconds in which something, or everything, waited for
    memory (accounting/psi.rst). memory_available_ratio: of all memory, to be had without swapping; memory_usual_ratio:
    the most of that since the engine is there. battery_percent: of a full one; is_charging: whether something else
    supplies the board; False where it runs on it.
    """

    seconds: float
    temperature_celsius: float | None = None
    trip_celsius: float | None = None
    is_working: bool = False
    is_asked: bool = False
    under_voltage: bool | None = None
    throttled: bool | None = None
    memory_some_percent: float | None = None
    memory_full_percent: float | None = None
    memory_available_ratio: float | None = None
    memory_usual_ratio: float | None = None
    battery_percent: float | None = None
    is_charging: bool | None = None


@dataclass(frozen=True)
class Decision:
    """What holds until the next one; as it stands, nothing is done. Its fields are those of edge/wire/telemetry.py.

    duty: share of the time that the engine works, above 0. clock_cap_hertz, threads: None where the governor sets none.
    headroom_celsius: what the forecast leaves below limit_celsius. refuses: why no request is to be taken in, in words;
    empty where they are. It is no field of telemetry's.
    """

    state: State = "free"
    reason: str = ""
    duty: float = 1.0
    clock_cap_hertz: int | None = None
    threads: int | None = None
    memory: Memory = "enough"
    headroom_celsius: float | None = None
    forecast_celsius: float | None = None
    limit_celsius: float | None = None
    refuses: str = ""

    @property
    def is_neutral(self) -> bool:
        """Whether the engine runs as without a governor, and everybody is let in."""
        return self == Decision(
            state=self.state,
            reason=self.reason,
            headroom_celsius=self.headroom_celsius,
            forecast_celsius=self.forecast_celsius,
            limit_celsius=self.limit_celsius,
        )

    def body(self) -> dict[str, Any]:
        """As telemetry has it."""
        told = asdict(self)
        del told["refuses"]
        return told
