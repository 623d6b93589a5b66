"""A booted Debian that Ansible sets up as a board and as its own broker."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.fleet_of_boards import Played, play
from tests.systemd.machine import Machine
from tests.systemd.packages import build, debian_board

CONNECTIONS = Path(__file__).with_name("connections")
QUESTION = "What is the capital of France?"
PASSWORDS = {"board": "the-boards-own", "me": "the-operators-own"}


@dataclass
class Site:
    """The machine, and the inventory that tells Ansible of it."""

    machine: Machine
    inventory: Path

    def play(self, *options: str, **settings: Any) -> Played:
        """The playbook `site`; settings: of edge.toml for this board."""
        extra = ["-e", json.dumps({"edge_board_settings": settings})] if settings else []
        return play("site", self.inventory, *extra, *options, ANSIBLE_CONNECTION_PLUGINS=str(CONNECTIONS))

    def answer(self) -> str:
        """What the board answers to the operator."""
        words = f"edge ask --broker 127.0.0.1 --device board --user me --password-file /run/me {shlex.quote(QUESTION)}"
        return self.machine.run("sh", "-c", f"umask 077; printf %s {PASSWORDS['me']} > /run/me; {words}")

    def started(self, unit: str) -> str:
        """When a service was started last, by systemd's clock."""
        return self.machine.run("systemctl", "show", unit, "--property=ExecMainStartTimestampMonotonic", "--value")


def inventory(machine: Machine, folder: Path, bundle: Path) -> Path:
    """One host, in both groups."""
    root = folder / "root.json"
    root.write_text("{}")
    host = {
        "ansible_connection": "entered",
        "ansible_host": str(machine.pid),
        "ansible_become": False,
        "ansible_python_interpreter": "/usr/bin/python3",
        "edge_packages": str(folder / "packages"),
        "edge_bundle": str(bundle),
        "edge_broker_password": PASSWORDS["board"],
        "edge_broker_users": {"me": {"password": PASSWORDS["me"], "operator": True}},
        "edge_files": {"root.json": str(root)},
        "edge_clock": True,
        "edge_settings": {
            "broker": {"host": "127.0.0.1", "username": "board"},
            "store": {"folder": "/var/lib/edge-slm/store", "repository": "/mnt/repository", "desired": True},
        },
    }
    file = folder / "hosts.json"
    groups = {"edge_boards": {"hosts": {"board": host}}, "edge_broker": {"hosts": {"board": None}}}
    file.write_text(json.dumps(groups))
    return file


@contextlib.contextmanager
def site(folder: Path, bundle: Path) -> Iterator[Site]:
    """A Debian 12 with Python and Mosquitto on it, and nothing of ours."""
    build(12, folder / "packages")
    with debian_board(12, folder / "packages", bundle, folder) as machine:
        yield Site(machine, inventory(machine, folder, bundle))
    shutil.rmtree(folder / "packages")
