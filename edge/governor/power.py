"""Which rung the supply and the battery allow, by the operator's rule: at once down, and up again after a dwell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.governor.decision import Inputs
from edge.governor.heat import DWELL_SECONDS
from edge.governor.levers import Rung
from edge.governor.policy import Policy

FULLER_PERCENT = 3.0
"""What the battery must have beyond a mark before the mark counts no more."""


class Mark:
    """A condition that holds as soon as it is seen, and until it has not been seen for the dwell."""

    def __init__(self) -> None:
        self._seen = -math.inf
        self.holds = False

    def look(self, now: float, is_seen: bool) -> bool:
        """Whether it holds now."""
        if is_seen:
            self._seen = now
        self.holds = is_seen or (self.holds and now - self._seen < DWELL_SECONDS)
        return self.holds


class Power:
    """What the supply's state asks for. rung: the first that is allowed; reason: in words, empty at rung 0."""

    def __init__(self, policy: Policy, rungs: Sequence[Rung]) -> None:
        self._policy, self._rungs = policy, rungs
        self._under_voltage, self._throttled, self._low, self._flat = Mark(), Mark(), Mark(), Mark()

    def step(self, inputs: Inputs, is_blind: bool) -> tuple[int, str]:
        """The rung, and why."""
        now, policy = inputs.seconds, self._policy
        is_low = self._low.look(now, self._is_below(inputs, policy.battery_low_percent, self._low))
        self._flat.look(now, self._is_below(inputs, policy.battery_refuse_percent, self._flat))
        asked = [
            (policy.under_voltage_power, "the supply's voltage is too low", inputs.under_voltage, self._under_voltage),
            (policy.throttled_power, "the board throttles itself", is_blind and inputs.throttled, self._throttled),
        ]
        found = [(power, why) for power, why, is_seen, mark in asked if mark.look(now, bool(is_seen))]
        if is_low:
            found.append((policy.battery_low_power, f"the battery has less than {policy.battery_low_percent:g} %"))
        power, reason = min(found, default=(1.0, ""))
        index = self._first_within(power)
        return index, reason if index else ""

    @property
    def refuses(self) -> str:
        """Why nobody is to be let in; empty where all are."""
        return f"the battery has less than {self._policy.battery_refuse_percent:g} %" if self._flat.holds else ""

    def _is_below(self, inputs: Inputs, percent: float, mark: Mark) -> bool:
        """Whether the battery is below a mark, and nothing charges it. What charges is not known: nothing."""
        if inputs.battery_percent is None or inputs.is_charging:
            return False
        return inputs.battery_percent < percent + (FULLER_PERCENT if mark.holds else 0)

    def _first_within(self, power: float) -> int:
        """The first rung that takes no more than that; the last where none does."""
        within = (index for index, rung in enumerate(self._rungs) if rung.power <= power)
        return next(within, len(self._rungs) - 1)
