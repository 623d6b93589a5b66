"""A shortage of memory: worse at once, better by a rung a minute."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edge.governor import PRESETS, Decision, Governor, Inputs, Policy


def told(*looks: dict, policy: Policy | None = None) -> list[Decision]:
    """Decisions, a look a second."""
    governor = Governor(PRESETS["unknown"], policy or Policy())
    return [governor.step(Inputs(second, 40.0, **look)) for second, look in enumerate(looks)]


@pytest.mark.parametrize(
    ("look", "rung"),
    [
        ({}, "enough"),
        ({"memory_some_percent": 10, "memory_full_percent": 10, "memory_available_ratio": 0.12}, "enough"),
        ({"memory_some_percent": 11}, "give back"),
        ({"memory_available_ratio": 0.11}, "give back"),
        ({"memory_some_percent": 21}, "short only"),
        ({"memory_available_ratio": 0.09}, "short only"),
        ({"memory_some_percent": 41}, "refuse"),
        ({"memory_full_percent": 11}, "refuse"),
        ({"memory_available_ratio": 0.04}, "refuse"),
        ({"memory_some_percent": 0, "memory_available_ratio": 0.09}, "short only"),
    ],
)
def test_each_rung_has_its_threshold(look: dict, rung: str):
    """What is not known asks for nothing; the worst of what is known counts. The speed stays as it is."""
    (decision,) = told(look)
    assert decision.memory == rung
    assert (decision.state, decision.duty) == ("free", 1.0)
    assert bool(decision.reason) == (rung != "enough")
    assert bool(decision.refuses) == (rung == "refuse")


def test_rungs_are_below_what_others_kill_at():
    """systemd-oomd kills at 60 % for 30 s: by then, an idle engine has been unloaded."""
    decisions = told(*[{"memory_some_percent": 45}] * 40)
    assert [each.memory for each in decisions] == ["refuse"] * 30 + ["unload"] * 10


@pytest.mark.parametrize("busy", ["is_working", "is_asked"])
def test_an_engine_that_is_wanted_is_not_unloaded(busy: str):
    """What runs or waits is finished first."""
    decisions = told(*[{"memory_some_percent": 45, busy: True}] * 100, {"memory_some_percent": 45})
    assert {each.memory for each in decisions[:-1]} == {"refuse"}
    assert decisions[-1].memory == "unload"


def test_it_gets_better_by_a_rung_a_minute():
    """So that a model which is loaded again is not what makes memory short again, at once."""
    decisions = told(*[{"memory_some_percent": 45}] * 40, *[{"memory_some_percent": 0}] * 300)
    changes = [place for place in range(1, 340) if decisions[place].memory != decisions[place - 1].memory]
    assert [decisions[place].memory for place in changes] == ["unload", "refuse", "short only", "give back", "enough"]
    assert all(later - sooner >= 60 for sooner, later in pairwise(changes))


def test_at_a_threshold_it_does_not_flicker():
    """A rung is left at less pressure than it was entered at."""
    decisions = told(*[{"memory_some_percent": 21 if second % 2 else 19} for second in range(600)])
    assert {each.memory for each in decisions[1:]} == {"short only"}


def test_the_operator_may_leave_memory_to_others():
    """`governor.memory = false`."""
    assert told({"memory_some_percent": 99, "memory_full_percent": 99}, policy=Policy(memory=False))[0].is_neutral


@pytest.mark.parametrize(
    ("usual", "available", "rung"),
    [
        (0.6, 0.11, "give back"),
        (0.6, 0.04, "refuse"),
        (0.08, 0.08, "enough"),
        (0.08, 0.05, "enough"),
        (0.08, 0.045, "give back"),
        (0.08, 0.035, "short only"),
        (0.08, 0.019, "refuse"),
        (0.03, 0.03, "enough"),
    ],
)
def test_what_a_model_takes_for_good_is_no_shortage(usual: float, available: float, rung: str):
    """On a board that it fills the marks are shares of what is left beside it, and never higher than elsewhere."""
    (decision,) = told({"memory_usual_ratio": usual, "memory_available_ratio": available})
    assert decision.memory == rung


def test_a_full_board_gets_well_again():
    """From every rung, back to what it usually has."""
    for worst in (0.04, 0.035, 0.01):
        decisions = told(
            {"memory_usual_ratio": 0.08, "memory_available_ratio": worst},
            *[{"memory_usual_ratio": 0.08, "memory_available_ratio": 0.075}] * 300,
        )
        assert decisions[0].memory != "enough"
        assert decisions[-1].memory == "enough"
