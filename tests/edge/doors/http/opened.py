"""Doors that are open: one whose other side is the test, and that of a real daemon without a broker."""

from __future__ import annotations

import asyncio
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.config import Settings
from edge.doors.http.server import Http
from edge.testing.inside import MemoryInside
from tests.conftest import EDGE, free_port, running, wait_until
from tests.edge.doors.http.bodies import ABOUT


@contextmanager
def opened() -> Iterator[tuple[str, MemoryInside]]:
    """Where it is, and what it opens to."""
    address, inside = f"127.0.0.1:{free_port()}", MemoryInside()
    inside.about = dict(ABOUT)
    loop, is_over = asyncio.new_event_loop(), asyncio.Event()
    door = Http(Settings(device="pi", http={"address": address}))

    async def life() -> None:
        task = asyncio.create_task(door.run(inside))
        await is_over.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=loop.run_until_complete, args=(life(),), name="door")
    thread.start()
    try:
        wait_until(lambda: is_well(f"http://{address}"))
        yield f"http://{address}", inside
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join(15)
        loop.close()


@contextmanager
def scripted(folder: Path, *options: str, **settings: str) -> Iterator[str]:
    """Where a daemon with a scripted engine answers; its words are `word `."""
    with _daemon([sys.executable, "-m", "edge.testing", *options], folder, settings) as place:
        yield place


@contextmanager
def real(bundle: Path, folder: Path, **settings: str) -> Iterator[str]:
    """Where a daemon with a real model answers."""
    settings = {"EDGE_ENGINE__BUNDLE": str(bundle), "EDGE_ENGINE__PACKS": "false", **settings}
    with _daemon([*EDGE, "serve"], folder, settings) as place:
        yield place


@contextmanager
def _daemon(command: list[str], folder: Path, settings: dict[str, str]) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": str(free_port()), "EDGE_HTTP__ADDRESS": address}
    env |= {"EDGE_JOURNAL__FOLDER": str(folder / "state"), "EDGE_ENGINE__CACHE_FOLDER": str(folder / "cache")}
    with running(command, folder / "daemon.log", env | settings):
        wait_until(lambda: is_well(f"http://{address}"), 60)
        yield f"http://{address}"


def is_well(place: str) -> bool:
    """Whether the model is there."""
    try:
        with urllib.request.urlopen(f"{place}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
