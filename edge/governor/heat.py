"""Which rung of the ladder the heat allows.

A controller of the PI kind in its incremental form: the forecast's slope is the proportional part, the sum of all moves
the integral one. That sum is where the levers really are, so that nothing winds up while they are at an end. What a
rung will do is fed forward by the preset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.governor.forecast import Forecast
from edge.governor.levers import Rung
from edge.governor.presets import Preset

AHEAD_SECONDS = 30.0
DWELL_SECONDS = 60.0
"""Before it goes the other way; longer than a fan's cycle takes."""
DOWN_PER_SECOND = 0.1
"""Power that is taken away in a second, at most."""
UP_AT_ONCE = 0.2
"""Power that is given back in a move, at most; moves up are RISE_SECONDS apart."""
RISE_SECONDS = 30.0
"""For so long it must have been cool enough for a higher rung."""
HYSTERESIS_CELSIUS = 4.0
"""What must be free below the limit once it is let go altogether."""
SLACK_CELSIUS = 1.0
"""What must be free on a rung that is gone up to."""
DOUBT = 1.25
"""What a higher rung may heat more than the preset says."""
URGENT_CELSIUS = 1.0
"""So near at the board's own limit the dwell does not count."""


@dataclass(frozen=True)
class Look:
    """One step's. since: seconds since the last. kept: the temperature to be kept; limit: where the board slows itself.

    floor: the rung that something else holds us at, at least.
    """

    now: float
    since: float
    is_working: bool
    kept: float
    limit: float
    floor: int


class Heat:
    """Where on the ladder we are for heat's sake; rung 0 does nothing."""

    def __init__(self, preset: Preset, rungs: Sequence[Rung]) -> None:
        self._rise = preset.fast_celsius + preset.slow_celsius
        self._rungs = rungs
        self._lowered = self._raised = -math.inf
        self._cool_since: float | None = None
        self.index = 0

    def let_go(self) -> None:
        """Back to doing nothing, at once: nothing is known any more."""
        self.index, self._cool_since = 0, None

    def step(self, look: Look, forecast: Forecast) -> None:
        """Where to be from now on. An engine that rests is let go, but not slowed."""
        held = max(self.index, look.floor)
        is_hot = forecast.at(AHEAD_SECONDS, self._rungs[held].power) > look.kept
        is_urgent = forecast.at(0, 0) > look.limit - URGENT_CELSIUS
        if is_hot:
            self._cool_since = None
            if look.is_working and (look.now - self._raised >= DWELL_SECONDS or is_urgent):
                self._lower(look, forecast, held)
        elif self.index:
            self._rise_if_cool(look.now, forecast, look.kept)

    def _lower(self, look: Look, forecast: Forecast, held: int) -> None:
        """Down to the first rung whose forecast is cool enough, but not too far at once."""
        least = self._rungs[held].power - DOWN_PER_SECOND * max(look.since, 1.0)
        index = held
        while index + 1 < len(self._rungs) and forecast.at(AHEAD_SECONDS, self._rungs[index].power) > look.kept:
            if index > held and self._rungs[index + 1].power < least:
                break
            index += 1
        if index > self.index:
            self.index, self._lowered = index, look.now

    def _rise_if_cool(self, now: float, forecast: Forecast, kept: float) -> None:
        """Up, once there has been room for a while on the rung above, where it will settle there."""
        settled, power = forecast.settled(self._rungs[self.index].power), self._rungs[self.index].power
        fits = [
            index
            for index in range(self.index)
            if self._rungs[index].power - power <= UP_AT_ONCE or index == self.index - 1
            if settled + DOUBT * self._rise * (self._rungs[index].power - power) <= kept - slack(index)
        ]
        if not fits:
            self._cool_since = None
            return
        self._cool_since = now if self._cool_since is None else self._cool_since
        if now - self._cool_since >= RISE_SECONDS and now - self._lowered >= DWELL_SECONDS:
            self.index, self._raised, self._cool_since = fits[0], now, None


def slack(index: int) -> float:
    """What must be free at a rung that is gone up to, in °C."""
    return SLACK_CELSIUS if index else HYSTERESIS_CELSIUS
