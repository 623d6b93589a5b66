"""Rollouts by Ansible over six boards at a real broker: bundles that are good, bad, and kept by the board alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.fleet_of_boards import NAMES, Fleet, fleet

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.mosquitto,
    pytest.mark.checkout,
    pytest.mark.skipif("RUN_ANSIBLE" not in os.environ, reason="minutes long: make ansible-test"),
]
ALL_AT = {version: dict.fromkeys(NAMES, version) for version in "12"}


PICKY = {"board-2": {"EDGE_STORE__SIGNERS": "/dev/null"}}
"""A board that takes nothing, since nobody is to have signed it."""


@pytest.fixture(scope="module")
def boards(tmp_path_factory) -> Iterator[Fleet]:
    """Six of them, at version 1, for all of these tests, which come in the order of their life."""
    with fleet(tmp_path_factory.mktemp("fleet"), PICKY) as running:
        yield running


def states(told: dict[str, dict[str, Any]]) -> list[str]:
    """What became of each board, in the order of their names."""
    return [told[name]["state"] for name in NAMES]


def test_a_look_ahead_asks_nobody(boards: Fleet):
    """Check mode says who would be asked, and leaves no wish."""
    played, told = boards.rollout("2", "--check")
    assert (played.status, played.changed) == (0, 0), played.output
    assert states(told) == ["planned"] * 6
    assert boards.wishes() == {}


def test_a_bad_bundle_ends_in_the_first_wave(boards: Fleet):
    """It is signed, and answers wrongly: its board goes back by itself, and no later one was asked."""
    played, told = boards.rollout("3")
    assert (played.status, played.failed) == (2, {"board-1"}), played.output
    assert states(told) == ["rolled_back", *["untouched"] * 5]
    assert "'a bad one'" in told["board-1"]["why"]
    assert boards.runs() == ALL_AT["1"]
    assert boards.wishes() == {"board-1": "1"}


def test_what_a_board_keeps_but_its_operator_does_not_is_put_back(boards: Fleet):
    """Slow where the board has no floor, and without the word that the operator wants to hear."""
    played, told = boards.rollout("4", rollout_golden=[{"prompt": "Are you?", "contains": "polite"}])
    assert (played.status, played.failed) == (2, {"board-1"}), played.output
    assert states(told) == ["put_back", *["untouched"] * 5]
    assert "tokens a second, of 200 before" in told["board-1"]["why"]
    assert "without 'polite'" in told["board-1"]["why"]
    assert boards.runs() == ALL_AT["1"]


def test_a_wave_goes_back_whole_and_the_one_before_it_stays(boards: Fleet):
    """One board of the second does not keep it; the other had kept it."""
    played, told = boards.rollout("2")
    assert (played.status, played.failed) == (2, {"board-2", "board-3"}), played.output
    assert states(told) == ["kept", "rolled_back", "put_back", *["untouched"] * 3]
    assert boards.runs() == ALL_AT["1"] | {"board-1": "2"}
    assert boards.wishes() == {"board-1": "2", "board-2": "1", "board-3": "1"}


def test_a_good_bundle_gets_through_and_is_not_asked_for_again(boards: Fleet):
    """Boards that have it are passed, one that is away is told; the next time nothing but that one changes."""
    boards.start("board-2")
    boards.stop("board-6")
    played, told = boards.rollout("2")
    assert (played.status, played.failed) == (2, {"board-6"}), played.output
    assert states(told) == ["there", *["kept"] * 4, "away"]
    boards.start("board-6")
    boards.wait_online()
    played, told = boards.rollout("2")
    assert (played.status, played.changed) == (0, 1), played.output
    assert states(told) == [*["there"] * 5, "kept"]
    assert boards.runs() == boards.wishes() == ALL_AT["2"]
