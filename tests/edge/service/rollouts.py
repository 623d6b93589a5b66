"""A whole daemon in this process, with a store of scripted bundles, and what it says of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from edge.board.instruments import Instruments
from edge.config import Settings
from edge.errors import BundleError
from edge.service.bundles import Bundles
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.store.store import Store
from edge.testing import MemoryTransport, ScriptedEngine, write_tree
from edge.testing.bundles import Script, arrive, opened
from edge.wire.message import Message

FREE = "MemTotal: 8000000 kB\nMemAvailable: {kilobytes} kB\n"
PARIS = {"golden": [{"prompt": "The capital of France?", "contains": "hello WORLD"}]}
"""What a scripted bundle is to answer, which it does unless its pieces are others."""
GOOD = Script(manifest={"name": "scripted", "version": "2", **PARIS})
WRONG = Script(pieces=("Bye",), manifest=GOOD.manifest)


class Rig:
    """The daemon, its two ends, its store. engines: of the store's bundles that were opened, by digests."""

    def __init__(self, folder: Path, engine: ScriptedEngine | None = None, **options: Any) -> None:
        self.folder, self.engine = folder, engine or ScriptedEngine()
        self.store = Store(folder / "store")
        (self.store.folder / "bundles").mkdir(parents=True, exist_ok=True)
        self.transport = MemoryTransport()
        self.engines: dict[str, ScriptedEngine] = {}
        self.has_own = True
        """Whether there is an `engine.bundle`."""
        root = write_tree(
            folder / "root", {"proc/meminfo": FREE.format(kilobytes=options.pop("free_kilobytes", 7000000))}
        )
        store = {"folder": self.store.folder, "probation_seconds": 0.2, **options.pop("store", {})}
        queue = {"queue_length": 100, "queue_per_client": 100, "stop_seconds": 1, "commands": True}
        self.settings = Settings(
            device="pi", limits=queue, store=store, telemetry={"root": root, "period_seconds": 0.1}, **options
        )
        self.program = [sys.executable, str(folder / "installer.py")]

    def open(self, digest: str | None) -> Served:
        """A bundle; an engine of the store's is the last one that was opened."""
        if digest is None and not self.has_own:
            raise BundleError("engine.bundle is not there")
        served = opened(self.store, self.engine, digest)
        self.engines[served.digest] = served.engine  # type: ignore[assignment]  # as all of these are
        return served

    def install(self, script: Script) -> str:
        """A bundle into the store, to be tried; its digest."""
        return arrive(self.store, lambda: script.put(self.store))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        """The daemon for the length of the block, its installer the test's own."""
        bundles = Bundles(self.store, self.open)
        seat = Seat(bundles.first())
        journal = JournalFile(self.folder / "pi.journal")
        self.daemon = Daemon(self.settings, seat, self.transport, Instruments(), journal, (), bundles)
        if self.daemon._rollout is not None:
            self.daemon._rollout._installer._program = self.program
            self.daemon._rollout.look_seconds = self.daemon._rollout.rested_seconds = 0.1
        task = asyncio.create_task(self.daemon.run())
        try:
            yield self
        finally:
            self.daemon.stop()
            await asyncio.wait_for(task, 10)

    def wish(self, body: Any, topic: str = "edge/pi/desired") -> None:
        """A wish arrives."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.transport.arrive(Message(topic, payload, 1, retain=True))

    def ask(self, name: str = "q", **fields: Any) -> None:
        """A request arrives."""
        self.transport.arrive(Message("edge/pi/request", json.dumps({"prompt": "x", "id": name, **fields}).encode(), 1))

    def said(self, kind: str) -> list[dict[str, Any]]:
        """What was published on a topic."""
        return [json.loads(each.payload) for each in self.transport.published if each.topic == f"edge/pi/{kind}"]

    def states(self) -> list[str]:
        """What `reported` said, each once."""
        said = [body["state"] for body in self.said("reported")]
        return [state for place, state in enumerate(said) if place == 0 or said[place - 1] != state]

    async def reported(self, *states: str, where: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """The last body that was reported, once it is one of these states."""
        async with asyncio.timeout(20):
            while not (
                self.said("reported")
                and self.said("reported")[-1]["state"] in states
                and where(self.said("reported")[-1])
            ):
                await asyncio.sleep(0.02)
        return self.said("reported")[-1]

    async def gone(self, digest: str) -> None:
        """Return once a bundle is neither in the store nor in an engine: both go after it is reported."""
        async with asyncio.timeout(20):
            while self.store.has(digest) or self.engines[digest].alive:
                await asyncio.sleep(0.02)

    async def answers(self, count: int = 1) -> list[dict[str, Any]]:
        """Terminal messages, once there are so many."""
        return await self.transport.wait_for("reply", count, 20)


def run(work: Callable[[], Any]) -> None:
    """An async test."""
    asyncio.run(asyncio.wait_for(work(), 30))
