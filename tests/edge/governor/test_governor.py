"""The governor's promises: nothing where there is headroom, full speed where it is blind, down before it is hot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from edge.config import Governor as Section
from edge.config.sections import BoardPreset
from edge.governor import PRESETS, Decision, Governor, Inputs, Levers, Policy, preset_for
from edge.governor.heat import DWELL_SECONDS
from edge.wire import telemetry
from tests.thermal_model import PI_CLOCKS

PI = PRESETS["raspberry-pi-5"]


def pi(policy: Policy | None = None, clocks: tuple[int, ...] = PI_CLOCKS) -> Governor:
    """A bare Raspberry Pi 5's."""
    return Governor(PI, policy or Policy(), Levers(clocks))


def told(governor: Governor, temperatures: Iterable[float | None], start: int = 0, **inputs) -> list[Decision]:
    """Its decisions on a working engine, a reading a second."""
    return [
        governor.step(Inputs(second, celsius, **{"is_working": True, **inputs}))
        for second, celsius in enumerate(temperatures, start)
    ]


def rising(start: float, slope: float, seconds: int) -> list[float]:
    """Readings that rise by so much a second."""
    return [start + slope * second for second in range(seconds)]


# --- what can be set, what is said ---


def test_the_policy_and_its_settings_have_the_same_defaults():
    """Each rule is a setting of its name, and every row of presets can be named."""
    own, section = asdict(Policy()), Section().model_dump()
    assert section.pop("preset") is None
    assert own == section
    assert get_args(BoardPreset) == tuple(PRESETS)


@pytest.mark.parametrize("celsius", [50.0, 79.0, None])
def test_a_decision_is_what_telemetry_tells(celsius: float | None):
    """Its body has the fields of telemetry's governor, and no others."""
    body = told(pi(), [celsius] * 40)[-1].body()
    assert telemetry.Governor.model_validate(body).model_dump() == body


def test_one_that_is_off_does_nothing():
    """Not even at the limit, on an empty battery."""
    governor = pi(Policy(enabled=False))
    decisions = told(governor, rising(70, 1, 20), under_voltage=True, battery_percent=1, memory_some_percent=99)
    assert set(decisions) == {Decision(state="off")}


@pytest.mark.parametrize(
    ("kind", "has_fan", "name"),
    [
        ("raspberry-pi-5", False, "raspberry-pi-5"),
        ("raspberry-pi-5", True, "raspberry-pi-5-cooler"),
        ("raspberry-pi-4", True, "raspberry-pi-4"),
        ("raspberry-pi-3", False, "raspberry-pi-4"),
        ("jetson-orin-nano", True, "jetson-orin-nano"),
        ("jetson-agx-orin", True, "jetson-orin-nano"),
        ("rk3588", False, "rk3588"),
        ("x86", True, "x86"),
        ("toaster", False, "unknown"),
        (None, False, "unknown"),
    ],
)
def test_every_board_has_a_row(kind: str | None, has_fan: bool, name: str):
    """Its own, one of its family, or that of the unknown."""
    assert preset_for(kind, has_fan) == name


def test_a_pi_is_held_to_its_firmware_and_others_to_their_trips():
    """A Pi's only trip is its critical one or a fan's; an operator's limit goes over both."""
    orin = PRESETS["jetson-orin-nano"]
    assert PI.limit(110) == 80
    assert (orin.limit(99), orin.limit(None)) == (99, 95)
    decision = Governor(orin, Policy(limit_celsius=70, margin_celsius=1)).step(Inputs(0, 40, trip_celsius=99))
    assert decision.limit_celsius == 69


# --- with headroom, nothing ---


@settings(max_examples=60)
@given(
    name=some.sampled_from(sorted(PRESETS)),
    celsius=some.lists(some.one_of(some.none(), some.floats(20, 76), some.floats(-45, 200)), min_size=1, max_size=120),
    steps=some.lists(some.floats(0.2, 30), min_size=1, max_size=10),
    working=some.lists(some.booleans(), min_size=1, max_size=7),
)
def test_with_headroom_every_decision_is_the_neutral_one(name, celsius, steps, working):
    """As long as no forecast at full speed has been above what is to be kept, whatever is read, at whatever pace.

    What is forecast at full speed says one beside it that has no lever to move.
    """
    governor, watcher = (
        Governor(PRESETS[name], Policy(), Levers(PI_CLOCKS)),
        Governor(PRESETS[name], Policy(duty_min=1)),
    )
    now = 0.0
    for place, each in enumerate(celsius):
        now += steps[place % len(steps)]
        inputs = Inputs(now, each, is_working=working[place % len(working)])
        headroom, decision = watcher.step(inputs).headroom_celsius, governor.step(inputs)
        if inputs.is_working and headroom is not None and headroom < 0.1:
            return
        assert decision.is_neutral
        assert decision.state == ("blind" if headroom is None else "free")


def test_one_that_is_cool_says_what_is_left():
    """Headroom, forecast and limit are told; there is no reason to tell."""
    decision = told(pi(), [50.0] * 60)[-1]
    assert (decision.state, decision.reason, decision.limit_celsius) == ("free", "", 77)
    assert decision.forecast_celsius is not None
    assert decision.headroom_celsius == pytest.approx(77 - decision.forecast_celsius, abs=0.11)


# --- without ---


def test_it_acts_before_the_limit():
    """A board that gets warmer by a degree in five seconds is slowed while it is still cooler than what is kept."""
    temperatures = rising(60, 0.2, 90)
    decisions = told(pi(), temperatures)
    first = next(place for place, each in enumerate(decisions) if each.state == "slowed")
    assert temperatures[first] < 77
    assert decisions[first].reason == "to stay below 77 °C"


def test_clocks_come_first_and_pauses_last():
    """Without a pause as long as a clock is left; then pauses at the lowest clock."""
    decisions = [each for each in told(pi(), rising(70, 0.2, 300)) if each.state == "slowed"]
    caps = [each.clock_cap_hertz or 0 for each in decisions]
    assert caps == sorted(caps, reverse=True)
    assert all(each.duty == 1 for each in decisions if each.clock_cap_hertz != min(PI_CLOCKS))
    assert decisions[-1].duty < 1


def test_it_never_stops_altogether():
    """Far too hot, the engine still works a tenth of the time, or what the operator says."""
    assert told(pi(), [100.0] * 100)[-1].duty == 0.1
    assert told(pi(Policy(duty_min=0.4)), [100.0] * 100)[-1].duty == 0.4


def test_without_clocks_it_pauses():
    """Where nobody may set one."""
    last = told(pi(clocks=()), rising(70, 0.1, 100))[-1]
    assert last.clock_cap_hertz is None
    assert 0.1 <= last.duty < 1


def test_a_board_that_rests_is_not_slowed():
    """However warm: something else heats it, and nobody waits for an answer."""
    assert all(each.is_neutral for each in told(pi(), [79.0] * 100, is_working=False))


def test_once_it_is_cool_it_is_let_go_after_the_dwell():
    """Not before, then step by step, and altogether."""
    governor = pi()
    hot = told(governor, [78.0] * 30)
    assert hot[-1].state == "slowed"
    cool = told(governor, [50.0] * 900, start=30)
    power = [(each.clock_cap_hertz or max(PI_CLOCKS)) * each.duty for each in cool]
    assert power[: int(DWELL_SECONDS) - 30] == [power[0]] * (int(DWELL_SECONDS) - 30)
    assert power == sorted(power)
    assert cool[-1].is_neutral


def test_it_is_let_go_a_few_degrees_lower_than_it_was_held():
    """A board that would settle just below what is kept stays on the rung that keeps it there."""
    governor = pi()
    told(governor, [77.5] * 30)
    assert told(governor, [75.5] * 600, start=30)[-1].state == "slowed"


def test_a_single_wild_reading_is_none():
    """A sensor's slip to 120 °C in between changes nothing."""
    temperatures = [60.0] * 60
    temperatures[40] = 120.0
    assert all(each.is_neutral for each in told(pi(), temperatures))


# --- inputs that fail ---


def test_a_reading_that_is_missed_changes_nothing():
    """For ten seconds the last line is believed; a clock that went up and down for each would be worse."""
    governor = pi()
    told(governor, [78.0] * 30)
    before = told(governor, [78.0], start=30)[0]
    assert [
        each.body() | {"forecast_celsius": 0, "headroom_celsius": 0} for each in told(governor, [None] * 9, start=31)
    ] == [before.body() | {"forecast_celsius": 0, "headroom_celsius": 0}] * 9


@pytest.mark.parametrize("broken", [None, -274.0, 4294967.295, float("nan")])
def test_without_a_temperature_it_is_blind_and_at_full_speed(broken: float | None):
    """Nothing read, or what no board is: the engine runs as without a governor, and the reason says so."""
    governor = pi()
    assert told(governor, [78.0] * 30)[-1].state == "slowed"
    last = told(governor, [broken] * 30, start=30)[-1]
    assert last == Decision(state="blind", reason="no temperature is known", limit_celsius=77)
    assert last.is_neutral


def test_a_clock_that_goes_back_or_jumps_tells_no_slope():
    """What was seen before a gap of an hour, or after a step back, makes no forecast."""
    for jump in (3600, -500):
        governor = pi()
        told(governor, [50.0] * 60, start=1000)
        assert all(each.is_neutral for each in told(governor, [66.0] * 5, start=1060 + jump))


def test_the_same_inputs_give_the_same_decisions():
    """It has no clock and no chance of its own."""
    temperatures = [70 + (place * 7919 % 101) / 10 for place in range(300)]
    assert told(pi(), temperatures) == told(pi(), temperatures)
