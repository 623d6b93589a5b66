"""Boards that share a queue, each a process over a real Mosquitto, and an asker who asks each thing once.

The asker publishes with QoS 1 and never repeats a request: what has its PUBACK is the fleet's to answer.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.conftest import free_port, mosquitto_command, wait_until
from tests.storm import PERSISTENT, Process

NAMES = ("left", "middle", "right")
INHERIT_SECONDS = 2
NO_MATCHING_SUBSCRIBERS = 0x10
"""Of a PUBACK: the broker had nobody for it, and says so (MQTT 5, section 3.4.2.1)."""


class Asker:
    """Knows what was published and taken, each terminal message that came back, and what members say."""

    def __init__(self, port: int, fleet: str = "hall") -> None:
        self.fleet, self.taken, self.codes = fleet, set[str](), Counter[int]()
        self.answers: Counter[str] = Counter()
        self.members: dict[str, dict[str, Any]] = {}
        self._topics = [f"edge/{fleet}/member/+", "edge/+/reply/asker"]
        self._mids: dict[int, str] = {}
        self._early: set[int] = set()
        self.unheard: list[str] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "asker", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = lambda _c, _d, message: self._hear(message)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in self._topics])
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = lambda _c, _d, mid, reason, _p: self._took(mid, reason.value)
        self._client.max_inflight_messages_set(200)
        self._client.connect("127.0.0.1", port, 30)
        self._client.loop_start()

    def _took(self, mid: int, reason: int) -> None:
        name = self._mids.get(mid)
        if reason == NO_MATCHING_SUBSCRIBERS and name:
            self.unheard.append(name)
            return
        (self.taken.add(name) if name else self._early.add(mid))

    def _hear(self, message: paho.MQTTMessage) -> None:
        if "/member/" in message.topic:
            self.members[message.topic.split("/")[3]] = json.loads(message.payload)
            return
        body = json.loads(message.payload)
        if body["type"] == "reply":
            self.answers[body["id"]] += 1
            self.codes[body["code"]] += 1

    def ask(self, name: str, to: str | None = None, **fields: Any) -> None:
        """Publish one, to the fleet or to a board."""
        body = {"prompt": name, "id": name, "stream": False, "max_tokens": 8, **fields}
        info = self._client.publish(f"edge/{to or self.fleet}/request/asker", json.dumps(body), 1)
        self._mids[info.mid] = name
        if info.mid in self._early:
            self.taken.add(name)

    def ask_again(self) -> None:
        """What the broker had nobody for."""
        unheard, self.unheard = self.unheard, []
        for name in unheard:
            self.ask(name)

    def command(self, device: str, word: str) -> None:
        """Tell a board something."""
        self._client.publish(f"edge/{device}/command", word, 1)

    def say_of(self, device: str, said: dict[str, Any]) -> None:
        """Tell the fleet of a board, as that board would."""
        self._client.publish(f"edge/{self.fleet}/member/{device}", json.dumps(said), 1, retain=True)

    @property
    def missing(self) -> set[str]:
        """What was taken and has no answer."""
        return self.taken - set(self.answers)

    @property
    def told_twice(self) -> int:
        """Terminal messages beyond one a request."""
        return sum(count - 1 for count in self.answers.values())

    def is_member(self, name: str, **wanted: Any) -> bool:
        """Whether a board says so to its fleet."""
        said = self.members.get(name, {})
        return bool(said) and all(said.get(key) == value for key, value in wanted.items())

    def wait_answered(self, count: int, seconds: float = 60) -> None:
        """Until so many were taken and all of them answered."""
        wait_until(lambda: len(self.taken) >= count and not self.missing, seconds)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


class Board(Process):
    """A daemon of the fleet that can be killed, stopped and started."""

    def __init__(self, folder: Path, port: int, name: str, options: Sequence[str], **settings: str) -> None:
        self.name, self.jobs = name, folder / f"{name}.jobs"
        self.jobs.touch()
        environment = {
            "EDGE_DEVICE": name,
            "EDGE_FLEET": "hall",
            "EDGE_BROKER__PORT": str(port),
            "EDGE_JOURNAL__FOLDER": str(folder / name),
            "EDGE_ENGINE__CACHE_FOLDER": str(folder / f"{name}-cache"),
            "EDGE_ENGINE__PACKS": "false",
            "EDGE_LIMITS__QUEUE_LENGTH": "64",
            "EDGE_LIMITS__QUEUE_PER_CLIENT": "64",
            "EDGE_LIMITS__COMMANDS": "true",
            "EDGE_LIMITS__INHERIT_SECONDS": str(INHERIT_SECONDS),
            **settings,
        }
        command = [sys.executable, "-m", "edge.testing", f"--log={self.jobs}", *options]
        if "EDGE_ENGINE__BUNDLE" in settings:
            command = [sys.executable, "-m", "edge", "serve"]
        super().__init__(command, folder / f"{name}.log", environment)

    def end(self, number: int = signal.SIGKILL) -> None:
        """A signal, and its end; what it was stays dead."""
        self._process.send_signal(number)
        self._process.wait(30)

    def asked(self) -> list[str]:
        """Prompts that its engine began."""
        return self.jobs.read_text().split()


class Hall:
    """The boards by their names, and their asker."""

    def __init__(self, boards: dict[str, Board], asker: Asker, broker: Process) -> None:
        self.boards, self.asker, self.broker = boards, asker, broker

    def asked(self) -> Counter[str]:
        """How often each prompt was begun, anywhere."""
        return Counter(prompt for board in self.boards.values() for prompt in board.asked())


@contextlib.contextmanager
def hall(
    folder: Path,
    names: Sequence[str] = NAMES,
    options: Sequence[str] = ("--pieces=4", "--pause-seconds=0.02"),
    own: dict[str, dict[str, str]] | None = None,
    **settings: str,
) -> Iterator[Hall]:
    """All of them there and in the group. options: of the scripted engine; own: settings of one board."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        command = mosquitto_command(folder, port, PERSISTENT.format(folder=folder))
        broker = Process(command, folder / "mosquitto.log", port=port)
        stack.callback(broker.stop)
        boards: dict[str, Board] = {}
        for name in names:
            boards[name] = Board(folder, port, name, options, **settings, **(own or {}).get(name, {}))
            stack.callback(boards[name].stop)
        asker = Asker(port)
        stack.callback(asker.close)
        wait_until(lambda: all(asker.is_member(name, is_joined=True, accepts=True) for name in names), 60)
        yield Hall(boards, asker, broker)


def pace(asker: Asker, names: Sequence[str], seconds: float) -> None:
    """Ask one after the other, so far apart."""
    for name in names:
        asker.ask(name)
        time.sleep(seconds)
