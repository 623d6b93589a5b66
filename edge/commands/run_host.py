"""`python -m edge.commands.run_host`: a broker and the daemon for `edge run`, a process of its own.

It ends with who called it (its standard input closes then), or, where it is to stay, after a while without a request.
On standard output the last line is JSON: `{"port": 40123}` once the model answers, `{"taken": true}` where another
host has the record.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

from edge.commands import streams
from edge.commands.demo import broker_process, daemon_process, wait_until_online
from edge.config import Broker, load_settings
from edge.errors import EdgeError
from edge.mqtt.client import Client, json_object

DEVICE = "run"
READY_SECONDS = 600.0
"""A large model on a small board loads for minutes."""
LOOK_SECONDS = 0.5


class Idle:
    """How long nobody has asked, by what comes on the device's topics."""

    def __init__(self) -> None:
        self._last, self._open = time.monotonic(), 0

    def heard(self, topic: str, payload: bytes) -> None:
        """A request came, or a message of its answer went."""
        kind = topic.split("/")[2]
        if kind not in ("request", "reply"):
            return
        self._last = time.monotonic()
        is_end = kind == "reply" and (json_object(payload) or {}).get("type") == "reply"
        self._open = max(0, self._open + (kind == "request") - is_end)

    @property
    def seconds(self) -> float:
        """Since the last message of a request; 0 while one is open."""
        return 0.0 if self._open else time.monotonic() - self._last


def main() -> int:
    """Serve a bundle until nobody wants it; exit statuses as `edge serve`."""
    parser = argparse.ArgumentParser(prog="python -m edge.commands.run_host", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--record", type=Path, help="a file that says where it is, as long as it is")
    parser.add_argument("--keep-alive", type=float, metavar="SECONDS", help="stay until so long nobody has asked")
    options = parser.parse_args()
    streams.let_output_go()  # who reads it may be gone
    try:
        with recorded(options.record) as record:
            if record is not None:
                asyncio.run(host(options.bundle, options.keep_alive, record))
    except EdgeError as error:
        print(f"edge run: {error}", file=sys.stderr)
        return error.exit_status
    return 0


class Record:
    """The file by which the next call finds this host; without a path it is none."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def write(self, port: int, bundle: Path) -> None:
        """Say where, to whoever looks and to who waits."""
        text = json.dumps({"pid": os.getpid(), "port": port, "bundle": str(bundle)})
        if self._descriptor is not None:
            os.pwrite(self._descriptor, text.encode(), 0)
        print(json.dumps({"port": port}), flush=True)


@contextlib.contextmanager
def recorded(path: Path | None) -> Iterator[Record | None]:
    """A record that is ours until the end, and goes then; None where another host has it, which is told."""
    if path is None:
        yield Record(None)
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(descriptor)):
            raise BlockingIOError  # the one before us has just removed it
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        print(json.dumps({"taken": True}), flush=True)
        yield None
        return
    os.ftruncate(descriptor, 0)
    try:
        yield Record(descriptor)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        log = path.with_suffix(".log")
        if log.exists() and not log.stat().st_size:
            log.unlink()


async def host(bundle: Path, keep_seconds: float | None, record: Record) -> None:
    """Start both, say so, wait for the end. EdgeError where the daemon does not start, or ends by itself."""
    stopping = stopping_by_signals()
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port, **settings_for()) as daemon,
        Client(Broker(port=port), DEVICE, (f"edge/{DEVICE}/#",)) as client,
    ):
        starting = asyncio.create_task(wait_until_online(client, daemon, READY_SECONDS))
        if keep_seconds is None:
            stop_with_input(stopping)
        await first_of(starting, stopping.wait())
        if stopping.is_set():
            return
        started(starting, daemon)
        record.write(port, bundle)
        idle = Idle()
        listening = listen(client, idle)
        await first_of(stopping.wait(), daemon.wait(), listening, until_idle(idle, keep_seconds))
    if daemon.returncode not in (0, -signal.SIGTERM, None) and not stopping.is_set():
        raise EdgeError("the daemon ended by itself; the lines above say why")


def started(starting: asyncio.Task[None], daemon: asyncio.subprocess.Process) -> None:
    """Raise what kept the daemon from its start, with the exit status that it had."""
    try:
        starting.result()
    except EdgeError as error:
        error.status = daemon.returncode or error.status
        raise


async def first_of(*work: Awaitable[Any]) -> None:
    """Return once one has ended, or failed, which is looked at elsewhere; the others are cancelled then."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.exception()
    finally:
        for task in tasks:
            task.cancel()


def settings_for() -> dict[str, str]:
    """The daemon's settings: what this machine's say of the engine, and nothing of doors, tools and the like.

    Nothing that was asked is left on the disk.
    """
    engine = load_settings().engine
    return {
        "EDGE_CONFIG": os.devnull,
        "EDGE_DEVICE": DEVICE,
        "EDGE_ENGINE__PROVIDER": engine.provider,
        "EDGE_ENGINE__KIND": engine.kind,
        "EDGE_ENGINE__THREADS": str(engine.threads),
        "EDGE_ENGINE__PREFIX_DISK_BYTES": "0",
    }


def stopping_by_signals() -> asyncio.Event:
    """Set once a signal says to end."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def stop_with_input(stopping: asyncio.Event) -> None:
    """Set it once standard input is closed, whatever became of who held its other end."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stopping.set()

    loop.add_reader(0, readable)


async def listen(client: Client, idle: Idle) -> None:
    """Hear who asks."""
    async for message in client.messages():
        idle.heard(message.topic, message.payload)


async def until_idle(idle: Idle, keep_seconds: float | None) -> None:
    """Return once nobody has asked for so long; never where that is None."""
    while keep_seconds is None or idle.seconds < keep_seconds:
        await asyncio.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
