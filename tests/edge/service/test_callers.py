"""Requests that come through a door: the same queue, journal and faults, and nothing of them at the broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from edge.board.instruments import Instruments
from edge.config import Settings
from edge.service.callers import NAMED
from edge.service.daemon import Daemon
from edge.service.journal_file import Entry, JournalFile, Moment, Write, accept
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest
from edge.wire.asked import Asked, Inside
from edge.wire.message import Message
from edge.wire.topics import Topics


class Opened:
    """A door that lets the test in."""

    subscriptions = ()

    def __init__(self) -> None:
        self.inside: asyncio.Future[Inside] = asyncio.get_running_loop().create_future()

    async def run(self, inside: Inside) -> None:
        """For as long as the daemon."""
        self.inside.set_result(inside)

    def connected(self) -> None:
        """Nothing."""

    def hear(self, _message: Message) -> bool:
        """Nothing."""
        return False

    def told(self, _telemetry: Any) -> None:
        """Nothing."""


class Rig:
    """A daemon and its door. has_broker: whether its transport ever connects."""

    def __init__(self, engine: ScriptedEngine, journal: JournalFile, has_broker: bool) -> None:
        self.transport, self.engine, self.door = MemoryTransport(), engine, Opened()
        if not has_broker:
            self.transport.start = lambda: None
        settings = Settings(device="pi", limits={"queue_length": 2, "queue_per_client": 4, "stop_seconds": 1})
        seat = Seat(Served(scripted_manifest(), engine))
        self.daemon = Daemon(settings, seat, self.transport, Instruments(), journal, [self.door])

    async def ask(self, name: str = "q", client: str = "http:me", is_named: bool = False, **fields: Any) -> list[Any]:
        """All that is told of a request."""
        inside = await self.door.inside
        return [body async for body in inside.ask(Asked({"prompt": "x", **fields}, client, name, is_named))]


@contextlib.asynccontextmanager
async def rig(engine: ScriptedEngine | None = None, journal: JournalFile | None = None, has_broker: bool = True):
    """A daemon for the length of the block."""
    made = Rig(engine or ScriptedEngine(), journal or JournalFile(None), has_broker)
    task = asyncio.create_task(made.daemon.run())
    try:
        yield made
    finally:
        made.daemon.stop()
        await asyncio.wait_for(task, 10)


def run(work) -> None:
    """An async test."""
    asyncio.run(asyncio.wait_for(work(), 20))


def of_door(transport: MemoryTransport) -> list[Message]:
    """What the broker was given of a door's."""
    return [each for each in transport.published if each.topic.startswith("door/")]


@pytest.mark.parametrize("has_broker", [True, False])
def test_an_answer_is_told_at_the_door_alone(has_broker):
    """Deltas, then the reply, whether there is a broker or not; it gets nothing of them."""

    async def work():
        async with rig(has_broker=has_broker) as it:
            *deltas, reply = await it.ask()
            assert [each["text"] for each in deltas if each["type"] == "delta"] == ["Hello", " world"]
            assert (reply["id"], reply["code"], reply["text"]) == ("q", 200, "Hello world")
            assert of_door(it.transport) == []
            assert "reply" not in {json.loads(each.payload).get("type") for each in it.transport.published}

    run(work)


def test_faults_are_replies():
    """What is wrong with a request, a full queue and a stop are told as they are to any asker."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine) as it:
            ((reply,), (longer,)) = await it.ask(temperature=9), await it.ask(prompt="x" * 300_000)
            assert (reply["code"], reply["error"]["param"], longer["code"]) == (400, "temperature", 413)
            asked = [asyncio.create_task(it.ask(f"q{number}")) for number in range(4)]
            await asyncio.sleep(0.1)
            (full,) = await asked[3]
            assert (full["code"], full["error"]["retry_after"] > 0) == (503, True)
            it.daemon.stop()
            stopped = [(await each)[-1]["code"] for each in asked[1:3]]
            assert stopped == [503, 503]
            engine.hold.set()
            assert (await asked[0])[-1]["code"] == 200

    run(work)


def test_who_leaves_has_it_cancelled():
    """The engine is told, the queue is free for the next; one that waited is taken out of it."""

    async def work():
        engine = ScriptedEngine(("word",) * 1000, pause_seconds=0.01)
        async with rig(engine) as it:
            inside = await it.door.inside
            bodies = inside.ask(Asked({"prompt": "x"}, "http:me", "first"))
            while (await anext(bodies))["type"] != "delta":
                pass
            waits = asyncio.create_task(it.ask("second", "http:other"))
            await asyncio.sleep(0.05)
            waits.cancel()
            await bodies.aclose()
            async with asyncio.timeout(5):
                while inside.load()["running"] or inside.load()["queue_length"]:
                    await asyncio.sleep(0.01)
            assert len(engine.jobs) == 1

    run(work)


def test_one_who_may_come_back_is_answered_all_the_same():
    """A named request goes on when its asker leaves; asked again it is joined from its beginning, later told anew."""

    async def work():
        engine = ScriptedEngine(pause_seconds=0.1)
        async with rig(engine) as it:
            first = asyncio.create_task(it.ask(is_named=True))
            await asyncio.sleep(0.15)
            second = asyncio.create_task(it.ask(is_named=True))
            first.cancel()
            assert (await second)[-1]["text"] == "Hello world"
            assert [each["index"] for each in second.result() if each["type"] == "delta"] == [0, 1]
            for _ in range(2):
                (reply,) = await it.ask(is_named=True)
                assert reply["text"] == "Hello world"
            assert len(engine.jobs) == 1

    run(work)


def test_another_request_of_an_open_name_is_refused():
    """409, and the one that is open knows nothing of it."""

    async def work():
        async with rig(ScriptedEngine(pause_seconds=0.1)) as it:
            first = asyncio.create_task(it.ask())
            await asyncio.sleep(0.05)
            (other,) = await it.ask(prompt="y")
            assert (other["code"], other["error"]["param"]) == (409, "id")
            assert (await first)[-1]["code"] == 200

    run(work)


def accepted(number: int, name: str, properties: tuple[tuple[str, str], ...]) -> Write:
    """A request that a daemon took in, and did not live to answer."""
    payload = json.dumps({"prompt": "x", "id": name}, separators=(",", ":")).encode()
    message = Message("door/pi/request/http:me", payload, content_type="application/json", user_properties=properties)
    names = (("http:me", name.encode()),)
    return accept(Entry(number, name, message.digest(), message, Moment.now(), names, share="http:me"))


def test_a_restart_begins_what_somebody_may_come_for_alone():
    """What nobody can ask for is dropped; the other is answered, and told to who asks again by its name."""
    journal = JournalFile(None)
    journal.write([accepted(1, "named", (NAMED,)), accepted(2, "unnamed", ())])

    async def work():
        async with rig(journal=journal, has_broker=False) as it:
            *_, reply = await it.ask("named", is_named=True)
            assert (reply["code"], reply["text"]) == (200, "Hello world")
            assert len(it.engine.jobs) == 1
            assert list(journal.open_requests()) == []

    run(work)


def test_a_broker_has_no_way_to_a_door():
    """What it brings on a door's topic is not heard, and nobody has answers sent there."""

    async def work():
        async with rig() as it:
            it.transport.arrive(Message("door/pi/request/http:me", b'{"prompt": "x", "id": "q"}'))
            it.transport.arrive(Message("edge/pi/request/me", b'{"prompt": "x", "response_topic": "door/pi/reply/x"}'))
            (reply,) = await it.transport.wait_for("reply")
            assert (reply["code"], reply["error"]["param"]) == (400, "response_topic")
            assert it.engine.jobs == []

    run(work)


def test_a_doors_client_is_no_brokers():
    """Each has names and beginnings of its own, though they are called alike."""

    async def work():
        async with rig() as it:
            await it.ask("q", "http:me")
            it.transport.arrive(Message("edge/pi/request/me", b'{"prompt": "x", "id": "q"}'))
            await it.transport.wait_for("reply")
            assert [job.cache_salt for job in it.engine.jobs] == ["client http:me", "client me"]

    run(work)


@pytest.mark.parametrize("client", ["me", "http:", ":me", "http:a/b", "http:+", "HTTP:me", "http:" + "x" * 65])
def test_a_doors_client_has_a_name_that_a_topic_can_have(client):
    """A door that calls one otherwise is wrong itself."""
    with pytest.raises(ValueError, match="comes through a door"):
        Topics("pi").at_door("request", client)
