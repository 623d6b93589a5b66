"""HTTP doors to ask at: one whose inside is the test, and one of a daemon with a scripted engine."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from edge.config import Settings
from edge.doors.http.server import Http
from edge.errors import Fault
from edge.testing.inside import MemoryInside
from edge.wire.reply import Outcome, Usage, delta, refusal, terminal
from edge.wire.request import Address
from tests.conftest import free_port, running, wait_until

SAID = "All lamps are off."
INFO = {"model": "small", "payload_bytes": 262_144, "context_length": 2048, "capabilities": ["text"]}
TO = Address("door/x", "q")


def bodies(text: str = SAID, *pieces: str, **outcome: Any) -> list[dict[str, Any]]:
    """What the daemon tells of a request: pieces, then the reply."""
    said = [json.loads(delta(TO, number, piece).payload) for number, piece in enumerate(pieces)]
    made = Outcome(200, outcome.pop("finish_reason", "stop"), text, Usage(7, 3, 2), index=len(pieces), **outcome)
    return [*said, json.loads(terminal(TO, made).payload)]


def fault(error: Fault) -> list[dict[str, Any]]:
    """The reply to a request that is refused."""
    return [json.loads(terminal(TO, refusal(error)).payload)]


@contextmanager
def door(inside: MemoryInside, **http: Any) -> Iterator[str]:
    """A door in this process, whose inside is the test's; its address."""
    inside.about = inside.about or INFO
    port = free_port()
    made = Http(Settings(device="pi", http={"address": f"127.0.0.1:{port}", **http}))
    loop = asyncio.new_event_loop()
    living = loop.create_task(made.run(inside))
    thread = threading.Thread(target=_until_cancelled, args=(loop, living))
    thread.start()
    address = f"{'https' if http.get('tls_certificate') else 'http'}://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_there(address))
        yield address
    finally:
        loop.call_soon_threadsafe(living.cancel)
        thread.join(15)
        assert not thread.is_alive()
        loop.close()


def _until_cancelled(loop: asyncio.AbstractEventLoop, living: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(living)


def is_there(address: str) -> bool:
    """Whether a door answers."""
    try:
        return httpx.get(f"{address}/health/live", verify=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Board:
    """A daemon with a door. asked: the prompts that its engine has begun with, a line each."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    asked: Path

    def load(self) -> dict[str, Any]:
        """What runs and waits now."""
        found: dict[str, Any] = httpx.get(f"{self.address}/health", timeout=10).json()["load"]
        return found

    def begun(self) -> list[str]:
        """The prompts that the engine has begun with."""
        return self.asked.read_text().splitlines() if self.asked.exists() else []


LARGE = """
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422"]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "413", "429", "503"]
"""
"""For schemathesis: that a body is too large is no fault of its fields."""


@contextmanager
def board(folder: Path, port: int = 1, pieces: int = 3, pause: float = 0.0, **settings: str) -> Iterator[Board]:
    """A scripted daemon with a door and an embedding model, by default without a broker. port: the broker's."""
    own, asked, log = free_port(), folder / "asked.log", folder / "daemon.log"
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(folder / "state")}
    env |= {"EDGE_HTTP__ADDRESS": f"127.0.0.1:{own}", **settings}
    command = [sys.executable, "-m", "edge.testing", f"--pieces={pieces}", f"--pause-seconds={pause}", f"--log={asked}"]
    command.append("--vectors")
    with running(command, log, env) as process:
        made = Board(f"http://127.0.0.1:{own}", process, log, asked)
        wait_until(lambda: is_there(made.address) and httpx.get(f"{made.address}/health").status_code == 200)
        yield made
