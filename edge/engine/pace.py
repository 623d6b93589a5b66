"""A duty cycle: the engine works for a share of the time, and rests after each step for the rest of it.

The daemon's governor sets it where a board would get too hot or has too little power. Whoever works all the time does
not come here at all.
"""

from __future__ import annotations

import threading
import time

REST_SECONDS_MAX = 30.0
"""The longest rest; the daemon allows less where it would take that for a hung engine (`engine.stall_seconds`)."""


class Pace:
    """The share of the time that is worked, 1 for all of it; set from any thread."""

    def __init__(self) -> None:
        self.duty = 1.0
        self._longest = REST_SECONDS_MAX
        self._owed = 0.0
        self._rested = time.monotonic()
        self._woken = threading.Event()

    def set(self, duty: float, longest: float = REST_SECONDS_MAX) -> None:
        """From now on, in the middle of a rest too. duty: above 0, 1 at most; longest: of rests, in seconds."""
        self.duty, self._longest = duty, longest
        self._woken.set()

    def wake(self) -> None:
        """Something wants to be heard before the rest is over; what is left of it comes after the next step."""
        self._woken.set()

    def rest(self, worked_seconds: float) -> None:
        """After a step, and for as long as it and those before it want."""
        if self.duty >= 1:
            self._owed = 0.0
            self._rested = time.monotonic()
            return
        began = time.monotonic()
        idle = began - worked_seconds - self._rested  # who had nothing to do has rested, too
        owed = max(0.0, self._owed - max(0.0, idle)) + worked_seconds * (1 / self.duty - 1)
        self._owed = min(owed, self._longest)
        self._woken.wait(self._owed)
        self._woken.clear()
        self._rested = time.monotonic()
        self._owed = max(0.0, self._owed - (self._rested - began))
