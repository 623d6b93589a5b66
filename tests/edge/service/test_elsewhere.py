"""Requests that another server answers: which ones, that each reply says so, and what nobody may pass."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.board.instruments import Instruments
from edge.config import Settings
from edge.doors.upstream import Upstream
from edge.errors import TooLarge
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest
from edge.wire.message import Message
from tests.openai_server import Script, chunk, serving

ALL = ["asked", "model", "length", "hot"]


class Rig:
    """A daemon with a server behind it."""

    def __init__(self, script: Script, engine: ScriptedEngine, **upstream: Any) -> None:
        settings = Settings(
            device="pi",
            telemetry={"period_seconds": 0.2},
            upstream={"url": script.url, "name": "cloud", "models": ["big", "bigger"], "when": ALL, **upstream},
        )
        self.transport, self.script, self.engine = MemoryTransport(), script, engine
        seat = Seat(Served(scripted_manifest(), engine))
        way_out = Upstream(settings.upstream)
        self.daemon = Daemon(settings, seat, self.transport, Instruments(), JournalFile(None), upstream=way_out)
        self._count = 0

    async def ask(self, client: str = "", **fields: Any) -> dict[str, Any]:
        """The reply to a request."""
        self._count += 1
        topic, name = f"edge/pi/request{client and '/'}{client}", f"q{self._count}"
        self.transport.arrive(Message(topic, json.dumps({"prompt": "x", "id": name, **fields}).encode()))
        replies = await self.transport.wait_for("reply", self._count)
        return next(each for each in replies if each["id"] == name)


@contextlib.asynccontextmanager
async def rig(
    script: Script | None = None, engine: ScriptedEngine | None = None, **upstream: Any
) -> AsyncIterator[Rig]:
    """Both for the length of the block."""
    with serving(script or Script()) as served:
        made = Rig(served, engine or ScriptedEngine(), **upstream)
        task = asyncio.create_task(made.daemon.run())
        try:
            yield made
        finally:
            made.daemon.stop()
            await asyncio.wait_for(task, 10)


def run(work) -> None:
    """An async test."""
    asyncio.run(asyncio.wait_for(work(), 30))


PASSED = [
    ({"upstream": True}, "big", "asked"),
    ({"model": "cloud/bigger"}, "bigger", "asked"),
    ({"model": "scripted", "upstream": True}, "big", "asked"),
    ({"model": "bigger"}, "bigger", "model"),
]


@pytest.mark.parametrize(("fields", "model", "reason"), PASSED)
def test_what_is_passed_says_so(fields, model, reason):
    """The answer streams as any does; the reply names who answered, with which model, and why."""

    async def work():
        async with rig() as it:
            reply = await it.ask(**fields)
            assert (reply["code"], reply["text"], reply["finish_reason"]) == (200, "Far away", "stop")
            assert reply["answered_by"] == {"name": "cloud", "model": "big-2026", "reason": reason}
            assert (reply["usage"]["prompt_tokens"], reply["energy"]) == (7, None)
            assert [delta["text"] for delta in it.transport.bodies("delta")] == ["Far ", "away"]
            assert (it.script.asked[0]["model"], it.engine.jobs) == (model, [])

    run(work)


def test_what_is_not_passed_is_answered_here():
    """Without a word of it, one that forbids it, and all of them where no rule is on."""

    async def work():
        async with rig() as it:
            for fields in ({}, {"upstream": False}, {"model": "scripted"}):
                reply = await it.ask(**fields)
                assert (reply["text"], "answered_by" in reply) == ("Hello world", False)
            assert it.script.asked == []

    run(work)


REFUSED = [
    ({"model": "cloud/huge"}, 404, "model"),
    ({"model": "huge"}, 404, "model"),
    ({"model": "cloud/big", "upstream": False}, 415, "upstream"),
    ({"upstream": True, "documents": "manual"}, 415, "documents"),
    ({"model": "bigger", "documents": "manual"}, 404, "model"),
    ({"model": "bigger", "keep": False}, 404, "model"),
    ({"model": "bigger", "upstream": False}, 404, "model"),
    ({"upstream": "yes"}, 400, "upstream"),
]


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED)
def test_what_may_not_be_passed_is_refused(fields, code, param):
    """By the name of the field; nothing of it leaves the board."""

    async def work():
        async with rig() as it:
            reply = await it.ask(**fields)
            assert (reply["code"], reply["error"]["param"]) == (code, param)
            assert it.script.asked == []

    run(work)


def test_a_rule_that_is_off_passes_nothing():
    """Each by itself: what is asked for is refused, what would be passed by rule fails or stays as it does without."""

    async def work():
        engine = ScriptedEngine()
        async with rig(engine=engine, when=[]) as it:
            assert (await it.ask(upstream=True))["code"] == 415
            assert (await it.ask(model="bigger"))["code"] == 404
            engine.fault = TooLarge("the prompt is too long")
            assert (await it.ask())["code"] == 413
            assert it.script.asked == []

    run(work)


def test_those_who_may_are_named():
    """By the client's level; one without any is none of them."""

    async def work():
        async with rig(clients=["office"]) as it:
            assert [(await it.ask(client, upstream=True))["code"] for client in ("office", "kiosk", "")] == [
                200,
                415,
                415,
            ]

    run(work)


def test_one_that_is_too_long_is_passed():
    """What the engine finds out; what has failed otherwise is not."""

    async def work():
        engine = ScriptedEngine()
        engine.fault = TooLarge("the prompt has 9000 tokens, but the context holds 8192 with the answer")
        async with rig(engine=engine) as it:
            reply = await it.ask()
            assert (reply["text"], reply["answered_by"]["reason"]) == ("Far away", "length")
            assert (await it.ask(upstream=False))["code"] == 413

    run(work)


def test_a_hot_board_passes_and_answers_itself_where_nobody_else_does():
    """What it would have been too slow for; a server that is away costs nothing but the try."""

    async def work():
        async with rig() as it:
            it.daemon._elsewhere.is_hot = lambda: True
            assert (await it.ask())["answered_by"]["reason"] == "hot"
            it.script.status = 503
            reply = await it.ask()
            assert (reply["code"], reply["text"], "answered_by" in reply) == (200, "Hello world", False)

    run(work)


def test_a_fault_there_is_told_as_theirs():
    """The reply says where the request has been, though nothing came of it."""

    async def work():
        script = Script()
        script.status, script.words, script.headers = 429, b'{"error": {"message": "slow"}}', {"Retry-After": "9"}
        async with rig(script) as it:
            reply = await it.ask(upstream=True)
            assert (reply["code"], reply["error"]["retry_after"]) == (503, 9)
            assert reply["answered_by"] == {"name": "cloud", "model": "big", "reason": "asked"}

    run(work)


def test_calls_are_the_replys():
    """With their own ids, which the results refer to."""
    call = {"index": 0, "id": "abc", "function": {"name": "lamp", "arguments": "{}"}}

    async def work():
        async with rig(Script([chunk("", tool_calls=[call]), chunk(finish_reason="tool_calls")])) as it:
            tools = [{"type": "function", "function": {"name": "lamp"}}]
            reply = await it.ask(upstream=True, tools=tools)
            assert reply["finish_reason"] == "tool_calls"
            assert [(each["id"], each["function"]["name"]) for each in reply["tool_calls"]] == [("abc", "lamp")]

    run(work)


def test_a_cancel_and_a_deadline_end_it():
    """As they end any other; the server sees that nobody reads on."""

    async def work():
        script = Script([chunk("word ")] * 4000)
        script.pause_seconds = 0.01
        async with rig(script) as it:
            late = await it.ask(upstream=True, deadline_ms=300)
            assert (late["code"], late["finish_reason"], late["text"][:5]) == (408, "deadline", "word ")
            asked = asyncio.create_task(it.ask(upstream=True))
            await it.transport.wait_for("delta", late["index"] + 3)
            it.transport.arrive(Message("edge/pi/cancel", b'{"id": "q2"}'))
            assert (await asked)["code"] == 499
            assert await asyncio.to_thread(script.gone.wait, 10)

    run(work)


def test_it_is_counted():
    """Requests by their reason, those that failed, and the bytes of both ways, in telemetry."""

    async def work():
        async with rig() as it:
            await it.ask(upstream=True)
            await it.ask(model="bigger")
            await it.ask()
            it.script.status = 500
            await it.ask(upstream=True)
            bodies = []
            async with asyncio.timeout(5):
                while not bodies or bodies[-1]["failed"] == 0:
                    await asyncio.sleep(0.05)
                    topics = [each for each in it.transport.published if each.topic == "edge/pi/telemetry"]
                    bodies = [json.loads(each.payload)["inference"]["upstream"] for each in topics]
            told = bodies[-1]
            assert (told["name"], told["requests"], told["failed"]) == ("cloud", {"asked": 2, "model": 1}, 1)
            assert told["sent_bytes"] == sum(it.script.sizes)
            assert told["received_bytes"] > 0

    run(work)


def test_pace_of_another_says_nothing_of_this_board():
    """What deadlines and places in the queue are reckoned by learns from the board's own answers alone."""

    async def work():
        async with rig() as it:
            await it.ask(upstream=True)
            assert it.daemon._queue._speed.decode_tokens_per_second is None

    run(work)


def test_without_an_upstream_nothing_is_passed():
    """What asks for it is refused, and telemetry has no word of one."""

    async def work():
        transport = MemoryTransport()
        seat = Seat(Served(scripted_manifest(), ScriptedEngine()))
        daemon = Daemon(Settings(device="pi"), seat, transport, Instruments(), JournalFile(None))
        task = asyncio.create_task(daemon.run())
        transport.arrive(Message("edge/pi/request", b'{"prompt": "x", "upstream": true}'))
        transport.arrive(Message("edge/pi/request", b'{"prompt": "x", "model": "upstream/big"}'))
        replies = await transport.wait_for("reply", 2)
        assert [(each["code"], each["error"]["param"]) for each in replies] == [(415, "upstream")] * 2
        daemon.stop()
        await task
        bodies = [json.loads(each.payload) for each in transport.published if each.topic == "edge/pi/telemetry"]
        assert "upstream" not in bodies[0]["inference"]

    run(work)
