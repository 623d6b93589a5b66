"""Topic aliases: the topic once, then its number, a number anew where the broker allows no more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge.mqtt.aliases import Aliases
from tests.clients import User
from tests.conftest import mosquitto, running
from tests.proxy import Proxy


def test_a_topic_is_named_once_and_the_oldest_number_is_taken_again():
    """Two numbers for three topics; none where the broker gives none."""
    aliases = Aliases(2)
    said = [aliases.of(topic) for topic in ("a", "b", "a", "c", "b", "a")]
    assert said == [("a", 1), ("b", 2), ("", 1), ("c", 1), ("", 2), ("a", 2)]
    assert Aliases(0).of("a") == ("a", None)


@pytest.mark.mosquitto
def test_pieces_arrive_on_their_topics_over_broken_connections(tmp_path: Path):
    """More askers than numbers, and a cut on the way: the broker finds nothing to object to.

    An answer's topic is written three times a connection for six messages: with the piece and the reply of QoS 1, and
    with the first of the four pieces of QoS 0.
    """
    with mosquitto(tmp_path, config="log_type all\n") as port, Proxy(port) as proxy:
        settings = {
            "EDGE_DEVICE": "test",
            "EDGE_BROKER__PORT": str(proxy.port),
            "EDGE_JOURNAL__FOLDER": str(tmp_path / "state"),
        }
        scripted = [sys.executable, "-m", "edge.testing", "--pieces=5"]
        with running(scripted, tmp_path / "daemon.log", settings), User(port, "edge/test/reply/#") as user:
            user.wait_online()
            for cut in (False, True):
                for number in range(15):
                    user.publish(f"edge/test/request/c{number}", {"prompt": "x", "id": f"q{number}{cut}"})
                    deltas, reply = user.answer(name=f"q{number}{cut}")
                    assert (len(deltas), reply["code"]) == (5, 200)
                if not cut:
                    proxy.cut()
                    user.wait_online()
        assert proxy.sent.count(b"edge/test/reply/c3") == 2 * 3
    assert "rotocol" not in (tmp_path / "mosquitto.log").read_text()
