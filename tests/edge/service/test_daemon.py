"""The whole daemon without a broker and without a model: admission, faults, cancel, deadlines, a dying engine."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence

import pytest

from edge.board.instruments import Instruments
from edge.bundle import Adapter, Sampling
from edge.config import Settings
from edge.errors import EngineFailed, Fault
from edge.service.daemon import Daemon
from edge.service.journal_file import Entry, JournalError, JournalFile, Moment, Write, accept, begin
from edge.service.outbox import Answer
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest
from edge.wire.message import Delivery, Message


class Rig:
    """A running service and its two ends."""

    def __init__(
        self,
        engine: ScriptedEngine,
        queue_length: int = 2,
        journal: JournalFile | None = None,
        sampling: Sampling | None = None,
        adapters: Sequence[str] = (),
        **limits: int,
    ) -> None:
        settings = Settings(
            device="pi", limits={"queue_length": queue_length, "queue_per_client": 4, "stop_seconds": 1, **limits}
        )
        self.transport, self.engine = MemoryTransport(), engine
        brought = [Adapter(name=name, rank=8, alpha=16, targets=["q_proj"], source="0" * 64) for name in adapters]
        manifest = scripted_manifest(sampling=sampling or Sampling(), adapters=brought)
        self.service = Daemon(
            settings, Seat(Served(manifest, engine)), self.transport, Instruments(), journal or JournalFile(None)
        )

    def ask(self, name: str = "q", topic: str = "edge/pi/request", **fields) -> None:
        """A request arrives."""
        self.transport.arrive(Message(topic, json.dumps({"prompt": "x", "id": name, **fields}).encode()))

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


def test_what_is_not_asked_for_is_the_bundles_own():
    """Sampling as the model's makers would have it, told in `info`; each field of a request goes before it."""

    async def work():
        own = Sampling(temperature=0.7, top_p=0.8, top_k=20, min_p=0.1, repetition_penalty=1.05)
        async with rig(sampling=own) as it:
            it.ask("plain", temperature=None)
            it.ask("greedy", temperature=0, top_k=0, loop_guard=False)
            await it.replies(2)
            plain, greedy = it.engine.jobs
            assert {name: getattr(plain, name) for name, _ in own} == dict(own)
            assert (greedy.temperature, greedy.top_k, greedy.top_p, greedy.min_p) == (0, 0, 0.8, 0.1)
            assert (plain.loop_guard, greedy.loop_guard) == (True, False)
            (info, *_) = [json.loads(each.payload) for each in it.transport.published if each.topic == "edge/pi/info"]
            assert info["sampling"] == own.model_dump()

    run(work)


def test_what_three_boards_died_of_is_not_tried_again():
    """A request that went from dead board to dead board ends with 500 before it ends a fleet; twice may be chance."""

    async def work():
        async with rig() as it:
            for count in (2, 3):
                payload = json.dumps({"prompt": "x", "id": f"q{count}"}).encode()
                properties = (("inherited", str(count)),)
                it.transport.arrive(Message("edge/pi/request", payload, 1, user_properties=properties))
            refused, answered = await it.replies(2)
            assert (refused["id"], refused["code"], answered["code"]) == ("q3", 500, 200)
            assert "3 boards went away for good" in refused["error"]["message"]

    run(work)


def test_a_full_queue_and_a_doubled_id_are_refused():
    """503 with retry_after, 409; what was accepted is answered all the same, in order."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine) as it:
            for number, name in enumerate("abacd"):
                it.ask(name, seed=number)
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


def test_a_request_names_an_adapter():
    """`info` lists them; the engine is asked for the one that is named; one that is not there is 404 with a list."""

    async def work():
        async with rig(adapters=("legal", "terse")) as it:
            for number, model in enumerate(("scripted", "scripted:terse", "scripted:rude", "scripted:", "other:terse")):
                it.ask(str(number), model=model)
                await it.replies(number + 1)
            replies = await it.replies(5)
            assert [each["code"] for each in replies] == [200, 200, 404, 404, 404]
            assert "there are: legal, terse" in replies[2]["error"]["message"]
            assert [job.adapter for job in it.engine.jobs] == ["", "terse"]
            told = [json.loads(each.payload) for each in it.transport.published if each.topic == "edge/pi/info"]
            assert told[-1]["adapters"] == ["legal", "terse"]

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
            assert (second["id"], second["code"], engine.starts) == ("second", 200, 3)
            assert [job.id for job in engine.jobs] == [1, 1, 2]

    run(work)


def test_a_request_that_kills_the_engine_takes_no_other_with_it():
    """Four at once: what ran beside the culprit is begun again, each alone, and answered; the culprit gets its 500."""

    async def work():
        engine = ScriptedEngine(pause_seconds=0.02)
        engine.rows, engine.dies_of = 4, "poison"
        async with rig(engine, queue_length=8) as it:
            it.ask("a")
            it.ask("culprit", prompt="poison")
            it.ask("b")
            it.ask("c")
            codes = {each["id"]: each["code"] for each in await it.replies(4)}
            assert codes == {"a": 200, "b": 200, "c": 200, "culprit": 500}

    run(work)


def test_as_many_run_at_once_as_the_engine_has_rows():
    """Three rows: three begin at once, the fourth is told its place and begins when one ends."""

    async def work():
        engine = ScriptedEngine(pause_seconds=0.05)
        engine.rows = 3
        async with rig(engine, queue_length=8) as it:
            for name in "abcd":
                it.ask(name)
            await it.transport.wait_for("delta", 3)
            assert [job.id for job in engine.jobs] == [1, 2, 3]
            assert [(each["id"], each["place"]) for each in it.transport.bodies("queued")] == [("d", 1)]
            assert {each["id"] for each in await it.replies(4)} == set("abcd")

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
        said = [message.payload for message in it.transport.published if message.topic == "edge/pi/status"]
        states = [json.loads(payload)["state"] for payload in said]
        assert states == ["loading", "online", "stopping", "offline"]
        assert it.transport.closed

    run(work)


def test_a_request_that_lost_its_engine_once_is_begun_again():
    """The second attempt answers it whole, its deltas numbered from 0 again; the asker sees one terminal message."""

    async def work():
        engine = ScriptedEngine(pause_seconds=0.02)
        engine.dies_after = 1
        async with rig(engine) as it:
            it.ask()
            while engine.starts < 2:
                await asyncio.sleep(0.001)
            engine.dies_after = None
            (reply,) = await it.replies()
            assert (reply["code"], reply["text"], reply["index"]) == (200, "Hello world", 2)
            assert [delta["index"] for delta in it.transport.bodies("delta")] == [0, 0, 1]

    run(work)


def test_what_comes_again_is_not_answered_twice():
    """While it is open a repeat is silent; afterwards it gets the stored answer; another prompt of that id is new."""

    async def work():
        engine = ScriptedEngine(pause_seconds=0.02)
        async with rig(engine) as it:
            it.ask()
            it.ask()
            (first,) = await it.replies()
            it.ask()
            assert (await it.replies(2))[1] == first
            assert len(engine.jobs) == 1
            it.ask(seed=1)
            await it.replies(3)
            assert len(engine.jobs) == 2

    run(work)


def test_a_packet_that_is_delivered_again_is_known_without_a_name():
    """A bare text has no name; the broker's duplicate flag and the packet's identifier tell a second delivery."""

    async def work():
        async with rig() as it:
            sent = Message("edge/pi/request", b"hello", 1, packet_identifier=7)
            it.transport.arrive(sent)
            await it.replies()
            it.transport.arrive(dataclasses.replace(sent, duplicate=True))
            it.transport.arrive(dataclasses.replace(sent, packet_identifier=8))
            await it.replies(3)
            assert len(it.engine.jobs) == 2
            assert [each.packet_identifier for each in it.transport.acknowledged] == [7, 7, 8]

    run(work)


def test_a_daemon_that_was_killed_left_everything_in_its_journal(tmp_path):
    """What waited is answered by the next one; what was answered and not delivered goes out; nothing runs twice."""
    path = tmp_path / "journal"

    async def killed():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        it = Rig(engine, journal=JournalFile(path))
        task = asyncio.create_task(it.service.run())
        it.ask("begun")
        it.ask("waits")
        while len(it.transport.acknowledged) < 2:
            await asyncio.sleep(0.01)
        task.cancel()  # what a kill leaves: no goodbye, the file as the last transaction left it
        shutil.copytree(tmp_path, tmp_path / "left")

    async def next_one():
        async with rig(journal=JournalFile(tmp_path / "left" / "journal")) as it:
            replies = await it.replies(2)
            assert [(each["id"], each["code"]) for each in replies] == [("begun", 200), ("waits", 200)]
            it.ask("waits")
            await it.replies(3)
            assert len(it.engine.jobs) == 2

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(killed())
    run(next_one)


def test_a_request_that_ended_the_daemon_twice_is_failed(tmp_path):
    """Or it would end every daemon that is started."""
    journal = JournalFile(tmp_path / "journal")
    message = Message("edge/pi/request", b'{"prompt": "x", "id": "q"}')
    journal.write([accept(Entry(1, "q", message.digest(), message, Moment.now())), begin(1), begin(1)])
    journal.close()

    async def work():
        async with rig(journal=JournalFile(tmp_path / "journal")) as it:
            (reply,) = await it.replies()
            assert (reply["id"], reply["code"], it.engine.jobs) == ("q", 500, [])

    run(work)


def test_a_full_disk_refuses_and_recovers(tmp_path):
    """503 with retry_after while nothing can be written down; the daemon stays, and serves again when there is room."""

    async def work():
        journal = FullJournalFile(tmp_path / "journal")
        async with rig(journal=journal) as it:
            journal.is_full = True
            it.ask("refused")
            (reply,) = await it.replies()
            assert (reply["code"], reply["error"]["retry_after"]) == (503, 60)
            journal.is_full = False
            it.ask("answered")
            assert (await it.replies(2))[1]["code"] == 200

    run(work)


class FullJournalFile(JournalFile):
    """A journal on a disk that can be full."""

    is_full = False

    def write(self, writes: Sequence[Write]) -> None:
        """As SQLite fails."""
        if self.is_full:
            raise JournalError("database or disk is full")
        super().write(writes)


def test_one_chatty_client_does_not_starve_another():
    """Over its share it gets 429; the other one's first request comes right after the chatty one's first."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine, queue_length=5) as it:
            for number in range(5):
                it.ask(f"a{number}", topic="edge/pi/request/a")
            it.ask("b0", topic="edge/pi/request/b")
            (refused,) = await it.replies()
            assert (refused["id"], refused["code"]) == ("a4", 429)
            engine.hold.set()
            assert [each["id"] for each in (await it.replies(6))[1:]] == ["a0", "b0", "a1", "a2", "a3"]

    run(work)


def test_the_urgent_come_first():
    """Priorities count among those that wait; the running one goes on."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine, queue_length=5) as it:
            it.ask("running")
            await asyncio.sleep(0.1)
            for name, priority in (("low", "low"), ("normal", "normal"), ("high", "high")):
                it.ask(name, priority=priority)
            await asyncio.sleep(0.1)
            engine.hold.set()
            assert [each["id"] for each in await it.replies(4)] == ["running", "high", "normal", "low"]

    run(work)


def test_a_deadline_that_cannot_be_kept_is_refused_at_once():
    """Once the board knows its pace: 503 with when to come again, and the engine is not asked."""

    async def work():
        engine = ScriptedEngine(("a",) * 10, pause_seconds=0.05)
        engine.figures = (0.5, 0.5)
        async with rig(engine, queue_length=5) as it:
            it.ask("learns")
            await it.replies()
            it.ask("runs", seed=1)
            it.ask("late", deadline_ms=900)
            it.ask("fits", deadline_ms=9000)
            late = (await it.replies(2))[1]
            assert (late["id"], late["code"]) == ("late", 503)
            assert late["error"]["retry_after"] >= 1
            assert [each["id"] for each in await it.replies(4)][2:] == ["runs", "fits"]
            (waits,) = it.transport.bodies("queued")
            assert (waits["id"], waits["place"]) == ("fits", 1)
            assert 0 < waits["seconds"] <= 1

    run(work)


def test_an_answer_that_nobody_hears_is_stopped():
    """The broker says that the topic has no subscriber: the engine is stopped, and the next one has its turn."""

    async def work():
        engine = ScriptedEngine(("a",) * 200, pause_seconds=0.01)
        async with rig(engine) as it:
            it.ask()
            await it.transport.wait_for("delta", 3)
            assert it.transport.bodies("reply") == []
            it.transport.delivery = Delivery.UNHEARD
            it.ask("next", seed=1)
            first, second = await it.replies(2)
            assert (first["code"], first["error"]["message"]) == (499, "nobody listens")
            assert 0 < first["usage"]["completion_tokens"] < 200 > second["usage"]["completion_tokens"]

    run(work)


def test_what_the_settings_no_longer_allow_does_not_stop_the_start(tmp_path):
    """A request of before that is over today's limits is refused, one of a fleet that was left is dropped."""
    journal = JournalFile(tmp_path / "journal")
    large = Message("edge/pi/request", b'{"id": "large", "prompt": "' + b"x" * 5000 + b'"}')
    left = Message("edge/old/request", b"hello")
    fine = Message("edge/pi/request", b'{"prompt": "x", "id": "fine"}')
    entries = [
        Entry(number, "q", each.digest(), each, Moment.now()) for number, each in enumerate((large, left, fine), 1)
    ]
    journal.write([accept(entry) for entry in entries])
    journal.close()

    async def work():
        async with rig(journal=JournalFile(tmp_path / "journal"), payload_bytes=1024) as it:
            assert [(each["id"], each["code"]) for each in await it.replies(2)] == [("large", 413), ("q", 200)]

    run(work)


def test_what_was_not_answered_may_be_asked_again():
    """A repeat of what was cancelled is tried anew; a second delivery of its packet is not."""

    async def work():
        engine = ScriptedEngine(("a",) * 100, pause_seconds=0.02)
        async with rig(engine) as it:
            sent = Message("edge/pi/request", b'{"prompt": "x", "id": "q"}', 1, packet_identifier=4)
            it.transport.arrive(sent)
            await it.transport.wait_for("delta")
            it.transport.arrive(Message("edge/pi/cancel", b"q"))
            assert (await it.replies())[0]["code"] == 499
            it.transport.arrive(dataclasses.replace(sent, duplicate=True))
            assert (await it.replies(2))[1]["code"] == 499
            engine.pause_seconds = 0.0
            it.transport.arrive(dataclasses.replace(sent, packet_identifier=5))
            assert (await it.replies(3))[2]["code"] == 200
            assert len(engine.jobs) == 2

    run(work)


def test_an_engine_that_has_grown_is_started_anew_when_nothing_runs():
    """Not in the middle of an answer, before the next; nobody's request is lost, and the status says so."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine) as it:
            it.ask("a")
            await asyncio.sleep(0.05)
            engine.is_overgrown = True
            it.ask("b", seed=1)
            await asyncio.sleep(0.05)
            assert engine.starts == 1
            engine.hold.set()
            assert [(each["id"], each["code"]) for each in await it.replies(2)] == [("a", 200), ("b", 200)]
            assert engine.starts == 2
            states = [json.loads(m.payload)["state"] for m in it.transport.published if m.topic == "edge/pi/status"]
            assert states[-2:] == ["loading", "online"]

    run(work)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b'{"prompt": ',
        b'{"prompt": "x", "seed": 1.5}',
        b'{"prompt": "x", "top_p": NaN}',
        b'{"seed": ' + b"9" * 5000,
    ],
)
def test_what_was_refused_is_let_go_of_at_once(payload):
    """No refused message waits for Python's collector of cycles: a burst of large ones would stay in memory."""

    async def work():
        async with rig() as it:
            gc.collect()
            gc.disable()
            for number in range(5):
                it.transport.arrive(Message("edge/pi/request", payload, correlation_data=bytes([number])))
            await it.replies(5)
            it.ask("last")
            await it.replies(6)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            kept = [each for each in gc.garbage if isinstance(each, Fault | Message)]
            assert kept == []

    try:
        run(work)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_an_answer_that_nobody_could_take_in_time_is_dropped_and_counted():
    """The broker was away for longer than the answer was worth; telemetry says so."""

    async def work():
        it = Rig(ScriptedEngine(), journal=JournalFile(None))
        late = Message("edge/pi/reply", b'{"type": "reply", "id": "late"}')
        it.service._outbox.add(Answer(1, late, asyncio.get_running_loop().time() - 1))
        task = asyncio.create_task(it.service.run())
        it.ask("q")
        assert [each["id"] for each in await it.replies()] == ["q"]
        readings = [json.loads(m.payload) for m in it.transport.published if m.topic == "edge/pi/telemetry"]
        assert readings[-1]["inference"]["answers_expired"] == 1
        it.service.stop()
        await asyncio.wait_for(task, 10)

    run(work)


def test_a_clients_share_does_not_grow_with_its_topics():
    """Another response topic for each request takes no more places; those who give no name are one client."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine, queue_length=16) as it:
            for number in range(8):
                it.ask(f"m{number}", "edge/pi/request/me", response_topic=f"answers/me/{number}", seed=number)
                it.ask(f"a{number}", response_topic=f"answers/a{number}", seed=number)
            it.ask("you", "edge/pi/request/you")
            refused = await it.replies(7)
            assert {each["code"] for each in refused} == {429}
            assert "you" not in {each["id"] for each in refused}
            engine.hold.set()

    run(work)


def test_an_operators_ceilings():
    """What is over them is lowered, and the answer says so; what is not asked for is lowered without a word."""

    async def work():
        async with rig(queue_length=16, max_tokens_ceiling=10, priority_ceiling="normal") as it:
            it.ask("over", max_tokens=1000, priority="high")
            it.ask("silent")
            it.ask("under", max_tokens=5, priority="low")
            over, silent, under = sorted(
                await it.replies(3), key=lambda each: ["over", "silent", "under"].index(each["id"])
            )
            assert [job.max_tokens for job in it.engine.jobs] == [10, 10, 5]
            assert [name.split()[0] for name in over["warnings"]] == ["max_tokens", "priority"]
            assert (silent["warnings"], under["warnings"]) == ([], [])

    run(work)


def test_what_nobody_marked_is_laid_last_and_told():
    """Assist's line with the time leaves the system prompt; a marked one does, too, and is not worth a warning."""

    async def work():
        async with rig(queue_length=16) as it:
            now = "Current time is 20:37:19. Today's date is 2024-12-20."
            marked = {"type": "text", "text": "It is dark.", "cache": "volatile"}
            turns = [{"role": "system", "content": [marked, {"type": "text", "text": "You are a house."}]}]
            it.ask("formed", system=f"{now}\nYou are a house.\n", prompt="Hello")
            it.ask("marked", prompt=None, messages=[*turns, {"role": "user", "content": "Hello"}])
            replies = {each["id"]: each["warnings"] for each in await it.replies(2)}
            formed, asked = sorted(it.engine.jobs, key=lambda job: job.id)
            assert [turn["content"] for turn in formed.messages] == ["You are a house.\n", f"{now}\nHello"]
            assert [turn["content"] for turn in asked.messages] == ["You are a house.", "It is dark.\nHello"]
            assert len(replies["formed"]) == 1
            assert "laid" in replies["formed"][0]
            assert replies["marked"] == []

    run(work)


def test_beginnings_are_a_clients_own_unless_they_are_shared():
    """What the engine is told of whose they are: a client's by its name, of those without one the same for all."""

    async def work(shares: bool) -> list[str]:
        async with rig(queue_length=16, share_beginnings=shares) as it:
            for name, topic in (("a", "edge/pi/request/me"), ("b", "edge/pi/request/you"), ("c", "edge/pi/request")):
                it.ask(name, topic)
            it.ask("d", response_topic="answers/x")
            await it.replies(4)
            return [job.cache_salt for job in sorted(it.engine.jobs, key=lambda job: job.id)]

    me, you, nobody, nobody_else = asyncio.run(work(False))
    assert len({me, you, nobody}) == 3
    assert nobody == nobody_else != ""
    assert set(asyncio.run(work(True))) == {""}


def test_a_repeat_is_answered_now_and_then():
    """Asked again a thousand times, an answer goes out once more, not a thousand times."""

    async def work():
        async with rig(ScriptedEngine(("x" * 100_000,))) as it:
            it.ask("q")
            await it.replies()
            for _ in range(1000):
                it.ask("q")
            it.ask("other")
            assert [each["id"] for each in await it.replies(3)] == ["q", "q", "other"]

    run(work)


def test_a_refusal_is_on_disk_before_it_is_acknowledged(tmp_path):
    """The daemon dies before the broker has it: the next one delivers it, since the request comes no more."""

    async def refused():
        it = Rig(ScriptedEngine(), journal=JournalFile(tmp_path / "journal"))
        it.transport.delivery = None
        task = asyncio.create_task(it.service.run())
        it.transport.arrive(Message("edge/pi/request", b'{"prompt": 7, "id": "bad"}', 1, packet_identifier=3))
        await it.replies()
        while not it.transport.acknowledged:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def again():
        async with rig(journal=JournalFile(tmp_path / "journal")) as it:
            assert [(each["id"], each["code"]) for each in await it.replies()] == [("bad", 400)]

    run(refused)
    run(again)


class Stumbling(JournalFile):
    """A journal that raises what nobody foresaw, as often as it is told to."""

    stumbles = 0

    def next_number(self) -> int:
        self._stumble(RuntimeError("nobody foresaw this"))
        return super().next_number()

    def find(self, names):
        self._stumble(sqlite3.OperationalError("disk I/O error"))
        return super().find(names)

    def _stumble(self, error: Exception) -> None:
        if self.stumbles:
            self.stumbles -= 1
            raise error


def test_what_nobody_foresaw_ends_one_request_and_not_the_daemon():
    """500 for whoever asked, acknowledged, so that it does not come again; the next one is answered."""

    async def work():
        journal = Stumbling(None)
        async with rig(journal=journal) as it:
            journal.stumbles = 2
            for number, name in enumerate(("first", "second"), 1):
                payload = json.dumps({"prompt": "x", "id": name}).encode()
                it.transport.arrive(Message("edge/pi/request", payload, 1, packet_identifier=number))
                await it.replies(number)
            assert [(each["id"], each["code"]) for each in await it.replies(2)] == [("first", 500), ("second", 200)]
            while len(it.transport.acknowledged) < 2:
                await asyncio.sleep(0.01)

    run(work)


def test_what_was_accepted_and_cannot_be_read_ends_no_start(tmp_path):
    """A journal with a request that raises at every start: it is refused and gone."""
    journal = JournalFile(tmp_path / "journal")
    strange = Message("edge/nowhere/request", b"x", 1)
    broken = Message("edge/pi/request", b'{"prompt": 7, "id": "q"}', 1)
    for number, message in enumerate((strange, broken), 1):
        journal.write([accept(Entry(number, "q", b"d", message, Moment.now()))])
    journal.close()

    async def work():
        async with rig(journal=JournalFile(tmp_path / "journal")) as it:
            assert [(each["id"], each["code"]) for each in await it.replies()] == [("q", 400)]

    run(work)
    assert list(JournalFile(tmp_path / "journal").open_requests()) == []
