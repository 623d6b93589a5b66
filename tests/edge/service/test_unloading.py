"""The engine begun anew, put away and brought back on purpose, in whatever order that is said."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge.testing import ScriptedEngine
from edge.wire.message import Message
from tests.edge.service.test_daemon import Rig, rig, run

COMMAND = "edge/pi/command"


class Leisurely(ScriptedEngine):
    """An engine that takes its time to begin and to end. begun: threads of each start."""

    def __init__(self, seconds: float = 0.3, **options) -> None:
        super().__init__(**options)
        self.seconds = seconds
        self.begun: list[int] = []

    async def start(self) -> None:
        """In a while, on the threads that were wanted when it began to."""
        self.begun.append(self.threads)
        await asyncio.sleep(self.seconds)
        await super().start()

    async def stop(self) -> None:
        """In a while."""
        await asyncio.sleep(self.seconds)
        await super().stop()


def states(it: Rig) -> list[str]:
    """What the status said, in its order, each once."""
    said = [json.loads(each.payload)["state"] for each in it.transport.published if each.topic == "edge/pi/status"]
    return [state for place, state in enumerate(said) if place == 0 or said[place - 1] != state]


async def online(it: Rig, starts: int = 1) -> None:
    """Once it stands."""
    while it.engine.starts < starts or states(it)[-1] != "online":
        await asyncio.sleep(0.02)


def test_unload_said_twice_ends_one_engine():
    """Said again while it ends, as a governor does each second, it does not end the one that a request brings back."""

    async def work():
        async with rig(Leisurely()) as it:
            await online(it)
            it.service._answering.unload()
            await asyncio.sleep(0.1)
            it.service._answering.unload()
            await asyncio.sleep(0.5)
            assert not it.engine.alive
            it.ask()
            await it.replies()
            await asyncio.sleep(0.7)
            assert it.engine.alive
            assert states(it) == ["loading", "online", "unloaded", "loading", "online"]

    run(work)


def test_a_request_that_comes_while_it_ends_is_answered():
    """It ends, and is brought back."""

    async def work():
        async with rig(Leisurely()) as it:
            await online(it)
            it.service._answering.unload()
            await asyncio.sleep(0.1)
            it.ask()
            assert (await it.replies())[0]["code"] == 200
            assert it.engine.starts == 2

    run(work)


def test_threads_that_are_wanted_while_it_starts_are_not_forgotten():
    """It is begun once more, on those."""

    async def work():
        async with rig(Leisurely(), commands=True) as it:
            await online(it)
            it.transport.arrive(Message(COMMAND, b"restart"))
            await asyncio.sleep(0.45)  # it has ended, and begins
            it.service._answering.use_threads(2)
            await online(it, 3)
            assert it.engine.begun == [0, 0, 2]

    run(work)


def test_a_restart_is_not_put_off_for_ever_by_who_comes():
    """Where always somebody runs, nothing more is begun until it is done; nobody's request is lost."""

    async def work():
        engine = Leisurely(0.1, pause_seconds=0.1)
        engine.rows = 2
        async with rig(engine, queue_length=50, commands=True, queue_per_client=50) as it:
            await online(it)
            for number in range(2):
                it.ask(f"q{number}")
                await asyncio.sleep(0.1)
            it.transport.arrive(Message(COMMAND, b"restart"))
            for number in range(2, 12):
                it.ask(f"q{number}")
                await asyncio.sleep(0.1)
            assert engine.starts == 2
            assert {reply["code"] for reply in await it.replies(12)} == {200}

    run(work)


def test_a_flood_of_restarts_lets_requests_through():
    """Who is told so while an engine begins has a new one already."""

    async def work():
        async with rig(Leisurely(0.05), queue_length=8, queue_per_client=8, commands=True) as it:
            await online(it)
            for number in range(4):
                it.ask(f"q{number}")
            for _ in range(100):
                it.transport.arrive(Message(COMMAND, b"restart"))
                await asyncio.sleep(0.02)
            assert {reply["code"] for reply in await it.replies(4)} == {200}

    run(work)


@pytest.mark.parametrize(("words", "is_alive"), [(("restart",), True), (("restart", "unload"), False)])
def test_an_engine_that_is_put_away_can_be_told_to_come_back(words, is_alive):
    """By `restart`, without a request; the last word counts."""

    async def work():
        async with rig(Leisurely(0.1), commands=True) as it:
            await online(it)
            for word in ("unload", *words):
                it.transport.arrive(Message(COMMAND, word.encode()))
                await asyncio.sleep(0.02)
            await asyncio.sleep(1)
            assert it.engine.alive is is_alive

    run(work)


def test_who_stops_says_no_other_state():
    """An engine that is put away, or comes back, while the daemon stops: the last words are stopping and offline."""

    async def work(word: bytes):
        async with rig(Leisurely(0.3), commands=True) as it:
            await online(it)
            it.transport.arrive(Message(COMMAND, word))
            await asyncio.sleep(0.1)
        assert states(it)[-2:] == ["stopping", "offline"]

    run(lambda: work(b"unload"))
    run(lambda: work(b"restart"))


def test_a_command_is_the_boards_own():
    """On the topic of its name, and on none below it."""

    async def work():
        async with rig(commands=True) as it:
            await online(it)
            it.transport.arrive(Message(f"{COMMAND}/somebody", b"unload"))
            await asyncio.sleep(0.2)
            assert it.engine.alive

    run(work)
