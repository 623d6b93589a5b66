"""The ladder that the governor goes down and up: what sheds most power for the fewest tokens comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CLOCK_TO_POWER = 1.8
"""The exponent: f·V² over f. A Pi 5's table of voltages has 0.43 of the power at 1500 of 2400 MHz, which is 1.8."""
CLOCK_MIN = 0.5
"""Of the highest clock. Answers wait for memory rather than for the clock, but not at any clock."""
THREADS_LOSS_MAX = 0.05
"""Of tokens, that fewer threads may cost."""
DUTY_STEP = 0.02


@dataclass(frozen=True)
class ThreadCount:
    """What a calibration on this board found for a number of threads: speed and power over those of the usual one."""

    speed: float
    power: float


@dataclass(frozen=True)
class Levers:
    """What can be moved on this board. clocks_hertz: those that may be set as a cap; none where nobody may set one.

    threads: by their number, as calibrated here; empty where nothing was.
    """

    clocks_hertz: tuple[int, ...] = ()
    threads: Mapping[int, ThreadCount] = field(default_factory=dict)


@dataclass(frozen=True)
class Rung:
    """power: share, from 0 to 1, of what work at full speed adds to an idle board's power."""

    power: float = 1.0
    clock_cap_hertz: int | None = None
    threads: int | None = None
    duty: float = 1.0


def ladder(levers: Levers, duty_min: float) -> tuple[Rung, ...]:
    """Every rung, the first of which does nothing, each with less power than the one before."""
    rungs = [Rung()]
    rungs += _clocks(levers.clocks_hertz)
    rungs += _threads(levers.threads, rungs[-1])
    rungs += _pauses(rungs[-1], duty_min)
    return tuple(rungs)


def _clocks(clocks_hertz: tuple[int, ...]) -> Iterator[Rung]:
    """Lower and lower clocks. Of a Pi they are honoured below its limit alone, which is one reason to come early."""
    top = max(clocks_hertz, default=0)
    for clock in sorted(set(clocks_hertz), reverse=True)[1:]:
        if clock >= CLOCK_MIN * top:
            yield Rung((clock / top) ** CLOCK_TO_POWER, clock)


def _threads(threads: Mapping[int, ThreadCount], last: Rung) -> Iterator[Rung]:
    """Fewer and fewer threads, as far as they cost next to nothing and save more than they cost."""
    power = 1.0
    for count, found in sorted(threads.items(), reverse=True):
        if found.speed >= 1 - THREADS_LOSS_MAX and found.power < min(power, found.speed):
            power = found.power
            yield Rung(last.power * power, last.clock_cap_hertz, count)


def _pauses(last: Rung, duty_min: float) -> Iterator[Rung]:
    """Longer and longer pauses, which cost as many tokens as they shed power."""
    for step in range(1, round((1 - duty_min) / DUTY_STEP) + 1):
        duty = max(duty_min, round(1 - step * DUTY_STEP, 2))
        yield Rung(last.power * duty, last.clock_cap_hertz, last.threads, duty)
