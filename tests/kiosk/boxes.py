"""A box: the embedded broker that hands out the page, the daemon, and the page's configuration; all can be killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients import User
from tests.conftest import EDGE, ROOT, free_port
from tests.storm import Process

PAGE = ROOT / "deploy/kiosk/dist"
USUAL: dict[str, Any] = {"device": "test", "idle_seconds": 0, "language": "en"}
"""What a test's page is told where it says nothing else: nobody is asked whether they are still there."""


@dataclass
class Box:
    """What runs. url: the page's address. site: the folder that is handed out. secret of none: no passwords."""

    folder: Path
    site: Path
    port: int
    web_port: int
    broker: Process
    daemon: Process

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self.web_port}/"

    def wait_online(self) -> None:
        """Return once the daemon says so."""
        with User(self.port) as user:
            user.wait_online("test")

    def files(self) -> list[str]:
        """The daemon's files, below its state and its cache."""
        places = (self.folder / "state", self.folder / "cache")
        files = [path for place in places for path in place.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.folder)) for path in files)

    def kept(self, word: str) -> list[str]:
        """Those of them in which a word stands, as it is or in Base64, as the journal has it."""
        forms = [word.encode(), *in_base64(word.encode())]
        return [name for name in self.files() if any(each in (self.folder / name).read_bytes() for each in forms)]


def in_base64(word: bytes) -> list[bytes]:
    """What can be seen of a word in the Base64 of a text, by where in the text it begins."""
    texts = [urlsafe_b64encode(b"\0" * before + word) for before in range(3)]
    return [text[(before * 8 + 5) // 6 : (before + len(word)) * 8 // 6] for before, text in enumerate(texts)]


def site(folder: Path, config: dict[str, Any]) -> Path:
    """The page, with a configuration of its own, as a folder to hand out."""
    made = folder / "site"
    shutil.copytree(PAGE, made)
    (made / "kiosk.json").write_text(json.dumps(USUAL | config), encoding="utf-8")
    return made


def made_up(*options: str) -> list[str]:
    """The daemon's command with a scripted engine."""
    return [sys.executable, "-m", "edge.testing", *options]


def password_file(folder: Path, **users: str) -> Path:
    """Names and passwords as mosquitto_passwd writes them."""
    lines = []
    for name, password in users.items():
        salt = os.urandom(12)
        digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
        lines.append(f"{name}:$7$101${b64encode(salt).decode()}${b64encode(digest).decode()}\n")
    path = folder / "passwords"
    path.write_text("".join(lines), encoding="utf-8")
    return path


@contextmanager
def box(
    folder: Path,
    bundle: Path | None = None,
    config: dict[str, Any] | None = None,
    scripted: tuple[str, ...] = ("--pieces=8", "--pause-seconds=0.05"),
    serve: tuple[str, ...] = (),
    **settings: str,
) -> Iterator[Box]:
    """Broker, page and daemon. bundle: a real model; without it answers are scripted. serve: the broker's options."""
    made = site(folder, config or {})
    port, web_port = free_port(), free_port()
    ports = [f"--port={port}", f"--websocket-port={web_port}"]
    broker = Process([*EDGE, "broker", *ports, f"--serve=/={made}", *serve], folder / "broker.log", port=port)
    try:
        command = [*EDGE, "serve"] if bundle else made_up(*scripted)
        daemon = Process(command, folder / "daemon.log", daemon_settings(folder, port, bundle) | settings)
        try:
            yield Box(folder, made, port, web_port, broker, daemon)
        finally:
            daemon.stop()
    finally:
        broker.stop()


def daemon_settings(folder: Path, port: int, bundle: Path | None) -> dict[str, str]:
    """A daemon that tells how it is every second, whose folders are below the box's."""
    settings = {
        "EDGE_DEVICE": "test",
        "EDGE_BROKER__PORT": str(port),
        "EDGE_JOURNAL__FOLDER": str(folder / "state"),
        "EDGE_ENGINE__CACHE_FOLDER": str(folder / "cache"),
        "EDGE_TELEMETRY__PERIOD_SECONDS": "1",
        "EDGE_LIMITS__STOP_SECONDS": "1",
    }
    return settings | ({"EDGE_ENGINE__BUNDLE": str(bundle)} if bundle else {})
