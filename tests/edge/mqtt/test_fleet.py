"""Boards that share a name share its requests: each is answered by one of them."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from tests.clients import V5, V311, User
from tests.conftest import embedded_broker, mosquitto, running


def boards(stack: contextlib.ExitStack, port: int, folder: Path, *names: str, **settings: str) -> None:
    """Scripted daemons of the fleet `hall`; each logs what it is asked."""
    for name in names:
        environment = {
            "EDGE_DEVICE": name,
            "EDGE_FLEET": "hall",
            "EDGE_BROKER__PORT": str(port),
            "EDGE_JOURNAL__FOLDER": str(folder),
            "EDGE_LIMITS__QUEUE_LENGTH": "20",
            "EDGE_LIMITS__QUEUE_PER_CLIENT": "20",
            **settings,
        }
        command = [sys.executable, "-m", "edge.testing", f"--log={folder / name}.jobs", "--pause-seconds=0.02"]
        stack.enter_context(running(command, folder / f"{name}.log", environment))


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", [V5, V311], ids=["5", "3.1.1"])
def test_a_fleet_shares_its_requests(tmp_path, protocol):
    """Twenty requests, two boards: each answered once, by either; both had some; a cancel finds the one that has it."""
    setting = {"EDGE_BROKER__PROTOCOL": "5" if protocol == V5 else "3.1.1"}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(mosquitto(tmp_path))
        boards(stack, port, tmp_path, "left", "right", **setting)
        user = stack.enter_context(User(port, "edge/hall/reply/me", protocol=protocol))
        for name in ("left", "right"):
            user.wait_online(name)
        for number in range(20):
            body = {"prompt": f"p{number}", "id": f"q{number}", "stream": False}
            user.publish("edge/hall/request/me", body)
        answered = [user.answer()[1] for _ in range(20)]
        assert sorted((each["id"], each["code"]) for each in answered) == sorted((f"q{n}", 200) for n in range(20))
    asked = [(tmp_path / f"{name}.jobs").read_text().split() for name in ("left", "right")]
    assert all(asked)
    assert sorted(asked[0] + asked[1]) == sorted(f"p{number}" for number in range(20))


def test_a_broker_that_cannot_share_is_named(tmp_path):
    """The embedded broker has no shared subscriptions: the daemon says so and serves its own topics."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(embedded_broker(tmp_path))
        boards(stack, port, tmp_path, "left")
        user = stack.enter_context(User(port, "edge/left/reply/me"))
        user.wait_online("left")
        user.publish("edge/left/request/me", {"prompt": "x", "id": "q"})
        assert user.answer(name="q")[1]["code"] == 200
    assert "refuses the subscription $share/hall/edge/hall/request" in (tmp_path / "left.log").read_text()
