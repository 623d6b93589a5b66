"""Answers on their way to a broker that is slow, refuses, forgets, or ends the connection over one of them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable

from edge.service import journal_file
from edge.service.journal import Journal
from edge.service.journal_file import Entry, JournalFile, Moment
from edge.service.outbox import ALONE_MAX, IN_FLIGHT_MAX, WAITING_MAX, Answer, Outbox
from edge.testing import MemoryTransport, SimulatedLoop
from edge.wire.message import Delivery, Message
from edge.wire.reply import Outcome, terminal
from edge.wire.request import Address


def reply(number: int, text: str = "") -> Message:
    """A terminal message."""
    return terminal(Address("answers/me", f"q{number}"), Outcome(200, "stop", text))


class Rig:
    """An outbox with its journal and a broker that says what it is told to."""

    def __init__(self, file: JournalFile | None = None) -> None:
        self.transport = MemoryTransport()
        self.journal = Journal(file or JournalFile(None))
        self.outbox = Outbox(self.transport, self.journal)
        self.transport.at_connect = self.outbox.pump

    def add(self, number: int, seconds: float = 60, **fields) -> None:
        """An answer to deliver."""
        until = asyncio.get_running_loop().time() + seconds
        self.outbox.add(Answer(number, reply(number), until, **fields))

    @property
    def sent(self) -> list[str]:
        """Ids of what was published, in order."""
        return [json.loads(each.payload)["id"] for each in self.transport.published]


def running(work: Callable[[Rig], Awaitable[None]], file: JournalFile | None = None) -> None:
    """Do something with an outbox whose time passes at once."""

    async def within() -> None:
        it = Rig(file)
        task = asyncio.create_task(it.journal.run())
        await work(it)
        task.cancel()

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(within())


def test_a_broker_that_acknowledges_nothing_gets_a_few_and_all_again():
    """A window's worth is under way, and after the connection is lost the same ones go first, in their order."""

    async def work(it: Rig) -> None:
        it.transport.start()
        it.transport.delivery = None
        for number in range(IN_FLIGHT_MAX + 4):
            it.add(number)
        first = [f"q{number}" for number in range(IN_FLIGHT_MAX)]
        assert it.sent == first
        it.transport.lose()
        it.transport.delivery = Delivery.TAKEN
        it.transport.start()
        await it.outbox.drained()
        assert it.sent == first + [f"q{number}" for number in range(IN_FLIGHT_MAX + 4)]

    running(work)


def test_what_the_broker_refuses_is_sent_again_later():
    """The others go on meanwhile; it is dropped and counted when it is worth nothing any more."""

    async def work(it: Rig) -> None:
        it.transport.start()
        it.transport.delivery = Delivery.REFUSED
        it.add(1)
        it.add(2, seconds=8)
        await asyncio.sleep(6)
        it.transport.delivery = Delivery.TAKEN
        it.add(3)
        await it.outbox.drained()
        assert it.sent == ["q1", "q2", "q1", "q2", "q3", "q1"]
        assert it.outbox.expired == 1

    running(work)


def test_an_answer_that_ends_every_connection_is_given_up():
    """Once connections end in a row, answers go alone; the one that ends them is found, the others delivered."""

    async def work(it: Rig) -> None:
        for number in range(3):
            it.add(number)
        it.transport.is_looping, it.transport.delivery = True, None
        for _ in range(2 + ALONE_MAX):
            it.transport.start()
            while it.outbox and it.sent[-1] != "q1":
                it.transport.settle(Delivery.TAKEN)
            it.transport.lose()
        assert it.outbox.given_up == 1
        assert set(it.sent) == {"q0", "q1", "q2"}
        assert len(it.outbox) == 0

    running(work)


def test_a_repeat_is_on_its_way_once_and_takes_no_memory():
    """Its text is read from the journal when its turn comes; asked again meanwhile, one answer does for both."""
    file = JournalFile(None)
    asked = Message("edge/pi/request/me", b"{}", 1)
    file.write([journal_file.accept(Entry(1, "q1", asked.digest(), asked, Moment.now()))])
    file.write([journal_file.answer(1, reply(1, "x" * 400_000), 200, 60), journal_file.deliver(1)])

    async def work(it: Rig) -> None:
        until = asyncio.get_running_loop().time() + 60
        for _ in range(1500):
            it.outbox.add(Answer(1, None, until, is_repeat=True))
        assert len(it.outbox) == 1
        it.transport.start()
        await it.outbox.drained()
        assert it.sent == ["q1"]
        assert not it.outbox.is_full

    running(work, file)


def test_a_thousand_waiting_answers_are_enough():
    """From then on nothing more is let in, so that a broker that takes nothing fills no memory."""

    async def work(it: Rig) -> None:
        for number in range(WAITING_MAX):
            assert not it.outbox.is_full
            it.add(number)
        assert it.outbox.is_full

    running(work)


def test_a_clock_that_is_set_makes_no_answer_worthless(tmp_path):
    """Two hours forward or a day back while the daemon is off, in the same boot or before another: it is sent."""
    for shift in (7200.0, -86_400.0):
        path = tmp_path / f"journal{shift}"
        file = JournalFile(path)
        asked = Message("edge/pi/request/me", b"{}", 1)
        for number in (1, 2):
            file.write([journal_file.accept(Entry(number, "q", asked.digest(), asked, Moment.now()))])
            file.write([journal_file.answer(number, reply(number), 200, 60)])
        file.close()
        database = sqlite3.connect(path)
        with database:
            database.execute("update request set reply_wall_seconds = reply_wall_seconds - ?", (shift,))
            database.execute("update request set reply_boot_id = 'another' where number = 2")
        database.close()
        assert [left > 50 for _, left in JournalFile(path).undelivered()] == [True, True]
