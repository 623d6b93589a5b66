"""Ansible as an operator runs it, and six boards at one broker with a signed repository of scripted bundles."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.testing.bundles import Script
from tests.clients import User
from tests.conftest import ROOT, mosquitto, running
from tests.edge.store.publishing import Published

VENV = ROOT / ".venv-ansible"
NAMES = tuple(f"board-{number}" for number in range(1, 7))
GOLDEN = [{"prompt": "Which?", "contains": "good"}]
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.M)
BUNDLES = {
    "2": Script(pieces=("a ", "good ", "one"), manifest={"golden": GOLDEN}),
    "3": Script(pieces=("a ", "bad ", "one"), manifest={"golden": GOLDEN}),
    "4": Script(pieces=("a ", "good ", "but ", "rude ", "one"), figures=(0.01, 0.5), manifest={"golden": GOLDEN}),
}
"""Good; rolled back by the board itself; kept by it, but slow, and not what the operator wants to hear."""


@dataclass(frozen=True)
class Played:
    """How a playbook ended. counts: of each host, `changed` and `failed`."""

    status: int
    output: str
    counts: dict[str, dict[str, int]]

    @property
    def changed(self) -> int:
        """Tasks that changed something, on all hosts."""
        return sum(each["changed"] for each in self.counts.values())

    @property
    def failed(self) -> set[str]:
        """Hosts with a task that failed, or that were not reached."""
        return {host for host, each in self.counts.items() if each["failed"]}


def play(name: str, inventory: Path, *options: str, seconds: float = 300, **environment: str) -> Played:
    """A playbook of the collection."""
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(VENV / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    command = [str(VENV / "bin/ansible-playbook"), "-i", str(inventory), f"edge_slm.fleet.{name}", *options]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env=os.environ | settings,
        cwd=inventory.parent,
    )
    counts = {
        host: {"changed": int(changed), "failed": int(failed) + int(away)}
        for host, _, changed, away, failed in RECAP.findall(done.stdout)
    }
    return Played(done.returncode, done.stdout + done.stderr, counts)


class Fleet:
    """Boards that run version 1, and a repository with the versions above."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.repository = Published(folder / "repository")
        for version, script in BUNDLES.items():
            place = folder / "bundles" / version
            place.parent.mkdir(exist_ok=True)
            Script(**{**vars(script), "manifest": {**script.manifest, "version": version}}).write(place)
            self.repository.add(place, version)
        self._running: dict[str, contextlib.ExitStack] = {}
        self.inventory = folder / "hosts.yml"
        self.inventory.write_text(json.dumps({"edge_boards": {"hosts": dict.fromkeys(NAMES)}}))

    def start(self, name: str, **settings: str) -> None:
        """One board's daemon, in place of the one that may run. settings: other variables."""
        self.stop(name)
        state = self.folder / name
        environment = {
            "EDGE_DEVICE": name,
            "EDGE_BROKER__PORT": str(self.port),
            "EDGE_JOURNAL__FOLDER": str(state / "journal"),
            "EDGE_ENGINE__CACHE_FOLDER": str(state / "cache"),
            "EDGE_ENGINE__BUNDLE": str(state / "none"),
            "EDGE_STORE__FOLDER": str(state / "store"),
            "EDGE_STORE__REPOSITORY": str(self.repository.folder),
            "EDGE_STORE__ROOT": str(self.repository.trusted),
            "EDGE_STORE__DESIRED": "true",
            "EDGE_STORE__PROBATION_SECONDS": "0.5",
            "EDGE_STORE__SPEED_FLOOR": "0.001",
            "EDGE_TELEMETRY__PERIOD_SECONDS": "0.3",
            "EDGE_GOVERNOR__ENABLED": "false",
            "EDGE_LOG_LEVEL": "warning",
            **settings,
        }
        state.mkdir(exist_ok=True)
        self._running[name] = contextlib.ExitStack()
        command = [sys.executable, "-m", "edge.testing"]
        self._running[name].enter_context(running(command, state / "daemon.log", environment))

    def stop(self, name: str) -> None:
        """End it, where it runs."""
        if name in self._running:
            self._running.pop(name).close()

    def wait_online(self) -> None:
        """Until all boards are."""
        with User(self.port, "edge/+/status") as watcher:
            states: dict[str, str] = {}
            while {name for name, state in states.items() if state == "online"} != set(NAMES):
                message = watcher.next(60)
                states[message.topic.split("/")[1]] = json.loads(message.payload)["state"]

    def rollout(self, version: str, *options: str, **variables: Any) -> tuple[Played, dict[str, dict[str, Any]]]:
        """A bundle for all, in waves of 1, 2 and 3; the report."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        wanted = {
            "rollout_bundle": f"scripted@{version}",
            "rollout_command": [sys.executable, "-m", "edge"],
            "rollout_wave_base": 2,
            "rollout_wave_max": 3,
            "rollout_speed_tokens": 8,
            "rollout_speed_answers": 1,
            "rollout_wait_seconds": 60,
            "rollout_report": str(report),
            **variables,
        }
        settings = {"EDGE_BROKER__PORT": str(self.port), "ANSIBLE_FORKS": "6"}
        played = play("rollout", self.inventory, "-e", json.dumps(wanted), *options, **settings)
        told = json.loads(report.read_text())["boards"] if report.exists() else {}
        return played, told

    def runs(self) -> dict[str, str]:
        """The version that each board says it runs, retained at the broker."""
        with User(self.port, "edge/+/reported") as reader:
            return {board: body["bundle"]["version"] for board, body in retained(reader).items()}

    def wishes(self) -> dict[str, str]:
        """The version that is wished for of each board that a wish is kept for."""
        with User(self.port, "edge/+/desired") as reader:
            return {board: body["bundle"]["version"] for board, body in retained(reader).items()}


def retained(reader: User) -> dict[str, Any]:
    """What is kept on a topic of all boards, by their names."""
    found: dict[str, Any] = {}
    with contextlib.suppress(queue.Empty):
        while True:
            message = reader.next(0.5)
            found[message.topic.split("/")[1]] = json.loads(message.payload)
    return found


@contextlib.contextmanager
def fleet(folder: Path, picky: dict[str, dict[str, str]] | None = None) -> Iterator[Fleet]:
    """Broker, repository and six boards that are online. picky: other settings, by boards' names."""
    with mosquitto(folder) as port:
        boards = Fleet(folder, port)
        try:
            for name in NAMES:
                boards.start(name, **(picky or {}).get(name, {}))
            boards.wait_online()
            yield boards
        finally:
            for name in NAMES:
                boards.stop(name)
