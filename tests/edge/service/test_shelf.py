"""Further bundles: loaded when a request names them, let go by age and by memory, never while they answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.board.instruments import Instruments
from edge.bundle import Sampling
from edge.config import Settings
from edge.errors import BundleError, StartError
from edge.service.daemon import Daemon
from edge.service.journal_file import Entry, JournalFile, Moment, accept, begin
from edge.service.seat import Seat
from edge.service.served import Served
from edge.service.shelf import Shelf, Standby
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest
from edge.testing.vectors import SCRIPTED
from edge.wire.message import Message
from tests.edge.service.test_guard import simulated

GB = 10**9


class Slow(ScriptedEngine):
    """An engine that takes its time to load. broken: what its start raises. loads: starts that were begun."""

    def __init__(self, *pieces: str, load_seconds: float = 1.0, rows: int = 1) -> None:
        super().__init__(pieces or ("Hello", " world"))
        self.load_seconds, self.given_rows = load_seconds, rows
        self.broken: Exception | None = None
        self.loads = self.stops = self.most = self._at_once = 0

    async def start(self) -> None:
        """In a while."""
        self.loads += 1
        await asyncio.sleep(self.load_seconds)
        if self.broken:
            raise self.broken
        self.rows = self.given_rows
        await super().start()

    async def stop(self) -> None:
        """Count it."""
        self.stops += self.alive
        await super().stop()

    async def generate(self, job):
        """With a count of how many were answered at once."""
        self._at_once += 1
        self.most = max(self.most, self._at_once)
        try:
            async for each in super().generate(job):
                yield each
        finally:
            self._at_once -= 1


class Rig:
    """A daemon with one bundle in its seat and some on its shelf."""

    def __init__(
        self,
        folder: Path,
        others: dict[str, Slow],
        keep_alive_seconds: float = 300,
        floors: dict[str, int] | None = None,
        journal: JournalFile | None = None,
        **changes: Any,
    ) -> None:
        """floors: bytes that one takes. changes: of the manifests on the shelf."""
        self.meminfo, self.others = folder / "proc/meminfo", others
        self.meminfo.parent.mkdir(parents=True, exist_ok=True)
        self.has(8 * GB)
        models = {name: {"bundle": "x", "keep_alive_seconds": keep_alive_seconds} for name in others}
        settings = Settings(
            device="pi",
            models=models,
            telemetry={"root": folder, "period_seconds": 5},
            engine={"growth_bytes": 0, "rows": 8},
        )
        self.transport, self.own = MemoryTransport(), ScriptedEngine(("mine",))
        shelf = Shelf(
            {
                name: Standby(
                    Served(
                        scripted_manifest(name=name, memory_floor_bytes=(floors or {}).get(name, 1), **changes), each
                    ),
                    keep_alive_seconds,
                )
                for name, each in others.items()
            },
            folder,
        )
        self.own.rows = 8
        seat = Seat(Served(scripted_manifest(), self.own), shelf)
        self.shelf = shelf
        self.daemon = Daemon(settings, seat, self.transport, Instruments(), journal or JournalFile(None))

    def has(self, available_bytes: int) -> None:
        """The board has so much memory to give."""
        self.meminfo.write_text(f"MemTotal: {8 * 10**6} kB\nMemAvailable: {available_bytes // 1024} kB\n")

    def ask(self, name: str, **fields: Any) -> None:
        """A request arrives."""
        asked = fields if "input" in fields else {"prompt": "x", **fields}
        self.transport.arrive(Message("edge/pi/request", json.dumps({"id": name, **asked}).encode()))

    async def answer(self, name: str, **fields: Any) -> dict[str, Any]:
        """Its terminal message."""
        self.ask(name, **fields)
        return await self.reply(name)

    async def reply(self, name: str) -> dict[str, Any]:
        """That of one that was asked."""
        while not (found := [each for each in self.transport.bodies("reply") if each["id"] == name]):
            await asyncio.sleep(0.05)
        return found[0]

    def cancel(self, name: str) -> None:
        """Nobody wants it any more."""
        self.transport.arrive(Message("edge/pi/cancel", json.dumps({"id": name}).encode()))

    def events(self) -> list[tuple[str, str]]:
        """Which models came and went."""
        found = [json.loads(each.payload) for each in self.transport.published if each.topic == "edge/pi/event"]
        return [(each["event"], each["reason"].split()[0].rstrip(":")) for each in found if "model" in each["event"]]


@contextlib.asynccontextmanager
async def rig(folder: Path, **others: Any) -> AsyncIterator[Rig]:
    """Engines by name, and what else a rig has, for the length of the block."""
    engines = {name: each for name, each in others.items() if isinstance(each, Slow)}
    made = Rig(folder, engines, **{name: each for name, each in others.items() if name not in engines})
    task = asyncio.create_task(made.daemon.run())
    try:
        yield made
    finally:
        made.daemon.stop()
        await task


def test_it_is_loaded_when_it_is_named_and_goes_when_it_is_not(tmp_path):
    """Nothing before; one load for the first two requests; gone five minutes after the last, and loaded again then."""

    async def work():
        async with rig(tmp_path, big=Slow("big")) as it:
            assert (await it.answer("own"))["text"] == "mine"
            assert it.others["big"].loads == 0
            it.ask("second", model="big")
            assert (await it.answer("first", model="big"))["text"] == "big"
            assert (await it.reply("second"))["text"] == "big"
            await asyncio.sleep(290)
            assert (it.others["big"].loads, it.others["big"].stops) == (1, 0)
            assert it.shelf.reading()["big"]["is_loaded"]
            await asyncio.sleep(20)
            assert (it.others["big"].stops, it.shelf.reading()["big"]["is_loaded"]) == (1, False)
            assert (await it.answer("third", model="big"))["text"] == "big"
            assert it.events() == [("model_loaded", "big"), ("model_unloaded", "big"), ("model_loaded", "big")]
            assert it.own.starts == 1

    simulated(work())


@pytest.mark.parametrize(("seconds", "stops"), [(0, 1), (-1, 0)])
def test_keep_alive_of_the_operators(tmp_path, seconds, stops):
    """0 lets it go at once, -1 keeps it for days."""

    async def work():
        async with rig(tmp_path, big=Slow(), keep_alive_seconds=seconds) as it:
            await it.answer("q", model="big")
            await asyncio.sleep(200_000 if seconds < 0 else 1)
            assert it.others["big"].stops == stops

    simulated(work())


def test_keep_alive_of_an_askers(tmp_path):
    """What a request says holds from its end on, as in Ollama's API."""

    async def work():
        async with rig(tmp_path, big=Slow()) as it:
            await it.answer("long", model="big", keep_alive_seconds=1000)
            await asyncio.sleep(900)
            assert it.others["big"].stops == 0
            await it.answer("none", model="big", keep_alive_seconds=0)
            await asyncio.sleep(1)
            assert it.others["big"].stops == 1

    simulated(work())


def test_who_names_nothing_that_there_is(tmp_path):
    """404, with the names of all that there are; nothing is loaded."""

    async def work():
        async with rig(tmp_path, big=Slow()) as it:
            reply = await it.answer("q", model="bigger")
            assert reply["code"] == 404
            assert "scripted, big" in reply["error"]["message"]
            assert it.others["big"].loads == 0

    simulated(work())


def test_its_own_sampling_and_vectors(tmp_path):
    """What a request leaves open is as the named bundle has it; vectors come by its name, and by its model's."""

    async def work():
        sentences = SCRIPTED.model_copy(update={"name": "bge"})
        sampling = Sampling(temperature=0.7, top_p=0.5)
        async with rig(tmp_path, big=Slow(), sentences=sentences, sampling=sampling) as it:
            await it.answer("q", model="big")
            assert (it.others["big"].jobs[0].temperature, it.others["big"].jobs[0].top_p) == (0.7, 0.5)
            for model in ("big", "bge"):
                reply = await it.answer(model, model=model, input="text")
                assert (reply["code"], reply["embeddings"]["model"]) == (200, "scripted-vectors"), reply
            assert (await it.answer("none", input="text"))["code"] == 415
            assert len(it.others["big"].jobs) == 3

    simulated(work())


def test_rows_are_its_own(tmp_path):
    """Three requests to one that has two rows: two at once, then the third; the board's own answer beside them."""

    async def work():
        big = Slow(rows=2)
        big.pause_seconds = 5
        async with rig(tmp_path, big=big) as it:
            for name in "abc":
                it.ask(name, model="big")
            assert (await it.answer("own"))["text"] == "mine"
            assert [each["id"] for each in it.transport.bodies("reply")] == ["own"]
            for name in "abc":
                assert (await it.reply(name))["code"] == 200
            assert big.most == 2

    simulated(work())


def test_a_cancel_while_it_loads(tmp_path):
    """Who leaves is told so at once; the loading goes on for the other one."""

    async def work():
        async with rig(tmp_path, big=Slow(load_seconds=60)) as it:
            it.ask("gone", model="big")
            it.ask("stays", model="big")
            await asyncio.sleep(5)
            it.cancel("gone")
            reply = await it.reply("gone")
            assert reply["code"] == 499
            assert it.others["big"].starts == 0
            assert (await it.reply("stays"))["code"] == 200
            assert it.others["big"].loads == 1

    simulated(work())


def test_a_deadline_while_it_loads(tmp_path):
    """408 when the time is up; what was loaded goes when nobody asks for it."""

    async def work():
        async with rig(tmp_path, big=Slow(load_seconds=60)) as it:
            reply = await it.answer("q", model="big", deadline_ms=10_000)
            assert reply["code"] == 408
            await asyncio.sleep(400)
            assert (it.others["big"].starts, it.others["big"].stops) == (1, 1)

    simulated(work())


def test_a_cancel_while_it_answers(tmp_path):
    """It reaches the engine that has the request, with what there is of the answer."""

    async def work():
        big = Slow(*"abcdefgh")
        big.pause_seconds = 5
        async with rig(tmp_path, big=big) as it:
            it.ask("q", model="big")
            await asyncio.sleep(12)
            it.cancel("q")
            reply = await it.reply("q")
            assert (reply["code"], reply["text"]) == (499, "ab")

    simulated(work())


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (StartError("its disk is slow"), 503, "did not start: its disk is slow"),
        (BundleError("weights are torn"), 500, "cannot be loaded: weights are torn"),
    ],
)
def test_one_that_does_not_start(tmp_path, error, code, words):
    """A fault that says why, for all who wait; others are answered, and it is tried again for the next."""

    async def work():
        big = Slow()
        big.broken = error
        async with rig(tmp_path, big=big) as it:
            it.ask("also", model="big")
            for reply in (await it.answer("q", model="big"), await it.reply("also")):
                assert (reply["code"], words in reply["error"]["message"]) == (code, True), reply
            assert (await it.answer("own"))["code"] == 200
            big.broken = None
            assert (await it.answer("again", model="big"))["code"] == 200
            assert it.own.starts == 1

    simulated(work())


def test_one_that_dies(tmp_path):
    """A request that it dies of is begun again once, with it loaded anew; the board's own engine is left alone."""

    async def work():
        big = Slow(*"abc")
        big.dies_after = 1
        async with rig(tmp_path, big=big) as it:
            reply = await it.answer("q", model="big")
            assert (reply["code"], big.loads, it.own.starts) == (500, 2, 1)
            big.dies_after = None
            assert (await it.answer("well", model="big"))["text"] == "abc"

    simulated(work())


def test_room_is_made_by_who_was_asked_for_least_lately(tmp_path):
    """Of two that are idle the older one goes; where none is left to go it is 503, with the figures."""

    async def work():
        floors = {"one": GB, "two": GB, "big": 4 * GB}
        async with rig(tmp_path, one=Slow(), two=Slow(), big=Slow(), floors=floors) as it:
            for name in ("two", "one"):
                await it.answer(name, model=name)
            it.has(3 * GB)

            class Gives(Slow):
                """Memory comes back as it ends."""

                async def stop(self) -> None:
                    await super().stop()
                    it.has(5 * GB)

            it.others["two"].__class__ = Gives
            assert (await it.answer("big", model="big"))["code"] == 200
            assert (it.others["one"].stops, it.others["two"].stops) == (0, 1)
            it.has(0)
            reply = await it.answer("no", model="two")
            assert reply["code"] == 503
            assert "1.00 GB" in reply["error"]["message"]
            assert "0.00 GB" in reply["error"]["message"]
            assert (it.others["one"].stops, it.others["big"].stops) == (1, 1)

    simulated(work())


def test_room_that_is_about_to_be_there_is_waited_for(tmp_path):
    """One that has begun to end when another is asked for: its memory is not there yet, and will be."""

    async def work():
        class SlowToEnd(Slow):
            async def stop(self) -> None:
                if self.alive:
                    it.has(GB)
                    await asyncio.sleep(10)
                    it.has(5 * GB)
                await super().stop()

        floors = {"one": GB, "big": 4 * GB}
        async with rig(tmp_path, one=SlowToEnd(), big=Slow(), floors=floors, keep_alive_seconds=0) as it:
            await it.answer("first", model="one")
            await asyncio.sleep(1)
            assert (await it.answer("next", model="big"))["code"] == 200

    simulated(work())


def test_memory_that_is_short_ends_those_that_answer_nobody(tmp_path):
    """And one that answers when it has; the next request has it loaded again."""

    async def work():
        busy, idle = Slow(*"abcd"), Slow()
        busy.pause_seconds = 5
        async with rig(tmp_path, busy=busy, idle=idle) as it:
            await it.answer("q", model="idle")
            it.ask("long", model="busy")
            await asyncio.sleep(3)
            assert it.shelf.relieve()
            await asyncio.sleep(1)
            assert (idle.stops, busy.stops) == (1, 0)
            assert (await it.reply("long"))["text"] == "abcd"
            await asyncio.sleep(1)
            assert busy.stops == 1
            assert (await it.answer("again", model="busy"))["code"] == 200

    simulated(work())


def test_one_that_is_asked_for_while_another_ends_stays(tmp_path):
    """Both were to go; when the second's turn comes it answers somebody, and is not ended under the answer."""

    async def work():
        class SlowToEnd(Slow):
            async def stop(self) -> None:
                await asyncio.sleep(10 if self.alive else 0)
                await super().stop()

        two = Slow(*"abcd")
        async with rig(tmp_path, one=SlowToEnd(), two=two) as it:
            for name in ("one", "two"):
                await it.answer(name, model=name)
            two.pause_seconds = 5
            assert it.shelf.relieve()
            await asyncio.sleep(2)
            it.ask("late", model="two")
            await asyncio.sleep(10)
            assert (it.others["one"].stops, two.stops) == (1, 0)
            assert (await it.reply("late"))["text"] == "abcd"
            await asyncio.sleep(1)
            assert two.stops == 1

    simulated(work())


def test_the_boards_own_is_eased_when_none_is_left_to_go(tmp_path):
    """Of two calls for memory the first ends what the shelf has, and the second has the board's own give some back."""

    async def work():
        async with rig(tmp_path, big=Slow()) as it:
            await it.answer("q", model="big")
            seat = it.daemon._seat
            seat.ease()
            await asyncio.sleep(1)
            assert (it.others["big"].stops, it.own.eased) == (1, 0)
            assert it.shelf.reading()["big"]["is_loaded"] is False
            seat.ease()
            assert it.own.eased == 1

    simulated(work())


def test_other_threads(tmp_path):
    """One that is loaded goes for them at once where it is idle, and else after its answer; it comes back with them."""

    async def work():
        busy, idle = Slow(*"abcd"), Slow()
        busy.pause_seconds = 5
        async with rig(tmp_path, busy=busy, idle=idle, keep_alive_seconds=-1) as it:
            await it.answer("q", model="idle")
            it.ask("long", model="busy")
            await asyncio.sleep(3)
            it.daemon._seat.threads = 3
            await asyncio.sleep(1)
            assert (idle.stops, busy.stops) == (1, 0)
            assert (await it.reply("long"))["text"] == "abcd"
            await asyncio.sleep(1)
            assert busy.stops == 1
            await it.answer("again", model="idle")
            await asyncio.sleep(60)
            assert it.shelf.reading()["idle"]["is_loaded"]

    simulated(work())


def test_a_request_that_comes_while_it_goes(tmp_path):
    """It waits for the end, and has it loaded again: nothing is lost, and never two processes at once."""

    async def work():
        class SlowToEnd(Slow):
            async def stop(self) -> None:
                await asyncio.sleep(10 if self.alive else 0)
                await super().stop()

        async with rig(tmp_path, big=SlowToEnd(), keep_alive_seconds=0) as it:
            await it.answer("q", model="big")
            await asyncio.sleep(2)
            assert (await it.answer("late", model="big"))["code"] == 200
            assert it.others["big"].loads == 2
            await asyncio.sleep(30)
            assert it.others["big"].stops == 2

    simulated(work())


def test_what_all_are_told(tmp_path):
    """Pace, forgetting, threads: those that are loaded later hold to it, too."""

    async def work():
        async with rig(tmp_path, big=Slow()) as it:
            seat = it.daemon._seat
            seat.pace(0.5, 1.0)
            seat.forget("client x")
            seat.threads = 3
            big = it.others["big"]
            assert (big.duties, big.forgotten, big.threads) == ([0.5], ["client x"], 3)

    simulated(work())


def test_telemetry_and_info_tell_of_it(tmp_path):
    """Which there are, retained; how they stand, with each reading."""

    async def work():
        async with rig(tmp_path, big=Slow()) as it:
            await it.answer("q", model="big")
            await asyncio.sleep(6)
            bodies = [json.loads(each.payload) for each in it.transport.published if each.topic == "edge/pi/telemetry"]
            found = bodies[-1]["models"]["big"]
            assert (found["is_loaded"], found["running"]) == (True, 0)
            assert 280 < found["seconds_left"] < 300
            info = [json.loads(each.payload) for each in it.transport.published if each.topic == "edge/pi/info"][-1]
            assert [each["model"] for each in info["models"]] == ["big"]

    simulated(work())


def test_a_request_outlives_its_daemon(tmp_path):
    """One that waited for a model to load when the daemon was killed is answered by the next, by that model."""
    journal = JournalFile(tmp_path / "journal")
    message = Message("edge/pi/request", b'{"prompt": "x", "id": "q", "model": "big"}')
    journal.write([accept(Entry(1, "q", message.digest(), message, Moment.now())), begin(1)])
    journal.close()

    async def work():
        async with rig(tmp_path, big=Slow("here"), journal=JournalFile(tmp_path / "journal")) as it:
            assert (await it.reply("q"))["text"] == "here"

    simulated(work())
