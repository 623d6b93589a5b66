"""Real processes: a daemon killed in the middle of a call, brokers that refuse, a real model that calls."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients import User
from tests.conftest import EDGE, embedded_broker, mosquitto, running, serving, wait_until
from tests.proxy import Proxy

TOOLS: dict[str, dict[str, Any]] = {
    "lamp": {
        "kind": "publish",
        "description": "Switch the lamp of a room.",
        "clients": ["me"],
        "topic": "home/{room}/lamp",
        "levels": {"room": ["hall", "kitchen"]},
        "payload": ["ON", "OFF"],
    },
    "blind": {
        "kind": "publish",
        "description": "Move the blind of a room.",
        "clients": ["me"],
        "topic": "home/{room}/blind",
        "levels": {"room": "[a-z]{1,12}"},
        "payload": {
            "type": "object",
            "properties": {"position": {"type": "integer", "minimum": 0, "maximum": 100}},
            "required": ["position"],
        },
        "retain": True,
    },
    "weather": {"kind": "retained", "description": "Tells the weather.", "clients": ["*"], "topic": "weather/now"},
    "memory": {
        "kind": "telemetry",
        "description": "Tells how much memory the board has.",
        "clients": ["*"],
        "values": ["memory.available_bytes"],
    },
}
LAMP = '{"name":"lamp","arguments":{"room":"hall","payload":"ON"}}'


class Board:
    """A daemon with a scripted engine that calls the lamp, which can be killed and begun again."""

    def __init__(self, folder: Path, port: int, pause_seconds: float, protocol: str = "5") -> None:
        self._folder, self.jobs = folder, folder / "jobs"
        self._command = [sys.executable, "-m", "edge.testing", f"--call={LAMP}", f"--log={self.jobs}"]
        self._command.append(f"--pause-seconds={pause_seconds}")
        self._settings = {
            "EDGE_DEVICE": "test",
            "EDGE_BROKER__PORT": str(port),
            "EDGE_BROKER__PROTOCOL": protocol,
            "EDGE_JOURNAL__FOLDER": str(folder / "state"),
            "EDGE_TOOLS": json.dumps(TOOLS),
        }

    @contextmanager
    def living(self):
        """For the length of the block."""
        with running(self._command, self._folder / "daemon.log", self._settings) as process:
            yield process

    def has_begun(self, count: int) -> bool:
        """Whether the engine has been given so many jobs, over all lives."""
        return self.jobs.exists() and len(self.jobs.read_text().splitlines()) >= count


def said_in_the_home(watcher: User) -> list[tuple[str, bytes]]:
    """All that was published there."""
    found = []
    while True:
        try:
            message = watcher.next(1)
        except queue.Empty:
            return found
        if message.topic.startswith("home/"):
            found.append((message.topic, bytes(message.payload)))


ASKED = {"prompt": "It is dark.", "id": "q", "board_tools": ["lamp"]}


def test_a_kill_between_a_call_and_its_result_publishes_once(broker: int, tmp_path: Path):
    """The broker has the message, its PUBACK is lost, the daemon is killed: the next one says that it does not know."""
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(broker))
        watcher = stack.enter_context(User(broker, "home/#"))
        asker = stack.enter_context(User(broker, "edge/test/reply/me"))
        board = Board(tmp_path, proxy.port, pause_seconds=1.5)
        with board.living() as process:
            asker.wait_online()
            asker.publish("edge/test/request/me", ASKED)
            wait_until(lambda: board.has_begun(1))
            proxy.is_deaf = True
            assert watcher.next(30).payload == b"ON"
            process.kill()
            process.wait(10)
        proxy.is_deaf = False
        with board.living():
            _, reply = asker.answer(60, "q")
        (call,) = reply["board_calls"]
        assert (reply["code"], reply["text"]) == (200, "word word ")
        assert "not known whether this was done" in call["error"]
        assert said_in_the_home(watcher) == []
        assert board.has_begun(2)


@pytest.mark.slow
def test_a_kill_after_a_result_goes_on_from_there(broker: int, tmp_path: Path):
    """In the second round: the next daemon tells the model what the first one had done, and does it no more."""
    with ExitStack() as stack:
        watcher = stack.enter_context(User(broker, "home/#"))
        asker = stack.enter_context(User(broker, "edge/test/reply/me"))
        board = Board(tmp_path, broker, pause_seconds=1.5)
        with board.living() as process:
            asker.wait_online()
            asker.publish("edge/test/request/me", ASKED)
            wait_until(lambda: board.has_begun(2))
            process.kill()
            process.wait(10)
        with board.living():
            _, reply = asker.answer(60, "q")
        assert [call["result"] for call in reply["board_calls"]] == ["done"]
        assert said_in_the_home(watcher) == [("home/hall/lamp", b"ON")]
        assert board.jobs.read_text().splitlines() == [ASKED["prompt"], *["Result of lamp: done"] * 2]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_either_version_will_do(broker: int, tmp_path: Path, protocol: str):
    """Published with QoS 1; with nobody there to hear it, only MQTT 5 knows."""
    with ExitStack() as stack:
        asker = stack.enter_context(User(broker, "edge/test/reply/me"))
        board = Board(tmp_path, broker, 0, protocol)
        with board.living():
            asker.wait_online()
            asker.publish("edge/test/request/me", ASKED)
            _, reply = asker.answer(60, "q")
            with User(broker, "home/#"):
                asker.publish("edge/test/request/me", {**ASKED, "id": "r"})
                _, heard = asker.answer(60, "r")
        unheard = "done, but nobody listens there now" if protocol == "5" else "done"
        assert [each["board_calls"][0]["result"] for each in (reply, heard)] == [unheard, "done"]


@pytest.mark.mosquitto
def test_a_broker_that_refuses_is_heard(tmp_path: Path):
    """Its access list lets the board talk on its own topics alone: the PUBACK says so, and the model is told."""
    (tmp_path / "acl").write_text("topic readwrite edge/#\ntopic read $SYS/#\n")
    with ExitStack() as stack:
        port = stack.enter_context(mosquitto(tmp_path, config=f"acl_file {tmp_path / 'acl'}\n"))
        asker = stack.enter_context(User(port, "edge/test/reply/me"))
        board = Board(tmp_path, port, pause_seconds=0)
        with board.living():
            asker.wait_online()
            asker.publish("edge/test/request/me", ASKED)
            _, reply = asker.answer(60, "q")
        assert (reply["code"], reply["board_calls"][0]["error"]) == (200, "the broker refused it")


def named(name: str) -> dict[str, Any]:
    """A choice of one tool."""
    return {"type": "function", "function": {"name": name}}


def test_the_real_model_uses_them(broker: int, bundle: Path, tmp_path: Path):
    """Forced calls, whose grammar lets no others through; what was said before is found, not read again."""
    settings = {"EDGE_TOOLS": json.dumps(TOOLS), "EDGE_TELEMETRY__PERIOD_SECONDS": "0.5"}
    with ExitStack() as stack:
        watcher = stack.enter_context(User(broker, "home/#", "edge/test/info"))
        watcher.publish("weather/now", "rain, 12 °C", retain=True)
        stack.enter_context(serving(bundle, broker, tmp_path, **settings))
        user = stack.enter_context(User(broker, "edge/test/reply/me"))
        user.wait_online()

        def ask(name: str, **fields: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
            user.publish("edge/test/request/me", {"id": name, "max_tokens": 40, "temperature": 0, **fields})
            return user.answer(120, name)

        prompt = "It is dark in the hall, so switch the lamp of the hall on, please. Do it now, and say so."
        deltas, lamp = ask("q1", prompt=prompt, board_tools=["lamp"], tool_choice="required")
        first = lamp["board_calls"][0]
        assert (first["name"], first["result"]) == ("lamp", "done")
        assert "".join(each["text"] for each in deltas) == lamp["text"]
        assert not lamp["text"].startswith("{")
        assert lamp["usage"]["cached_tokens"] >= 128
        _, blind = ask("q2", prompt="Close the blind of the attic.", board_tools=True, tool_choice=named("blind"))
        _, weather = ask("q3", prompt="How is the weather?", board_tools=["weather"], tool_choice="required")
        _, memory = ask("q4", prompt="How much memory is free?", board_tools=True, tool_choice=named("memory"))
        assert weather["board_calls"][0]["result"] == "rain, 12 °C"
        assert memory["board_calls"][0]["result"].startswith("memory.available_bytes: ")
        expected = {f"home/{each['arguments']['room']}/{each['name']}" for each in (first, blind["board_calls"][0])}
        heard = said_in_the_home(watcher)
        assert expected <= {topic for topic, _ in heard}
        assert all(json.loads(payload)["position"] in range(101) for topic, payload in heard if "blind" in topic)
    log = (tmp_path / "serve.log").read_text()
    assert "called the board's tool lamp: done" in log
    assert "rain" not in log


def test_the_command_line_offers_them(tmp_path: Path):
    """`edge ask --board-tools` says beside the answer what was done."""
    with embedded_broker(tmp_path) as port, User(port) as user:
        board = Board(tmp_path, port, pause_seconds=0)
        with board.living():
            user.wait_online()
            command = [*EDGE, "ask", f"--broker=127.0.0.1:{port}", "--device=test", "--board-tools=lamp", "Dark."]
            refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            done = subprocess.run([*command, "--user=me"], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "has no tool 'lamp' for this client" in refused.stderr
    assert (done.returncode, done.stdout.split()) == (0, ["word", "word"])
    assert 'edge ask: lamp {"room": "hall", "payload": "ON"}: done' in done.stderr
