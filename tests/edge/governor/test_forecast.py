"""The forecast against boards whose temperature is reckoned another way."""

from __future__ import annotations

import math
import random

import pytest

from edge.governor import PRESETS
from edge.governor.forecast import Forecast
from edge.governor.presets import Preset

PI = PRESETS["raspberry-pi-5"]


def exact(preset: Preset, seconds: float, start: float = 49.0, scale: float = 1.0) -> float:
    """A board that works from second 0 on; scale: of its real warming over the preset's."""
    fast = preset.fast_celsius * (1 - math.exp(-seconds / preset.fast_seconds))
    slow = preset.slow_celsius * (1 - math.exp(-seconds / preset.slow_seconds))
    return start + scale * (fast + slow)


@pytest.mark.parametrize("scale", [0.75, 1.0, 1.25])
@pytest.mark.parametrize("name", ["raspberry-pi-5", "raspberry-pi-5-cooler", "jetson-orin-nano", "unknown"])
def test_half_a_minute_ahead_of_a_board_that_warms_up(name: str, scale: float):
    """With the right preset at once and exactly; with one that is a quarter off within 3.5 °C, and soon within one."""
    preset = PRESETS[name]
    forecast = Forecast(preset)
    for second in range(400):
        forecast.observe(second, exact(preset, second, scale=scale), 1.0)
        off = forecast.at(30, 1.0) - exact(preset, second + 30, scale=scale)
        assert abs(off) < (1e-9 if scale == 1 else 3.5 if second < 30 else 1.0), second


def test_the_rise_of_work_that_begins_is_known_before_it_is_read():
    """A board at rest: what it would be in half a minute of work, before the first second of it."""
    forecast = Forecast(PI)
    for second in range(60):
        forecast.observe(second, 49.0, 0.0)
    assert forecast.at(30, 0.0) == pytest.approx(49)
    assert forecast.at(30, 1.0) == pytest.approx(exact(PI, 30), abs=0.1)
    assert forecast.settled(1.0) == pytest.approx(49 + 45, abs=0.1)


@pytest.mark.parametrize(("step", "name"), [(0.55, "raspberry-pi-5"), (0.92, "rk3588")])
def test_noise_and_coarse_steps_make_no_trend(step: float, name: str):
    """An hour of a board that stays as it is: no forecast is more than a degree off, however long one looks."""
    chance, forecast = random.Random(7), Forecast(PRESETS[name])
    worst = 0.0
    for second in range(3600):
        read = round((60 + chance.gauss(0, 0.3)) / step) * step
        forecast.observe(second, read, 0.0)
        worst = max(worst, abs(forecast.at(30, 0.0) - 60)) if second > 45 else worst
    assert worst < 1


def test_cooling_that_is_not_ours_is_not_counted_upon():
    """A room that cools down: the forecast follows it, where it will settle does not."""
    forecast = Forecast(PI)
    for second in range(60):
        forecast.observe(second, 60 - 0.1 * second, 0.0)
    assert forecast.at(30, 0.0) < 53
    assert forecast.settled(0.0) == pytest.approx(54.1, abs=0.3)
