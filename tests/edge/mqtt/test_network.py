"""The way to the broker breaks in every way that a network knows; answers arrive all the same, once each."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import embedded_broker, mosquitto, running
from tests.proxy import Proxy


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[User, Proxy]]:
    """An asker at the broker itself, and a scripted daemon that reaches it through a proxy."""
    start = embedded_broker if request.param == "embedded" else mosquitto
    with start(tmp_path) as port, Proxy(port) as proxy, User(port, "edge/test/reply/me") as user:
        settings = {
            "EDGE_DEVICE": "test",
            "EDGE_BROKER__PORT": str(proxy.port),
            "EDGE_BROKER__KEEPALIVE_SECONDS": "5",
            "EDGE_JOURNAL__FOLDER": str(tmp_path / "state"),
        }
        scripted = [sys.executable, "-m", "edge.testing", "--pieces=20", "--pause-seconds=0.05"]
        with running(scripted, tmp_path / "daemon.log", settings):
            user.wait_online()
            yield user, proxy


def silence(proxy: Proxy) -> None:
    """Nothing arrives any more, and nobody says so: the keep-alive has to notice."""
    proxy.is_silent = True
    time.sleep(8)
    proxy.is_silent = False


def slowness(proxy: Proxy) -> None:
    """Every packet takes half a second."""
    proxy.delay_seconds = 0.5
    time.sleep(2)
    proxy.delay_seconds = 0.0


@pytest.mark.parametrize(
    "harm",
    [
        Proxy.cut,
        Proxy.half_close,
        pytest.param(silence, marks=pytest.mark.slow),
        pytest.param(slowness, marks=pytest.mark.slow),
    ],
    ids=lambda harm: harm.__name__,
)
def test_an_answer_survives_its_connection(way, harm):
    """Broken while the answer is generated: its terminal message arrives, whole, and so does the next one's."""
    user, proxy = way
    user.publish("edge/test/request/me", {"prompt": "x", "id": "q"})
    time.sleep(0.3)
    harm(proxy)
    assert user.answer(40, name="q")[1]["text"] == "word " * 20
    user.publish("edge/test/request/me", {"prompt": "x", "id": "r"})
    assert user.answer(40, name="r")[1]["code"] == 200
