"""`edge rollout`: a wish is published, and followed to its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import embedded_broker
from tests.edge.commands.program import ended, started


@pytest.mark.parametrize(("state", "status"), [("kept", 0), ("rolled_back", 1), ("refused", 1)])
def test_a_wish_is_followed_to_its_end(tmp_path: Path, state: str, status: int):
    """It lies retained on the board's topic; what is reported of another wish is passed over."""
    with embedded_broker(tmp_path) as port, User(port, "edge/odd/desired") as board:
        env = {"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "odd"}
        process = started(env, "rollout", "phi@6", "--channel=canary", "--wait=30")
        wish = json.loads(board.next(30).payload)
        assert wish["bundle"] == {"name": "phi", "version": "6", "channel": "canary"}
        others = ("another", wish["id"], wish["id"])
        said = ({"state": "kept"}, {"state": "downloading", "progress": 0.42}, {"state": state, "reason": "so\x1b[1m"})
        for name, body in zip(others, said, strict=True):
            board.publish("edge/odd/reported", {**body, "id": name}, retain=True)
        found, out, _ = ended(process)
        assert found == status
        lines = out.splitlines()[1:]
        assert lines[0] == "downloading 42%"
        assert lines[1].startswith(f"{state}: so")
        assert "\x1b" not in out


def test_without_waiting_the_wish_stands(tmp_path: Path):
    """Who comes later finds it; out of time is told, too."""
    with embedded_broker(tmp_path) as port:
        env = {"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "odd"}
        assert ended(started(env, "rollout", "phi", "--id=x"))[0] == 0
        with User(port, "edge/odd/desired") as board:
            message = board.next()
            assert message.retain
            assert json.loads(message.payload) == {"bundle": {"name": "phi"}, "id": "x"}
        status, out, _ = ended(started(env, "rollout", "phi", "--wait=0.5"))
        assert (status, "the wish stands" in out) == (4, True)


@pytest.mark.parametrize("words", [["a@b@c"], ["../x"], ["phi", "--id=a b"], ["phi", "--channel=../x"]])
def test_what_is_no_wish_is_wrong_usage(words):
    """Nothing is published."""
    assert ended(started({}, "rollout", *words))[0] == 2
