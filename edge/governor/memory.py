"""What a shortage of memory asks for, a rung at a time.

Below what others act at: systemd-oomd kills at 60 % of pressure for 30 s, earlyoom at a tenth of memory and of swap.
Pressure is Documentation/accounting/psi.rst's avg10, which is smoothed already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge.governor.decision import Inputs, Memory
from edge.governor.heat import DWELL_SECONDS

UNLOAD_AFTER_SECONDS = 30.0
"""Of pressure that asks for `refuse`, after which an idle engine is better not there."""
RELIEF = 0.8
"""A rung is left at this share of the pressure that it is entered at."""
ROOM_RATIO = 0.02
"""Of memory, that must be available beyond what a rung is entered at."""
ROOM_OF_USUAL = 0.1
"""The same, of what is left beside the model."""


@dataclass(frozen=True)
class Threshold:
    """A rung is entered above a pressure, in percent, or below a share of memory that is available.

    usual_ratio: on a board that the model fills, below so much of what is left beside it. What never is available is
    no shortage, or such a board would take nobody in, unload, and load again, for ever.
    """

    some_percent: float
    full_percent: float
    available_ratio: float
    usual_ratio: float

    def is_met(self, inputs: Inputs, is_held: bool) -> bool:
        """Whether the rung is asked for; one that is held is let go later than it was entered."""
        usual = inputs.memory_usual_ratio or 1.0
        relief, room = (RELIEF, min(ROOM_RATIO, ROOM_OF_USUAL * usual)) if is_held else (1.0, 0.0)
        some, full, available = inputs.memory_some_percent, inputs.memory_full_percent, inputs.memory_available_ratio
        return (
            (some is not None and some > self.some_percent * relief)
            or (full is not None and full > self.full_percent * relief)
            or (available is not None and available < self._least(inputs.memory_usual_ratio) + room)
        )

    def _least(self, usual: float | None) -> float:
        return self.available_ratio if usual is None else min(self.available_ratio, self.usual_ratio * usual)


RUNGS: tuple[Memory, ...] = ("enough", "give back", "short only", "refuse", "unload")
THRESHOLDS = (
    Threshold(10, math.inf, 0.12, 0.6),
    Threshold(20, math.inf, 0.10, 0.5),
    Threshold(40, 10, 0.05, 0.25),
)
"""Of the rungs from `give back` to `refuse`; `unload` comes of that lasting."""
REASONS = ("", "memory gets short", "memory is short", "memory is all but gone", "memory is all but gone")


class Shortage:
    """How short of memory we are. Worse at once, better by a rung after a dwell."""

    def __init__(self) -> None:
        self._index = 0
        self._since = -math.inf
        self._pressed_since: float | None = None

    def step(self, inputs: Inputs) -> Memory:
        """The rung from now on."""
        asked = self._asked(inputs)
        if asked >= self._index:
            self._since = inputs.seconds
            self._index = asked
        elif inputs.seconds - self._since >= DWELL_SECONDS:
            self._since = inputs.seconds
            self._index -= 1
        return RUNGS[self._index]

    @property
    def reason(self) -> str:
        """In words; empty where there is enough."""
        return REASONS[self._index]

    @property
    def refuses(self) -> str:
        """Why nobody is to be let in; empty where they are."""
        return self.reason if self._index >= RUNGS.index("refuse") else ""

    def _asked(self, inputs: Inputs) -> int:
        """The rung that the readings ask for."""
        met = [place for place, each in enumerate(THRESHOLDS, 1) if each.is_met(inputs, self._index >= place)]
        asked = max(met, default=0)
        if asked < len(THRESHOLDS):
            self._pressed_since = None
            return asked
        self._pressed_since = inputs.seconds if self._pressed_since is None else self._pressed_since
        is_idle = not (inputs.is_working or inputs.is_asked)
        lasts = inputs.seconds - self._pressed_since >= UNLOAD_AFTER_SECONDS
        return asked + 1 if lasts and (is_idle or self._index > asked) else asked
