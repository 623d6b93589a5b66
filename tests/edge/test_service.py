"""The whole daemon without a broker and without a model: admission, faults, cancel, deadlines, a dying engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from edge.config import Settings
from edge.errors import EngineFailed
from edge.messages import Message
from edge.service import Service
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest


class Rig:
    """A running service and its two ends."""

    def __init__(self, engine: ScriptedEngine, queue_length: int = 2) -> None:
        settings = Settings(device="pi", limits={"queue_length": queue_length, "stop_seconds": 1})
        self.transport, self.engine = MemoryTransport(), engine
        self.service = Service(settings, scripted_manifest(), self.transport, engine, [])

    def ask(self, name: str = "q", **fields) -> None:
        """A request arrives."""
        self.transport.arrive(Message("edge/pi/request", json.dumps({"prompt": "x", "id": name, **fields}).encode()))

    async def replies(self, count: int = 1) -> list[dict]:
        """Terminal messages, once there are so many."""
        return await self.transport.wait_for("reply", count)


@contextlib.asynccontextmanager
async def rig(engine: ScriptedEngine | None = None, **options) -> AsyncIterator[Rig]:
    """A service that runs for the length of the block."""
    made = Rig(engine or ScriptedEngine(), **options)
    task = asyncio.create_task(made.service.run())
    try:
        yield made
    finally:
        made.service.stop()
        await asyncio.wait_for(task, 10)


def run(work) -> None:
    """An async test."""
    asyncio.run(asyncio.wait_for(work(), 20))


def test_an_answer_streams_and_ends_once():
    """Deltas in order, then one reply with the whole text."""

    async def work():
        async with rig() as it:
            it.ask()
            (reply,) = await it.replies()
            assert (reply["code"], reply["text"], reply["index"]) == (200, "Hello world", 2)
            assert [delta["text"] for delta in it.transport.bodies("delta")] == ["Hello", " world"]

    run(work)


def test_a_full_queue_and_a_doubled_id_are_refused():
    """503 with retry_after, 409; what was accepted is answered all the same, in order."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine) as it:
            for name in "abacd":
                it.ask(name)
                await asyncio.sleep(0.05)
            refused = await it.replies(2)
            assert [(each["id"], each["code"]) for each in refused] == [("a", 409), ("d", 503)]
            assert refused[1]["error"]["retry_after"] > 0
            assert [each["place"] for each in it.transport.bodies("queued")] == [1, 2]
            engine.hold.set()
            assert [each["id"] for each in (await it.replies(5))[2:]] == ["a", "b", "c"]

    run(work)


def test_without_streaming_there_is_one_message():
    """An asker that wants no stream gets the terminal message alone, however long it waited."""

    async def work():
        async with rig(ScriptedEngine(pause_seconds=0.02)) as it:
            it.ask("first", stream=False)
            it.ask("second", stream=False)
            await it.replies(2)
            assert it.transport.bodies("queued") == it.transport.bodies("delta") == []

    run(work)


def test_faults_reach_their_asker():
    """An unknown model is 404, a retained request 400, a fault of the engine its own code."""

    async def work():
        async with rig() as it:
            it.ask(model="gpt-9")
            it.transport.arrive(Message("edge/pi/request", b"again", retain=True))
            assert [each["code"] for each in await it.replies(2)] == [404, 400]
            it.engine.fault = EngineFailed("broken")
            it.ask()
            assert (await it.replies(3))[2]["code"] == 500

    run(work)


def test_deadlines_and_cancels():
    """Time runs out while it runs: 408. A waiting one is cancelled without the engine: 499."""

    async def work():
        engine = ScriptedEngine(("a",) * 100, pause_seconds=0.02)
        async with rig(engine) as it:
            it.ask("late", deadline_ms=200)
            it.ask("waits")
            await asyncio.sleep(0.05)
            it.transport.arrive(Message("edge/pi/cancel", b"waits"))
            replies = {each["id"]: each for each in await it.replies(2)}
            assert replies["late"]["code"] == 408
            assert replies["late"]["text"].startswith("a")
            assert replies["waits"]["code"] == 499
            assert len(engine.jobs) == 1

    run(work)


def test_a_dying_engine_fails_one_request_and_is_started_again():
    """What was in flight ends with 500; what waited is answered by the next engine."""

    async def work():
        engine = ScriptedEngine(pause_seconds=0.05)
        engine.dies_after = 1
        async with rig(engine) as it:
            it.ask("first")
            it.ask("second")
            (first,) = await it.replies()
            engine.dies_after = None
            second = (await it.replies(2))[1]
            assert (first["id"], first["code"], first["text"]) == ("first", 500, "Hello")
            assert (second["id"], second["code"], engine.starts) == ("second", 200, 2)

    run(work)


def test_stopping_refuses_what_waits_and_says_offline():
    """Nobody is left without a terminal message."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine) as it:
            it.ask("runs")
            it.ask("waits")
            await asyncio.sleep(0.1)
            it.service.stop()
            await asyncio.sleep(0.1)
            engine.hold.set()
            replies = {each["id"]: each["code"] for each in await it.replies(2)}
            assert replies == {"runs": 200, "waits": 503}
        assert json.loads(it.transport.published[-1].payload)["state"] == "offline"
        assert it.transport.closed

    run(work)
