"""HTTP doors to ask at: one whose inside is the test, and one of a daemon with a scripted engine."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from edge.config import Settings
from edge.doors.http.server import Http
from edge.errors import Fault
from edge.testing.inside import MemoryInside
from edge.wire.reply import Outcome, Usage, delta, refusal, terminal
from edge.wire.request import Address
from tests.conftest import EDGE, free_port, running, wait_until

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


@contextmanager
def board(folder: Path, port: int = 1, pieces: int = 3, pause: float = 0.0, **settings: str) -> Iterator[str]:
    """A scripted daemon with a door, by default without a broker; the door's address. port: the broker's."""
    own = free_port()
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(folder / "state")}
    env |= {"EDGE_HTTP__ADDRESS": f"127.0.0.1:{own}", **settings}
    command = [sys.executable, "-m", "edge.testing", f"--pieces={pieces}", f"--pause-seconds={pause}"]
    address = f"http://127.0.0.1:{own}"
    with running([*command, f"--log={folder / 'asked.log'}"], folder / "daemon.log", env):
        wait_until(lambda: is_there(address) and httpx.get(f"{address}/health").status_code == 200)
        yield address


@contextmanager
def real(bundle: Path, folder: Path) -> Iterator[str]:
    """A daemon with a door and a real model, without a broker; the door's address."""
    own = free_port()
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": "1", "EDGE_HTTP__ADDRESS": f"127.0.0.1:{own}"}
    env |= {"EDGE_ENGINE__BUNDLE": str(bundle), "EDGE_ENGINE__PACKS": "false"}
    env |= {"EDGE_JOURNAL__FOLDER": str(folder / "state"), "EDGE_ENGINE__CACHE_FOLDER": str(folder / "cache")}
    address = f"http://127.0.0.1:{own}"
    with running([*EDGE, "serve"], folder / "daemon.log", env):
        wait_until(lambda: is_there(address) and httpx.get(f"{address}/health").status_code == 200)
        yield address
