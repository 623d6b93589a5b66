"""How much may be written to a disk, so that nothing that comes and goes wears it out."""

from __future__ import annotations

import time
from collections.abc import Callable

DAY_SECONDS = 86_400


class Allowance:
    """Bytes that may be written: so many at once, and as many again in the course of a day."""

    def __init__(self, bytes_a_day: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = bytes_a_day, clock
        self._left, self._since = float(bytes_a_day), clock()

    def take(self, wanted_bytes: int) -> bool:
        """Whether so many more may be written, which they then are."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._since) * self._most / DAY_SECONDS)
        self._since = now
        if wanted_bytes > self._left:
            return False
        self._left -= wanted_bytes
        return True
