"""The role on a booted Debian without a network: from nothing to an answer, and then nothing more to change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.ansible_board import PASSWORDS, Site, site

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.nspawn,
    pytest.mark.checkout,
    pytest.mark.timeout(600),
    pytest.mark.skipif("RUN_ANSIBLE" not in os.environ, reason="minutes long: make ansible-test"),
]
CREDENTIAL = "/etc/edge-slm/credentials/broker_password"


@pytest.fixture(scope="module")
def board(bundle: Path, tmp_path_factory) -> Iterator[Site]:
    """One machine for all of these tests, which come in the order of its life."""
    with site(tmp_path_factory.mktemp("site"), bundle) as made:
        yield made


def test_a_look_ahead_changes_nothing(board: Site):
    """Check mode on a machine that has nothing of ours yet goes to its end, and leaves it so."""
    played = board.play("--check")
    assert (played.status, played.failed) == (0, set()), played.output
    board.machine.run("sh", "-c", "! test -e /usr/bin/edge -o -e /etc/edge-slm -o -e /etc/mosquitto/edge.acl")


def test_from_nothing_to_an_answer(board: Site):
    """Package, settings, credential, limits, broker with logins, bundle: then it answers who may ask."""
    played = board.play()
    assert (played.status, played.failed) == (0, set()), played.output
    assert "Paris" in board.answer()
    assert board.machine.show("ActiveState") == "active"
    assert (
        board.machine.run("systemctl", "is-enabled", "edge", "mosquitto", "edge-clock.socket").split()
        == ["enabled"] * 3
    )
    assert int(board.machine.show("MemoryMax")) > 0
    board.machine.run("sh", "-c", "! mosquitto_pub -h 127.0.0.1 -t edge/board/request/x -m x 2> /dev/null")


def test_a_second_run_changes_nothing(board: Site):
    """Neither does a look ahead; daemon and broker are those that ran before, and no password is printed."""
    before = board.started("edge.service"), board.started("mosquitto.service")
    for options in (("-v", "--diff"), ("--check",)):
        played = board.play(*options)
        assert (played.status, played.failed, played.changed) == (0, set(), 0), played.output
        assert PASSWORDS["board"] not in played.output
    assert (board.started("edge.service"), board.started("mosquitto.service")) == before


def test_the_password_is_roots_alone(board: Site):
    """In the file, and nowhere in what systemd tells."""
    assert board.machine.run("stat", "--format=%a %U", CREDENTIAL) == "600 root"
    assert PASSWORDS["board"] not in board.machine.run("systemctl", "show", "edge")


def test_settings_that_cannot_be_are_not_laid_down(board: Site):
    """The daemon's own words, the file as it was, and it goes on answering."""
    before = board.machine.run("cat", "/etc/edge-slm/edge.toml")
    played = board.play(limits={"queue_lenght": 3})
    assert played.failed == {"board"}
    assert "queue_lenght" in played.output
    assert board.machine.run("cat", "/etc/edge-slm/edge.toml") == before
    assert "Paris" in board.answer()


def test_what_changes_is_started_anew_and_nothing_else(board: Site):
    """A setting of the daemon leaves the broker alone."""
    before = board.started("edge.service"), board.started("mosquitto.service")
    played = board.play(limits={"queue_length": 7})
    assert (played.status, played.changed) == (0, 2), played.output
    assert board.started("edge.service") != before[0]
    assert board.started("mosquitto.service") == before[1]
    assert "Paris" in board.answer()
