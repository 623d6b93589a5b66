"""The ladder: each rung takes less power than the one above, in the order of what it costs."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edge.governor import Levers, ThreadCount
from edge.governor.levers import Rung, ladder
from tests.thermal_model import PI_CLOCKS

LADDERS = {
    "nothing to move": Levers(),
    "clocks": Levers(PI_CLOCKS),
    "clocks in disorder, some twice": Levers((*reversed(PI_CLOCKS), *PI_CLOCKS)),
    "threads": Levers(threads={4: ThreadCount(1, 1), 3: ThreadCount(0.98, 0.85)}),
    "all": Levers(PI_CLOCKS, {4: ThreadCount(1, 1), 3: ThreadCount(0.98, 0.85), 2: ThreadCount(0.96, 0.7)}),
}


@pytest.mark.parametrize("levers", LADDERS.values(), ids=list(LADDERS))
def test_each_rung_takes_less_power(levers: Levers):
    """From the first, which does nothing, to the least that the engine may work."""
    rungs = ladder(levers, 0.1)
    assert rungs[0] == Rung()
    assert all(above.power > below.power for above, below in pairwise(rungs))
    assert rungs[-1].duty == 0.1


def test_clocks_then_threads_then_pauses():
    """A rung keeps what the ones above it have done."""
    rungs = ladder(LADDERS["all"], 0.5)
    kinds = ["pause" if each.duty < 1 else "threads" if each.threads else "clock" for each in rungs[1:]]
    assert list(dict.fromkeys(kinds)) == ["clock", "threads", "pause"]
    assert rungs[-1] == Rung(rungs[-1].power, min(PI_CLOCKS), 2, 0.5)


def test_clocks_below_half_are_left_alone():
    """There, an answer waits for the clock as well."""
    clocks = (200_000_000, 800_000_000, 1_600_000_000, 2_000_000_000)
    assert {each.clock_cap_hertz for each in ladder(Levers(clocks), 1)} == {None, 1_600_000_000}


@pytest.mark.parametrize(
    "found",
    [
        ThreadCount(0.94, 0.5),  # costs more than a twentieth
        ThreadCount(0.97, 0.98),  # saves less than it costs
    ],
)
def test_threads_that_cost_too_much_are_kept(found: ThreadCount):
    """Whatever they save."""
    assert all(each.threads is None for each in ladder(Levers(threads={3: found}), 0.1))


def test_a_clock_sheds_power_by_f_times_v_squared():
    """A Pi 5's table: 0.43 of the power at 1500 of 2400 MHz, 0.73 at 2000 (decision 39)."""
    power = {each.clock_cap_hertz: each.power for each in ladder(Levers(PI_CLOCKS), 1)}
    assert power[1_500_000_000] == pytest.approx(0.43, abs=0.03)
    assert power[2_000_000_000] == pytest.approx(0.73, abs=0.03)
