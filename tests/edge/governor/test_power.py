"""Battery and supply: the operator's rule, at once, and no longer than it must."""

from __future__ import annotations

import pytest

from edge.governor import PRESETS, Decision, Governor, Inputs, Levers, Policy
from tests.thermal_model import PI_CLOCKS

COOL = 45.0


def told(policy: Policy, clocks: tuple[int, ...], *looks: Inputs) -> list[Decision]:
    """The decisions of a board that is cool."""
    governor = Governor(PRESETS["raspberry-pi-5"], policy, Levers(clocks))
    return [governor.step(look) for look in looks]


def test_a_battery_that_gets_low_is_spared():
    """Half the power where it is not charged: half the time where no clock may be set, 1600 MHz where one may."""
    look = Inputs(0, COOL, is_working=True, battery_percent=19, is_charging=False)
    (pausing,), (clocked,) = told(Policy(), (), look), told(Policy(), PI_CLOCKS, look)
    assert (pausing.state, pausing.duty, pausing.reason) == ("slowed", 0.5, "the battery has less than 20 %")
    assert (clocked.duty, clocked.clock_cap_hertz) == (1.0, 1_600_000_000)
    assert pausing.refuses == ""


@pytest.mark.parametrize(
    "battery",
    [
        {"battery_percent": 19, "is_charging": True},
        {"battery_percent": 20, "is_charging": False},
        {"battery_percent": None, "is_charging": False},
        {},
    ],
)
def test_a_battery_that_is_charged_full_or_unknown_changes_nothing(battery: dict):
    """Nothing is done for what is not known."""
    assert all(each.is_neutral for each in told(Policy(), (), Inputs(0, COOL, is_working=True, **battery)))


def test_an_all_but_empty_battery_refuses():
    """With the reason in words; not where the operator says never."""
    look = Inputs(0, COOL, battery_percent=9, is_charging=False)
    assert told(Policy(), (), look)[0].refuses == "the battery has less than 10 %"
    never = Policy(battery_low_percent=0, battery_refuse_percent=0)
    assert told(never, (), Inputs(0, COOL, battery_percent=0, is_charging=False))[0].is_neutral


def test_a_battery_at_its_mark_does_not_flicker():
    """It is let go three percent above, and a minute after it was last below."""
    levels = [19, 20, 21, 22] + [23] * 80
    decisions = told(
        Policy(),
        (),
        *(Inputs(place * 10, COOL, battery_percent=each, is_charging=False) for place, each in enumerate(levels)),
    )
    assert [each.state for each in decisions[:8]] == ["slowed"] * 8
    assert decisions[-1].is_neutral


def test_under_voltage_sheds_power_at_once_and_for_a_minute():
    """A supply that sags under load sags again as soon as the load is back."""
    looks = [Inputs(second, COOL, is_working=True, under_voltage=second == 5) for second in range(100)]
    decisions = told(Policy(), (), *looks)
    slowed = [place for place, each in enumerate(decisions) if each.state == "slowed"]
    assert slowed == list(range(5, 65))
    assert decisions[5].reason == "the supply's voltage is too low"


def test_a_board_that_throttles_unseen_is_slowed_and_one_that_is_seen_is_not():
    """A laptop's counters move all day; where a temperature tells, it counts."""
    blind = [Inputs(second, None, is_working=True, throttled=True) for second in range(20)]
    assert (told(Policy(), (), *blind)[-1].duty, told(Policy(), (), *blind)[-1].state) == (0.74, "slowed")
    seen = [Inputs(second, COOL, is_working=True, throttled=True) for second in range(20)]
    assert all(each.is_neutral for each in told(Policy(), (), *seen))


def test_heat_counts_on_top_of_it():
    """A board that is too hot on half its power gets less."""
    looks = [Inputs(second, 79.5, is_working=True, under_voltage=True) for second in range(60)]
    last = told(Policy(), (), *looks)[-1]
    assert last.duty < 0.5
    assert last.reason == "to stay below 77 °C"
