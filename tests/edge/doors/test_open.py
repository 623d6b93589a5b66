"""The daemon with its doors, as a process over real brokers: opened by settings, closed by default."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import ROOT, embedded_broker, free_port, running, wait_until
from tests.edge.mqtt.test_broker_access import at, passwords

TOPIC = "homeassistant/device/edge-pi/config"


@contextmanager
def board(folder: Path, port: int, **settings: str) -> Iterator[Path]:
    """A scripted daemon named `pi`, a reading every fifth of a second; its log."""
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(folder / "state")}
    env |= {"EDGE_TELEMETRY__PERIOD_SECONDS": "0.2"}
    log = folder / "daemon.log"
    with running([sys.executable, "-m", "edge.testing"], log, env | settings), User(port) as user:
        user.wait_online("pi")
        yield log


def test_all_doors_at_once_and_an_answer_beside_them(broker, tmp_path):
    """Announced, scraped, written to a file, and asked; a birth has it announced again."""
    textfile, port = tmp_path / "edge.prom", free_port()
    settings = {"EDGE_HOME_ASSISTANT__ANNOUNCE": "true", "EDGE_PROMETHEUS__TEXTFILE": str(textfile)}
    with board(tmp_path, broker, **settings, EDGE_PROMETHEUS__ADDRESS=f"127.0.0.1:{port}") as log:
        with User(broker, TOPIC) as user:
            told = user.next()
            assert json.loads(told.payload)["cmps"]["queue"]["stat_t"] == "edge/pi/telemetry"
            user.publish("homeassistant/status", b"online")
            assert user.next(15).payload == told.payload
        with User(broker, TOPIC) as late:
            assert late.next().retain
        with User(broker, "edge/pi/reply/home-assistant") as user:
            user.publish("edge/pi/request/home-assistant", {"prompt": "x", "stream": False})
            assert user.answer()[1]["code"] == 200
        wait_until(lambda: textfile.exists() and 'edge_requests_total{code="200"} 1.0' in textfile.read_text())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            assert b"edge_requests_total" in page.read()
        assert "Traceback" not in log.read_text()
        assert "WARNING" not in log.read_text()
    assert not textfile.exists()


@pytest.mark.slow
def test_turned_off_the_retained_message_goes(broker, tmp_path):
    """Who subscribes later finds nothing; the file that said so is gone soon, and a start after that is silent."""
    with board(tmp_path, broker, EDGE_HOME_ASSISTANT__ANNOUNCE="true"), User(broker, TOPIC) as user:
        assert user.next().payload
    assert (tmp_path / "state/pi.home-assistant.json").exists()
    with board(tmp_path, broker):
        wait_until(lambda: nothing_retained(broker))
        wait_until(lambda: not (tmp_path / "state/pi.home-assistant.json").exists())


def nothing_retained(broker: int) -> bool:
    """Whether the topic is empty."""
    with User(broker, TOPIC) as user:
        return user.nothing()


def test_by_default_nothing_is_published_there(broker, tmp_path):
    """Not one message on any discovery topic."""
    with User(broker, "homeassistant/#") as user, board(tmp_path, broker):
        assert user.nothing(1.0)


@pytest.mark.checkout
@pytest.mark.mosquitto
def test_the_shipped_access_list_lets_home_assistant_in(tmp_path):
    """With the lines at its end, uncommented: it hears the announcement, asks, is answered, and orders a restart."""
    acl, _, lines = (ROOT / "deploy/mosquitto/acl.conf").read_text().partition("# Home Assistant, ")
    acl += "\n".join(re.findall(r"^# ((?:user|topic) .*)$", lines, re.MULTILINE)) + "\n"
    (tmp_path / "acl").write_text(acl)
    users = passwords(tmp_path, names=("board", "home-assistant"))
    extra = [f"--password-file={users}", f"--acl-file={tmp_path / 'acl'}"]
    settings = {"EDGE_DEVICE": "board", "EDGE_BROKER__USERNAME": "board", "EDGE_BROKER__PASSWORD": "board-secret"}
    settings |= {"EDGE_JOURNAL__FOLDER": str(tmp_path / "state"), "EDGE_TELEMETRY__PERIOD_SECONDS": "0.2"}
    settings |= {"EDGE_HOME_ASSISTANT__ANNOUNCE": "true", "EDGE_LIMITS__COMMANDS": "true"}
    log = tmp_path / "daemon.log"
    with embedded_broker(tmp_path, extra=extra) as port:
        settings |= {"EDGE_BROKER__PORT": str(port)}
        with running([sys.executable, "-m", "edge.testing"], log, settings):
            with at(port, "home-assistant", "homeassistant/#") as hass:
                hass.wait_online("board")
                assert json.loads(hass.next().payload)["dev"]["name"] == "board"
            with at(port, "home-assistant", "edge/board/reply/home-assistant") as hass:
                hass.publish("edge/board/request/home-assistant", {"prompt": "x", "stream": False})
                assert hass.answer()[1]["code"] == 200
                hass.publish("edge/board/command", b"restart")
            wait_until(lambda: "told to restart the engine" in log.read_text())
            assert "refuses" not in log.read_text()
