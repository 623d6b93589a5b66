"""Many requests while daemon and broker are killed: what reached whom, and what was generated how often.

The daemon is `python -m edge.testing`, real but for its engine; the broker is Mosquitto with its persistence on.
Askers do what the contract tells them to: they keep a session, publish with QoS 1, and repeat a request, under its
name, that had no answer for a while.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.conftest import free_port, mosquitto_command, wait_for_port

ROOT = Path(__file__).resolve().parent.parent
OPEN_MAX = 4
"""Requests that an asker has out at once."""
REPEAT_SECONDS = 5.0
PERSISTENT = (
    "set_tcp_nodelay true\npersistence true\npersistence_location {folder}/\n"
    "autosave_interval 1\nautosave_on_changes true\n"
)


class Answered:
    """Requests, and each one's terminal messages."""

    requests: int
    answers: dict[str, list[dict[str, Any]]]

    @property
    def lost(self) -> int:
        """Requests without a terminal message."""
        return self.requests - sum(1 for each in self.answers.values() if each)

    @property
    def contradicted(self) -> int:
        """Requests whose terminal messages are not all the same."""
        return sum(1 for each in self.answers.values() if any(other != each[0] for other in each))

    @property
    def failed(self) -> int:
        """Requests whose terminal message is not a whole answer."""
        return sum(1 for each in self.answers.values() if each and each[0]["code"] != 200)


@dataclass
class Outcome(Answered):
    """What a storm left.

    answers: each request's terminal messages. begun: how often the engine began each. interrupted: generations that a
    kill took, since no answer of theirs was on disk.
    """

    requests: int
    seconds: float
    kills: dict[str, int]
    answers: dict[str, list[dict[str, Any]]]
    begun: Counter[str]
    interrupted: int
    repeats: int

    @property
    def begun_again(self) -> int:
        """Generations beyond one a request."""
        return sum(count - 1 for count in self.begun.values())

    @property
    def begun_needlessly(self) -> int:
        """Those of them that no kill made necessary."""
        return self.begun_again - self.interrupted


@dataclass
class Asker:
    """A client with a session that outlives its connections."""

    port: int
    name: str
    count: int
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    repeats: int = 0
    pause_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._asked: dict[str, float] = {}
        self._next, self._due = 0, 0.0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, f"asker-{self.name}", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(f"edge/test/reply/{self.name}", 1)
        self._client.on_message = lambda _client, _data, message: self._hear(json.loads(message.payload))
        self._client.on_subscribe = lambda *_: setattr(self, "is_ready", True)
        self.is_ready = False

    def start(self) -> None:
        """Connect, keep the session for an hour."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it bare
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self.port, 30, clean_start=False, properties=properties)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, body: dict[str, Any]) -> None:
        if body["type"] == "reply":
            self.answers.setdefault(body["id"], []).append(body)
            self._asked.pop(body["id"], None)

    def step(self) -> None:
        """Ask the next ones, and again what had no answer for a while."""
        if not self._client.is_connected():
            return
        now = time.monotonic()
        for name, when in list(self._asked.items()):
            if now - when > REPEAT_SECONDS:
                self.repeats += 1
                self._ask(name)
        while len(self._asked) < OPEN_MAX and self._next < self.count and now >= self._due:
            self._ask(f"{self.name}-{self._next}")
            self._next += 1
            self._due = now + self.pause_seconds

    def _ask(self, name: str) -> None:
        self._asked[name] = time.monotonic()
        body = {"prompt": name, "id": name, "stream": False, "max_tokens": 8}
        self._client.publish(f"edge/test/request/{self.name}", json.dumps(body), 1)


class Process:
    """A program that is started again after each kill."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None, port: int = 0) -> None:
        self._command, self._log, self._port = command, log, port
        self._env = {**os.environ, **(env or {})}
        self.kills = 0
        self.start()

    def start(self) -> None:
        """Start it, and wait for its port where it has one."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output, env=self._env, cwd=ROOT)
        if self._port:
            wait_for_port(self._port)

    def kill(self, look: Callable[[], None] = lambda: None) -> None:
        """-9, look at what is left, and start anew."""
        self._process.kill()
        self._process.wait()
        self.kills += 1
        look()
        self.start()

    def is_alive(self) -> bool:
        """Whether it runs, and is still the one that was started."""
        return self._process.poll() is None

    def resident_bytes(self) -> int:
        """What it holds."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def sample(self) -> tuple[int, int, int]:
        """Its open descriptors, its threads, and the bytes that it holds."""
        folder = Path(f"/proc/{self._process.pid}")
        return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir())), self.resident_bytes()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        self._process.kill()
        self._process.wait()


def storm(
    folder: Path, requests: int, askers: int, daemon_kills: int, broker_kills: int, bundle: Path | None = None
) -> Outcome:
    """Ask, kill at seeded points of the way, and wait until everything is answered or nothing moves for two minutes.

    bundle: a real model, instead of the scripted engine; what is begun how often cannot be seen then.
    """
    port, jobs = free_port(), folder / "jobs.txt"
    jobs.touch()
    with running(folder, port, jobs, bundle) as (broker, daemon):
        clients = [Asker(port, f"c{number}", requests // askers) for number in range(askers)]
        for client in clients:
            client.start()
        started = time.monotonic()
        due = schedule(requests, {"daemon": daemon_kills, "broker": broker_kills})
        interrupted: list[str] = []

        def kill_daemon() -> None:
            daemon.kill(lambda: interrupted.extend(open_names(folder / "state") & set(jobs.read_text().split())))

        follow(clients, requests, due, {"daemon": kill_daemon, "broker": broker.kill})
        seconds = time.monotonic() - started
        time.sleep(1)  # what is on its way twice shall be seen
        for client in clients:
            client.stop()
    answers = {name: bodies for client in clients for name, bodies in client.answers.items()}
    begun = Counter(jobs.read_text().split())
    kills = {"daemon": daemon.kills, "broker": broker.kills}
    repeats = sum(client.repeats for client in clients)
    return Outcome(requests, seconds, kills, answers, begun, len(interrupted), repeats)


def open_names(state: Path) -> set[str]:
    """The requests without an answer in a dead daemon's journal; a copy is read, since reading would tidy it up."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copytree(state, Path(name) / "state")) / "test.journal"
        with contextlib.closing(sqlite3.connect(copy)) as database:
            return {row[0] for row in database.execute("select id from request where reply is null")}


@contextlib.contextmanager
def running(folder: Path, port: int, jobs: Path, bundle: Path | None) -> Iterator[tuple[Process, Process]]:
    """The broker and the daemon."""
    command = mosquitto_command(folder, port, PERSISTENT.format(folder=folder))
    broker = Process(command, folder / "broker.log", port=port)
    settings = daemon_settings(folder, port)
    program = ["edge.testing", f"--log={jobs}"]
    if bundle:
        program, settings["EDGE_ENGINE__BUNDLE"] = ["edge", "serve"], str(bundle)
    daemon = Process([sys.executable, "-m", *program], folder / "daemon.log", settings)
    try:
        yield broker, daemon
    finally:
        daemon.stop()
        broker.stop()


def daemon_settings(folder: Path, port: int) -> dict[str, str]:
    """A daemon that takes in what many ask at once."""
    return {
        "EDGE_DEVICE": "test",
        "EDGE_BROKER__PORT": str(port),
        "EDGE_JOURNAL__FOLDER": str(folder / "state"),
        "EDGE_ENGINE__CACHE_FOLDER": str(folder / "cache"),
        "EDGE_ENGINE__PACKS": "false",
        "EDGE_LIMITS__QUEUE_LENGTH": "1000",
        "EDGE_LIMITS__QUEUE_PER_CLIENT": "1000",
        "EDGE_ENGINE__VERIFY_HASHES": "false",
        "EDGE_TELEMETRY__PERIOD_SECONDS": "60",
        "EDGE_LOG_LEVEL": "warning",
    }


def schedule(requests: int, kills: dict[str, int]) -> list[tuple[int, str]]:
    """After how many answers whom to kill."""
    chance = random.Random(0)
    names = [name for name, count in kills.items() for _ in range(count)]
    points = sorted(chance.sample(range(requests // 20, requests * 19 // 20), len(names)))
    chance.shuffle(names)
    return list(zip(points, names, strict=True))


def follow(clients: list[Asker], requests: int, due: list[tuple[int, str]], kill: dict[str, Any]) -> None:
    """Until all have their answers; kills on the way."""
    due, moved, before = list(due), time.monotonic(), -1
    while (answered := sum(len(client.answers) for client in clients)) < requests or due:
        if answered != before:
            before, moved = answered, time.monotonic()
        if due and answered >= due[0][0]:
            kill[due.pop(0)[1]]()
        if time.monotonic() - moved > 120:
            return
        for client in clients:
            client.step()
        time.sleep(0.002)
