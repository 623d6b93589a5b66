"""Three boards and one queue: drained, killed, heated, filled, stopped; nothing is lost or refused needlessly."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from edge.service.fleet import HEIRS_MAX
from tests import boards
from tests.conftest import wait_until
from tests.fleet import NAMES, hall, pace

pytestmark = pytest.mark.mosquitto
SLOW = ("--pieces=10", "--pause-seconds=0.03")


def names(count: int, prefix: str = "q") -> list[str]:
    """Requests' ids, which are their prompts, too."""
    return [f"{prefix}{number}" for number in range(count)]


@pytest.mark.slow
def test_a_drained_board_leaves_hands_on_and_comes_back(tmp_path):
    """What waits at it goes to the others, nothing new comes to it, and it takes its share again when told."""
    with hall(tmp_path, options=SLOW) as it:
        for name in names(30):
            it.asker.ask(name)
        it.asker.command("left", "drain")
        wait_until(lambda: it.asker.is_member("left", is_joined=False, reason="drained"))
        it.asker.wait_answered(30)
        before = len(it.boards["left"].asked())
        assert before < 10  # of its share some were waiting, and were handed on
        pace(it.asker, names(12, "while"), 0.02)
        it.asker.wait_answered(42)
        assert len(it.boards["left"].asked()) == before
        it.asker.command("left", "resume")
        wait_until(lambda: it.asker.is_member("left", is_joined=True, accepts=True))
        pace(it.asker, names(12, "after"), 0.02)
        it.asker.wait_answered(54)
        assert len(it.boards["left"].asked()) > before
        assert (it.asker.codes, it.asker.told_twice) == ({200: 54}, 0)
        assert set(it.asked().values()) == {1}


@pytest.mark.slow
def test_a_killed_board_that_comes_back_goes_on(tmp_path):
    """Under its own name it finds what it had, and no other took its place meanwhile."""
    with hall(tmp_path, options=SLOW, EDGE_LIMITS__INHERIT_SECONDS="30") as it:
        for name in names(30):
            it.asker.ask(name)
        wait_until(lambda: len(it.asker.answers) > 5)
        it.boards["left"].kill()
        it.asker.wait_answered(30)
        assert it.asker.codes.keys() == {200}
        assert it.boards["left"].asked()


@pytest.mark.slow
def test_a_board_killed_for_good_has_heirs(tmp_path):
    """What it had in hand, and what the broker gave its session until it was missed, the others answer."""
    with hall(tmp_path, options=SLOW) as it:
        for name in names(30):
            it.asker.ask(name)
        wait_until(lambda: len(it.asker.answers) > 5)
        it.boards["left"].end()
        pace(it.asker, names(30, "late"), 0.05)
        it.asker.wait_answered(60)
        assert it.asker.codes.keys() == {200}
        assert it.asker.is_member("left", reason="inherited")
        kept = set(it.boards["left"].asked())
        it.boards["left"].start()
        wait_until(lambda: it.asker.is_member("left", is_joined=True, accepts=True))
        time.sleep(1)
        assert set(it.boards["left"].asked()) == kept  # its journal's open requests are the heirs' now
        pace(it.asker, names(6, "again"), 0.02)
        it.asker.wait_answered(66)


def test_what_is_said_of_boards_that_never_were(tmp_path):
    """However many are said to be gone: their places are taken few at a time, and of names that none can have never."""
    offline = {"accepts": False, "is_joined": False, "reason": "offline"}
    ghosts, odd = [f"ghost{number}" for number in range(20)], ["", "a b", "x" * 5000, "ü"]
    with hall(tmp_path, names=NAMES[:1], EDGE_LIMITS__INHERIT_SECONDS="1") as it:
        for name in [*odd, *ghosts]:
            it.asker.say_of(name, offline)
        at_once = 0
        while not all(it.asker.is_member(name, reason="gone") for name in ghosts):
            at_once = max(at_once, sum(each.get("reason") == "inheriting" for each in it.asker.members.values()))
            time.sleep(0.01)
        assert 0 < at_once <= HEIRS_MAX
        assert all(it.asker.is_member(name, reason="offline") for name in odd)
        it.asker.ask("q")
        it.asker.wait_answered(1)


@pytest.mark.slow
def test_two_of_three_killed_for_good(tmp_path):
    """One after the other is inherited by who is left."""
    with hall(tmp_path, options=SLOW) as it:
        pace(it.asker, names(24), 0.01)
        it.boards["left"].end()
        it.boards["right"].end()
        pace(it.asker, names(24, "late"), 0.05)
        it.asker.wait_answered(48)
        assert it.asker.codes.keys() == {200}


@pytest.mark.slow
def test_a_stopped_board_refuses_nobody(tmp_path):
    """SIGTERM: what runs is answered, what waits is handed on, nothing is told 503."""
    with hall(tmp_path, options=SLOW) as it:
        for name in names(30):
            it.asker.ask(name)
        it.boards["left"].end(signal.SIGTERM)
        it.asker.wait_answered(30)
        assert (it.asker.codes, it.asker.told_twice) == ({200: 30}, 0)
        pace(it.asker, names(12, "late"), 0.02)
        it.asker.wait_answered(42)


@pytest.mark.slow
def test_a_hot_board_leaves_until_it_is_cool(tmp_path):
    """At the limit of its governor it takes no more; the others answer; cool again it comes back."""
    planted = boards.plant("vm", tmp_path / "board")
    zone = planted.root / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    temperature = zone / "temp"
    temperature.write_text("40000\n")
    own = {"left": {"EDGE_TELEMETRY__ROOT": str(planted.root), "EDGE_GOVERNOR__LIMIT_CELSIUS": "80"}}
    with hall(tmp_path, options=("--pieces=20", "--pause-seconds=0.05"), own=own) as it:
        temperature.write_text("95000\n")
        asked = 0
        until = time.monotonic() + 120
        while not it.asker.is_member("left", is_joined=False, reason="hot"):
            assert time.monotonic() < until
            it.asker.ask(f"warm{asked}")  # a board that does nothing is not slowed
            asked += 1
            time.sleep(0.4)
        it.asker.wait_answered(asked)
        before = len(it.boards["left"].asked())
        pace(it.asker, names(12), 0.02)
        it.asker.wait_answered(asked + 12)
        assert len(it.boards["left"].asked()) == before
        temperature.write_text("40000\n")
        wait_until(lambda: it.asker.is_member("left", is_joined=True, accepts=True), 120)
        assert it.asker.codes == {200: asked + 12}


@pytest.mark.slow
def test_a_full_board_hands_on(tmp_path):
    """Its own askers fill it: the fleet's requests go to the others and none is refused."""
    with hall(tmp_path, options=SLOW, EDGE_LIMITS__QUEUE_LENGTH="4") as it:
        for name in names(4, "own"):
            it.asker.ask(name, to="left")
        pace(it.asker, names(10), 0.15)
        it.asker.wait_answered(14)
        assert it.asker.codes == {200: 14}
        wait_until(lambda: it.asker.is_member("left", accepts=True, is_joined=True))


def test_a_board_that_cannot_write_hands_on(tmp_path):
    """What one board's disk has no room for, another's has: it is refused only where no board takes it."""
    own = {"left": {"EDGE_JOURNAL__MAX_BYTES": str(1 << 20)}}
    large = {"prompt": "x" * 1_500_000}
    with hall(tmp_path, NAMES[:2], own=own, EDGE_LIMITS__PAYLOAD_BYTES="2000000") as it:
        for name in names(4):
            it.asker.ask(name, **large)
        it.asker.wait_answered(4)
        assert it.asker.codes == {200: 4}
        assert it.boards["left"].asked() == []


@pytest.mark.slow
def test_somebody_always_listens(tmp_path):
    """With every board drained the group is all of them, since the broker would throw requests away."""
    with hall(tmp_path) as it:
        for name in NAMES:
            it.asker.command(name, "drain")
        wait_until(lambda: all(it.asker.is_member(name, reason="drained") for name in NAMES))
        time.sleep(3)
        pace(it.asker, names(12), 0.02)
        it.asker.wait_answered(12)
        assert it.asker.codes == {200: 12}


@pytest.mark.slow
def test_a_killed_broker_and_a_killed_board(tmp_path):
    """The broker comes back with what it had written, a board does not: the others answer for it."""
    with hall(tmp_path, options=SLOW) as it:
        pace(it.asker, names(36), 0.01)
        time.sleep(1.5)  # what a broker has not written yet goes with it
        it.broker.kill()
        it.boards["left"].end()
        pace(it.asker, names(18, "late"), 0.1)
        while len(it.asker.taken) < 54:  # this Mosquitto restores no shared subscriptions, and says so
            it.asker.ask_again()
            time.sleep(0.5)
        it.asker.wait_answered(54, 240)  # there was no Will: the board is missed by its silence
        assert it.asker.codes.keys() == {200}


@pytest.mark.slow
def test_a_real_engine_is_killed_for_good(bundle: Path, tmp_path: Path):
    """Two boards with the real model; one dies with answers half made, which the other makes anew."""
    settings = {"EDGE_ENGINE__BUNDLE": str(bundle), "EDGE_ENGINE__THREADS": "1", "EDGE_ENGINE__VERIFY_HASHES": "false"}
    with hall(tmp_path, names=("left", "right"), **settings) as it:
        for name in names(16):
            it.asker.ask(name, prompt="Tell me of the sea.", max_tokens=24)
        wait_until(lambda: len(it.asker.answers) > 1)
        it.boards["left"].end()
        it.asker.wait_answered(16, 120)
        assert it.asker.codes.keys() == {200}
