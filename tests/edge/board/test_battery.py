"""Batteries: units and signs learned, gauges that are stuck, Termux:API as a real program."""

from __future__ import annotations

import json

import pytest

from edge.board.battery import Battery, Gauge
from edge.board.files import Absent, Files
from edge.board.program import Program
from edge.board.termux import PATH, Termux, parse
from edge.testing import write_tree
from tests.edge.board.test_throttling import Clock

BAT0 = "sys/class/power_supply/BAT0"
PRINTS = {  # prints as phones have them, and what is to be read of them
    '{"health":"GOOD","percentage":96,"plugged":"PLUGGED_AC","status":"CHARGING","temperature":24.600000381469727,'
    '"current":-252}': (96.0, True, 24.6, -252),
    '{"percentage":80,"plugged":"UNPLUGGED","status":"DISCHARGING","temperature":30.0,"current":-394}': (
        80.0,
        False,
        30.0,
        -394,
    ),
    '{"health":"UNKNOWN","temperature":0.0,"status":"UNKNOWN"}': (None, None, None, None),
    '{"percentage":400,"status":7,"temperature":"hot","current":true}': (None, None, None, None),
}


def battery(folder=BAT0, **files):
    """A tree with one."""
    return {f"{folder}/type": "Battery", **{f"{folder}/{name}": text for name, text in files.items()}}


def read(root, tree, source=None):
    """A look at a tree."""
    files = Files(write_tree(root, tree))
    return (source or Battery(Clock())).read(files), files


def amperes(gauge, *pairs):
    """What a gauge makes of readings with their statuses."""
    return [gauge.amperes(raw, status) for status, raw in pairs]


def test_a_laptop(tmp_path):
    """Watts over volts are amperes; a mouse's battery, and a bay without one, are not the board's."""
    mouse = battery("sys/class/power_supply/AAA", scope="Device", capacity="5")
    bay = battery("sys/class/power_supply/AAB", present="0")
    tree = battery(status="Discharging", capacity="81", power_now="5002000", voltage_now="11400000", present="1")
    found, files = read(tmp_path, mouse | bay | tree)
    assert found == {
        "level_percent": 81.0,
        "is_charging": False,
        "status": "discharging",
        "celsius": None,
        "volts": 11.4,
        "amperes": -0.4388,
    }
    assert files.failed == {}


def test_an_ups_and_what_cannot_be(tmp_path):
    """An UPS counts; a level of 255 %, a heat of 6553 °C and a status of nobody's are not numbers."""
    tree = battery(status="Unknown", capacity="255", temp="65535", voltage_now="3700")
    found, files = read(tmp_path, tree | {f"{BAT0}/type": "UPS"})
    assert found == {**dict.fromkeys(found), "volts": 3.7}
    assert set(files.failed) == {f"{BAT0}/capacity", f"{BAT0}/temp"}


@pytest.mark.parametrize(
    ("charging", "discharging"), [(326_171, -411_000), (-326_171, 411_000), (326_171, 411_000), (-252_000, -394_000)]
)
def test_the_sign_is_right_whatever_the_driver_means(charging, discharging):
    """By the ABI, the other way round, always positive, always negative: discharging is below zero."""
    gauge = Gauge(Clock())
    pairs = [("charging", charging), ("discharging", discharging)] * 3
    assert [value > 0 for value in amperes(gauge, *pairs)] == [True, False] * 3


def test_a_learned_sign_goes_over_the_status():
    """On the charger, and yet more goes out than in: known once both sides were seen."""
    gauge = Gauge(Clock())
    assert gauge.amperes(50_000, "not charging") is None
    amperes(gauge, *[("charging", -300_000), ("discharging", 400_000)] * 3)
    assert gauge.amperes(50_000, "not charging") == -0.05
    assert gauge.amperes(200_000, "charging") == -0.2


def test_the_unit_is_told_by_the_size():
    """A phone at work takes more than 20 mA: a few hundred are milliamperes, once five readings agree."""
    gauge = Gauge(Clock())
    assert amperes(gauge, *[("discharging", 394 + step) for step in range(5)]) == [None] * 4 + [-0.398]
    assert Gauge(Clock()).amperes(394_000, "discharging") == -0.394
    micro = Gauge(Clock())
    amperes(micro, *[("discharging", 394_000 + step) for step in range(5)])
    assert micro.amperes(976, "charging") == 0.001


@pytest.mark.parametrize("raw", [0, 412_000])
def test_a_gauge_that_does_not_move(tmp_path, raw):
    """The same to the last digit for over five minutes of discharging is a failure, and on the charger it is none."""
    clock = Clock()
    source, tree = Battery(clock), battery(status="Discharging", current_now=str(raw))
    for step in range(32):
        found, files = read(tmp_path, tree, source)
        assert bool(files.failed) is (step == 31)
        clock.seconds += 10
    assert found["amperes"] is None
    assert "5 minutes" in files.failed[f"{BAT0}/current_now"]
    _, files = read(tmp_path, {**tree, f"{BAT0}/status": "Full"}, source)
    assert files.failed == {}


@pytest.mark.parametrize("text", PRINTS)
def test_termux_prints(text):
    """Level, charging, heat, and the current as it is counted; what is no number is none."""
    found = parse(text)
    assert (found["level_percent"], found["is_charging"], found["celsius"], found["raw"]) == PRINTS[text]


def test_termux_is_a_slow_program(tmp_path):
    """It is called once a minute at most, its milliamperes are told so, and what goes wrong is told."""
    script = tmp_path / "termux-battery-status"
    script.write_text(f"#!/bin/sh\necho '{json.dumps({'status': 'DISCHARGING', 'percentage': 80, 'current': -394})}'\n")
    script.chmod(0o755)
    source = Battery(Clock(), Termux(Program([str(script)])))
    for _ in range(5):
        found, _ = read(tmp_path, {}, source)
    assert (found["amperes"], found["level_percent"], source.period_seconds) == (-0.394, 80.0, 60.0)
    script.write_text("#!/bin/sh\necho '[]'\n")
    files = Files(tmp_path)
    assert set(source.read(files).values()) == {None}
    assert "no object" in files.failed[PATH]


def test_no_battery(tmp_path):
    """A mains supply alone is none."""
    with pytest.raises(Absent):
        read(tmp_path, {"sys/class/power_supply/AC/type": "Mains", "sys/class/power_supply/AC/online": "1"})
