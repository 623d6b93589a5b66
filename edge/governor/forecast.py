"""The temperature in a while, at any rung: the preset's two poles say what our work adds, readings say the rest.

What the preset says of our own work is taken off each reading. What is left is the room, the case, and what the preset
has wrong. It moves slowly, whatever the engine does, so that a line through half a minute of it (least squares) is a
fair guess. The line bends towards its end with the slow time constant; then our work is put on top, at the rung that is
asked about. Android's thermal headroom is such a forecast, too (developer.android.com, PowerManager).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from math import fsum
from operator import mul

from edge.governor.presets import Preset

GAP_SECONDS = 20.0
"""Silence after which what was seen before tells no slope."""
SLOPE_AFTER_SECONDS = 15.0
"""Of readings, before which there is no slope."""
WILD_CELSIUS = 3.0
"""Off the middle one of three readings, a reading is none, and that one stands for it."""
DOUBTS = 3.0
"""Standard errors of the slope that are taken off it: a sensor's noise and its coarse steps make no trend, though they
are looked at every second for months."""


def _approach(value: float, end: float, seconds: float, constant: float) -> float:
    """Where a first-order lag is after a time."""
    return end + (value - end) * math.exp(-seconds / constant)


def sumprod(first: Sequence[float], second: Sequence[float]) -> float:
    """As math's of Python 3.12."""
    return float(sum(map(mul, first, second)))


class Forecast:
    """What was seen, and what it leads to. Temperatures in °C, `power` as a rung has it."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset
        self._seconds: float | None = None
        self._fast = self._slow = 0.0
        self._raw: deque[float] = deque(maxlen=3)
        self._rest: deque[tuple[float, float]] = deque()
        self._line = (0.0, 0.0)

    def observe(self, seconds: float, temperature: float, power: float) -> None:
        """A reading. power: what the engine took of its own since the one before, 0 where it rested."""
        if self._seconds is not None and seconds > self._seconds:
            self._advance(seconds - self._seconds, power)
        if self._seconds is None or not 0 <= seconds - self._seconds <= GAP_SECONDS:
            self._raw.clear()
            self._rest.clear()
        self._seconds = seconds
        self._raw.append(temperature - self._fast - self._slow)
        middle = sorted(self._raw)[len(self._raw) // 2]
        self._rest.append((seconds, middle if abs(self._raw[-1] - middle) > WILD_CELSIUS else self._raw[-1]))
        while seconds - self._rest[0][0] > self._preset.window_seconds:
            self._rest.popleft()
        self._line = self._through()

    def _advance(self, seconds: float, power: float) -> None:
        """What our work has added meanwhile, by the preset."""
        preset = self._preset
        self._fast = _approach(self._fast, preset.fast_celsius * power, seconds, preset.fast_seconds)
        self._slow = _approach(self._slow, preset.slow_celsius * power, seconds, preset.slow_seconds)

    def _through(self) -> tuple[float, float]:
        """The line through what our work does not explain: its value now, and of its slope what is beyond doubt."""
        now, count = self._rest[-1][0], len(self._rest)
        seconds, values = zip(*self._rest, strict=True)
        mean = fsum(values) / count
        if count < 3 or now - seconds[0] < SLOPE_AFTER_SECONDS:
            return mean, 0.0
        middle = fsum(seconds) / count
        ahead, above = [each - middle for each in seconds], [each - mean for each in values]
        spread = sumprod(ahead, ahead)
        slope = sumprod(ahead, above) / spread
        off = max(0.0, sumprod(above, above) - slope * slope * spread)
        doubt = DOUBTS * math.sqrt(off / (count - 2) / spread)
        slope = math.copysign(max(0.0, abs(slope) - doubt), slope)
        return mean + slope * (now - middle), slope

    def at(self, ahead_seconds: float, power: float) -> float:
        """The temperature after a time at a power."""
        return self._at(ahead_seconds, power, self._line[1])

    def settled(self, power: float) -> float:
        """Where it settles at a power. That it cools down of something else than our work is not counted upon."""
        return self._at(math.inf, power, max(0.0, self._line[1]))

    def _at(self, ahead_seconds: float, power: float, slope: float) -> float:
        preset, value = self._preset, self._line[0]
        rest = value + slope * preset.slow_seconds * (1 - math.exp(-ahead_seconds / preset.slow_seconds))
        fast = _approach(self._fast, preset.fast_celsius * power, ahead_seconds, preset.fast_seconds)
        slow = _approach(self._slow, preset.slow_celsius * power, ahead_seconds, preset.slow_seconds)
        return rest + fast + slow
