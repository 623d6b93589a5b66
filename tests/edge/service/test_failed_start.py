"""A daemon whose engine does not come up: what was asked of it is not lost, and whoever looks is told why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from edge.board.instruments import Instruments
from edge.config import Settings
from edge.errors import BrokerError, EdgeError, StartError
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest
from edge.wire.message import Message


class SlowEngine(ScriptedEngine):
    """An engine whose start waits for a word, and then fails or not."""

    def __init__(self, error: EdgeError | None = None) -> None:
        super().__init__()
        self.go, self.error, self.was_cancelled = asyncio.Event(), error, False

    async def start(self) -> None:
        """Wait; then be ready, or not."""
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self.error:
            raise self.error
        await super().start()


def daemon(engine: ScriptedEngine, journal: Path) -> tuple[Daemon, MemoryTransport]:
    """A daemon with a journal on the disk, and its broker's side."""
    transport = MemoryTransport()
    settings = Settings(device="pi")
    return Daemon(
        settings, Seat(Served(scripted_manifest(), engine)), transport, Instruments(), JournalFile(journal)
    ), transport


def states(transport: MemoryTransport) -> list[dict]:
    """What was said on the status topic."""
    return [json.loads(each.payload) for each in transport.published if each.topic == "edge/pi/status"]


ASKED = Message("edge/pi/request", json.dumps({"prompt": "x", "id": "q"}).encode(), 1)


def test_what_was_accepted_waits_for_a_start_that_succeeds(tmp_path):
    """Nobody is refused because a start failed: the next daemon answers, and the first said why it went."""

    async def work():
        engine = SlowEngine(StartError("memory is short"))
        service, transport = daemon(engine, tmp_path / "journal")
        running = asyncio.create_task(service.run())
        transport.arrive(ASKED)
        await transport.wait_for("queued")
        engine.go.set()
        with pytest.raises(StartError, match="memory is short"):
            await running
        assert transport.bodies("reply") == []
        last = states(transport)[-1]
        assert (last["state"], last["reason"]) == ("offline", "memory is short")

        service, transport = daemon(ScriptedEngine(), tmp_path / "journal")
        running = asyncio.create_task(service.run())
        (reply,) = await transport.wait_for("reply")
        assert (reply["id"], reply["code"]) == ("q", 200)
        service.stop()
        await running
        assert "reason" not in states(transport)[-1]

    asyncio.run(asyncio.wait_for(work(), 30))


def test_a_stop_while_the_engine_loads_ends_at_once(tmp_path):
    """Loading is given up, who waits is refused as at any stop, and it was never online."""

    async def work():
        engine = SlowEngine()
        service, transport = daemon(engine, tmp_path / "journal")
        running = asyncio.create_task(service.run())
        transport.arrive(ASKED)
        await transport.wait_for("queued")
        service.stop()
        await running
        assert engine.was_cancelled
        assert [reply["code"] for reply in transport.bodies("reply")] == [503]
        assert [body["state"] for body in states(transport)] == ["loading", "stopping", "offline"]

    asyncio.run(asyncio.wait_for(work(), 30))


def test_the_brokers_refusal_ends_a_start_that_still_loads(tmp_path):
    """It does not wait for a model that nobody could ask."""

    async def work():
        engine = SlowEngine()
        service, transport = daemon(engine, tmp_path / "journal")
        running = asyncio.create_task(service.run())
        transport.received.put_nowait(BrokerError("refused"))
        with pytest.raises(BrokerError, match="refused"):
            await running
        assert engine.was_cancelled

    asyncio.run(asyncio.wait_for(work(), 30))
