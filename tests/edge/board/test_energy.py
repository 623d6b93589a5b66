"""Joules of answers against integrals that numpy and pencil find, and what is not told for want of samples."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from edge.board.energy import EnergyMeter
from edge.board.files import Files
from edge.board.mailbox import Mailbox
from edge.board.power import Counters, Pmic, Taken
from edge.board.wattmeter import QUIET_SECONDS, Wattmeter, fast_meters
from edge.testing import ScriptedFirmware, write_tree
from tests import boards

IDLE = 3.0


def quiet(meter, until=0.0):
    """A minute in which nothing runs, up to a moment."""
    for second in range(-60, 1, 5):
        meter.sample(until + second, IDLE)


def load(seconds):
    """Watts that rise, swing and fall."""
    return 8.0 + 2.0 * np.sin(np.asarray(seconds) / 3.0) + 0.02 * np.asarray(seconds)


def load_joules(start, end):
    """Its integral, by pencil."""
    swing = -6.0 * (math.cos(end / 3.0) - math.cos(start / 3.0))
    return 8.0 * (end - start) + swing + 0.01 * (end**2 - start**2)


def test_an_answer_against_numpy_and_pencil():
    """Twice a second, unevenly: equal to numpy's trapezoid to the last digit, and to the integral within 1 %."""
    meter, draw = EnergyMeter("SoC rails"), np.random.default_rng(7)
    quiet(meter)
    moments = np.sort(np.concatenate([[0.02], 0.02 + 0.5 * np.arange(1, 60) + draw.uniform(-0.1, 0.1, 59)]))
    meter.began(1, 0.01)
    for moment in moments:
        meter.sample(float(moment), float(load(moment)))
    end = float(moments[-1]) + 0.2
    found = meter.ended(1, end, tokens=60)
    assert found
    at = np.concatenate([[0.01], moments, [end]])
    watts = np.concatenate([[IDLE], load(moments), [load(moments[-1])]])
    assert found.gross_joules == pytest.approx(np.trapezoid(watts, at), rel=1e-9)
    assert found.gross_joules == pytest.approx(load_joules(0.01, end), rel=0.01)
    assert found.net_joules == pytest.approx(found.gross_joules - IDLE * (end - 0.01), rel=1e-9)
    assert (found.scope, found.samples, found.is_shared) == ("SoC rails", 60, False)
    assert found.coverage == pytest.approx(1 - 0.2 / (end - 0.01), abs=1e-9)
    assert found.longest_gap_seconds == pytest.approx(np.max(np.diff(np.concatenate([[0.01], moments, [end]]))))
    assert found.tokens == 60


def test_a_counter_of_joules():
    """What stands on it at the end less what stood at the beginning, whatever lies between."""
    meter = EnergyMeter("package")
    for second in range(-60, 1, 5):
        meter.count(second, 1000.0 + IDLE * (second + 60))
    base = 1000.0 + IDLE * 60
    meter.began(1, 0.1)
    moments = np.arange(0.2, 20.01, 0.2)
    for moment in moments:
        meter.count(float(moment), base + IDLE * 0.1 + load_joules(0.1, float(moment)))
    found = meter.ended(1, 20.05, tokens=10)
    assert found
    assert found.gross_joules == pytest.approx(load_joules(0.1, 20.05), rel=0.005)
    assert meter.idle_watts == pytest.approx(IDLE)


@pytest.mark.parametrize(
    ("moments", "end"),
    [
        ([0.3, 0.6], 0.62),
        ([0.1, 0.6, 1.1, 2.4, 2.9, 3.4], 3.5),
        ([0.1, 0.6, 1.1], 1.3),
        ([0.9, 1.4, 1.9, 2.4], 4.0),
        ([], 2.0),
    ],
    ids=["two samples", "a gap of over a second", "coverage", "an end that nobody saw", "none"],
)
def test_what_was_measured_too_little_is_not_told(moments, end):
    """Under three samples, a gap of over a second, under 90 % of its time: None, not a guess."""
    meter = EnergyMeter("module")
    quiet(meter)
    meter.began(1, 0.0)
    for moment in moments:
        meter.sample(moment, 8.0)
    assert meter.ended(1, end, tokens=5) is None


def test_without_a_quiet_time_there_is_no_net():
    """Gross alone, until nothing ran for ten seconds."""
    meter = EnergyMeter("module")
    meter.began(1, 0.0)
    for step in range(21):
        meter.sample(step / 2 + 0.001, 8.0)
    found = meter.ended(1, 10.1, tokens=5)
    assert found
    assert found.net_joules is None


def test_idle_is_that_of_the_last_quiet_minute():
    """What was an hour ago is forgotten, and what an answer took is not idle."""
    meter = EnergyMeter("module")
    for second in range(0, 3600, 5):
        meter.sample(second, 9.0)
    for second in range(3600, 3665, 5):
        meter.sample(second, 4.0)
    assert meter.idle_watts == pytest.approx(4.0, abs=0.25)
    meter.began(1, 3661.0)
    for step in range(40):
        meter.sample(3661.01 + step / 2, 30.0)
    meter.ended(1, 3681.0)
    meter.sample(3683.0, 4.0)
    meter.sample(3688.0, 4.0)
    assert meter.idle_watts == pytest.approx(4.0, abs=0.25)


def run_together(meter, rates, seconds=20.0, watts=10.0):
    """Answers that begin and end together, with so many tokens a step; their energies."""
    for number in rates:
        meter.began(number, 0.0)
    for step in range(1, int(seconds * 2) + 1):
        for number, rate in rates.items():
            meter.gained(number, rate)
        meter.sample(step / 2, watts)
    return {number: meter.ended(number, seconds + 0.001) for number in rates}


def test_answers_that_run_together_share_by_tokens():
    """Thrice the tokens, thrice the joules; all of it is somebody's, and each says that it is a share."""
    meter = EnergyMeter("module")
    quiet(meter, -0.001)
    found = run_together(meter, {1: 3, 2: 1})
    assert all(each and each.is_shared for each in found.values())
    assert found[1].gross_joules == pytest.approx(3 * found[2].gross_joules, rel=0.03)
    total = sum(each.gross_joules for each in found.values())
    assert total == pytest.approx(200.0, rel=0.02)
    assert sum(each.net_joules for each in found.values()) == pytest.approx(total - IDLE * 20, rel=0.02)
    assert (found[1].tokens, found[2].tokens) == (120, 40)


def test_each_moment_is_shared_by_its_own_tokens():
    """Who wrote while the board took little pays little, whatever both have written in all."""
    meter = EnergyMeter("module")
    for number in (1, 2):
        meter.began(number, 0.0)
    meter.sample(0.001, 10.0)
    for step in range(1, 41):
        is_early = step <= 20
        meter.gained(1, 10 if is_early else 1)
        meter.gained(2, 1 if is_early else 10)
        meter.sample(step / 2, 10.0 if is_early else 30.0)
    found = [meter.ended(number, 20.001) for number in (1, 2)]
    assert all(found)
    early, late = 10.0 * 10, 10.0 * 30
    assert found[0].gross_joules == pytest.approx(early * 10 / 11 + late / 11, rel=0.06)
    assert found[1].gross_joules == pytest.approx(early / 11 + late * 10 / 11, rel=0.06)


def test_a_counter_counts_nothing_twice():
    """Answers that end between two readings of it, one after the other: all together what it has counted."""
    meter, handed = EnergyMeter("package"), []
    for step in range(201):
        second = step * 0.2
        meter.count(second, 12.0 * second)
        if step % 20 == 10:
            if step > 10:
                handed.append(meter.ended(step - 20, second + 0.1))
            meter.began(step, second + 0.1)
    assert all(handed)
    total = sum(each.gross_joules for each in handed)
    assert total == pytest.approx(12.0 * (38.1 - 2.1), rel=1e-9)


def test_an_answer_that_comes_to_another():
    """Who is alone pays alone; together by tokens; a prompt that is read weighs as much as who writes."""
    meter = EnergyMeter("module")
    meter.sample(0.0, 10.0)
    meter.began(1, 0.0)
    for step in range(1, 41):
        meter.gained(1)
        if step == 21:
            meter.began(2, 10.0)
        meter.sample(step / 2, 10.0)
    first = meter.ended(1, 20.0)
    assert first is None or first.gross_joules == pytest.approx(150.0, rel=0.01)
    assert first
    for step in range(41, 61):
        meter.gained(2)
        meter.sample(step / 2, 10.0)
    second = meter.ended(2, 30.0)
    assert second
    assert second.gross_joules == pytest.approx(150.0, rel=0.01)
    assert (first.is_shared, second.is_shared) == (True, True)


def test_all_that_was_measured_is_somebodys():
    """Whatever begins and ends when: what is handed out is what numpy finds below the curve while anything ran."""
    meter, draw = EnergyMeter("module"), np.random.default_rng(3)
    times, watts = [0.0], [float(load(0.0))]
    meter.sample(times[0], watts[0])
    running, handed, number, ends = {0: 0}, [], 0, []
    meter.began(0, 0.0)
    for step in range(1, 400):
        moment = step / 2 - 0.2
        old = [each for each, began in running.items() if step - began > 8]
        if draw.random() < 0.2 and step < 380:
            number += 1
            meter.began(number, moment)
            running[number] = step
        elif draw.random() < 0.2 and len(running) > 1 and old:
            del running[old[0]]
            handed.append(meter.ended(old[0], moment, 1))
            ends.append(moment)
        for each in running:
            meter.gained(each, int(draw.integers(0, 3)))
        meter.sample(step / 2, float(load(step / 2)))
        times.append(step / 2)
        watts.append(float(load(step / 2)))
    handed += [meter.ended(each, 199.5, 1) for each in sorted(running)]
    assert len(ends) > 10
    assert all(handed)
    assert sum(each.gross_joules for each in handed) == pytest.approx(np.trapezoid(watts, times), rel=0.01)


class Steady:
    """A meter that answers at once."""

    period_seconds = 0.02

    def __init__(self, watts):
        self.watts, self.asked = watts, 0

    def take(self, files):
        """The same watts each time."""
        self.asked += 1
        return Taken(self.watts, "module")


def slowly():
    """A clock by which a busy machine's pauses are short."""
    return time.monotonic() / 100


def wait(what, seconds=10.0):
    """Return once it is so."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_the_thread_samples_fast_while_an_answer_runs(tmp_path):
    """Rarely before and after it, at once when it begins; joules are watts by its seconds."""
    steady = Steady(12.5)
    meter = Wattmeter([steady], tmp_path, clock=slowly)
    meter.start()
    wait(lambda: meter.is_ready)
    asked, before = steady.asked, slowly()
    meter.began(1)
    after = slowly()
    wait(lambda: steady.asked > asked + 20)
    sooner = slowly()
    found, later = meter.ended(1, tokens=4), slowly()
    meter.close()
    assert found
    assert 12.5 * (sooner - after) <= found.gross_joules * (1 + 1e-9)
    assert found.gross_joules <= 12.5 * (later - before) * (1 + 1e-9)
    assert (found.scope, found.tokens, found.net_joules, asked) == ("module", 4, None, 1)
    assert found.longest_gap_seconds < QUIET_SECONDS / 100


class Broken(Steady):
    """A meter that says at first what nobody foresaw."""

    def take(self, files):
        """Not before its third time."""
        if self.asked < 2:
            self.asked += 1
            raise ValueError("no watts")
        return super().take(files)


def test_a_meter_that_breaks_is_asked_again(tmp_path):
    """Its thread goes on."""
    meter = Wattmeter([Broken(12.5)], tmp_path)
    meter.start()
    for number in range(3):
        meter.began(number)
        time.sleep(0.05)
    wait(lambda: meter.is_ready)
    meter.close()


def test_a_board_that_measures_nothing_has_no_energy(tmp_path):
    """None of every answer."""
    meter = Wattmeter(fast_meters(Mailbox(ScriptedFirmware({}, {}))), tmp_path)
    meter.start()
    meter.began(1)
    meter.gained(1)
    assert meter.ended(1, 3) is None
    assert not meter.is_ready
    meter.close()


def test_the_meters_that_can_keep_up(tmp_path):
    """A Pi 5's chip and an x86 processor's counters give watts and joules; a Pi 4 nothing."""
    board = boards.plant("pi5", tmp_path / "pi5")
    taken = Pmic(Mailbox(board.firmware)).take(Files(board.root, board.read))
    assert taken
    assert taken.watts == 1.8985
    seconds = iter((0.0, 1.0))
    counters, zone = Counters(lambda: next(seconds)), "sys/class/powercap/intel-rapl:0"
    for count in ("5000000", "9000000"):
        tree = {f"{zone}/name": "package-0", f"{zone}/energy_uj": count, f"{zone}/max_energy_range_uj": "262143328850"}
        taken = counters.take(Files(write_tree(tmp_path / "pc", tree)))
    assert (taken.watts, taken.joules) == (4.0, 4.0)
