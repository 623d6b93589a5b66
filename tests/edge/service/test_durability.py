"""The daemon and the broker are killed while many ask: nothing is lost, nothing is answered in two ways."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import mosquitto, running
from tests.storm import storm


@pytest.mark.mosquitto
def test_kills_lose_nothing(tmp_path):
    """Every request has one terminal message, however often it arrives; only what a kill interrupted runs again."""
    outcome = storm(tmp_path, requests=120, askers=4, daemon_kills=2, broker_kills=1)
    assert (outcome.lost, outcome.contradicted, outcome.failed) == (0, 0, 0)
    assert outcome.kills == {"daemon": 2, "broker": 1}
    assert set(outcome.begun) == set(outcome.answers)
    assert outcome.begun_needlessly <= 0


def test_an_asker_that_leaves_stops_its_answer(broker: int, tmp_path: Path):
    """Both brokers tell that nobody subscribes any more; the board counts a 499 long before the answer's end."""
    settings = {
        "EDGE_DEVICE": "test",
        "EDGE_BROKER__PORT": str(broker),
        "EDGE_JOURNAL__FOLDER": str(tmp_path / "state"),
        "EDGE_TELEMETRY__PERIOD_SECONDS": "0.5",
    }
    scripted = [sys.executable, "-m", "edge.testing", "--pieces=1000", "--pause-seconds=0.05"]
    with running(scripted, tmp_path / "daemon.log", settings), User(broker, "edge/test/telemetry") as watcher:
        with User(broker, "edge/test/reply/me") as asker:
            asker.wait_online()
            asker.publish("edge/test/request/me", {"prompt": "Tell me everything.", "id": "q"})
            while json.loads(asker.next().payload).get("type") != "delta":
                pass
        while not (counts := json.loads(watcher.next(20).payload)["inference"]["requests"]):
            pass
        assert counts == {"499": 1}


@pytest.mark.mosquitto
def test_a_brokers_receive_maximum_is_kept(tmp_path: Path):
    """A broker that takes two messages at a time gets no more, and every answer arrives over one connection."""
    settings = {
        "EDGE_DEVICE": "test",
        "EDGE_JOURNAL__FOLDER": str(tmp_path / "state"),
        "EDGE_LIMITS__QUEUE_LENGTH": "100",
        "EDGE_LIMITS__QUEUE_PER_CLIENT": "100",
    }
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(mosquitto(tmp_path, config="max_inflight_messages 2\n"))
        settings["EDGE_BROKER__PORT"] = str(port)
        stack.enter_context(running([sys.executable, "-m", "edge.testing"], tmp_path / "daemon.log", settings))
        user = stack.enter_context(User(port, "edge/test/reply/me"))
        user.wait_online()
        for number in range(60):
            user.publish("edge/test/request/me", {"prompt": "x", "id": f"q{number}", "stream": False})
        assert {user.answer()[1]["id"] for _ in range(60)} == {f"q{number}" for number in range(60)}
    assert "lost" not in (tmp_path / "daemon.log").read_text()


@pytest.mark.mosquitto
def test_a_brokers_maximum_packet_size_is_kept(tmp_path: Path):
    """An answer over it goes without its text and says so, over one connection, which it would else have ended."""
    settings = {"EDGE_DEVICE": "test", "EDGE_JOURNAL__FOLDER": str(tmp_path / "state")}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(mosquitto(tmp_path, config="max_packet_size 3000\n"))
        settings["EDGE_BROKER__PORT"] = str(port)
        scripted = [sys.executable, "-m", "edge.testing", "--pieces=1000"]
        stack.enter_context(running(scripted, tmp_path / "daemon.log", settings))
        user = stack.enter_context(User(port, "edge/test/reply/me"))
        user.wait_online()
        user.publish("edge/test/request/me", {"prompt": "x", "id": "q"})
        deltas, reply = user.answer()
        assert "".join(delta["text"] for delta in deltas) == "word " * 1000
        assert (reply["code"], reply["text"]) == (200, "")
        assert "3000 bytes" in reply["warnings"][0]
    assert "lost" not in (tmp_path / "daemon.log").read_text()
