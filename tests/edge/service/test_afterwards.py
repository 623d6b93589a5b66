"""What is said of a request afterwards: kept no longer than it was meant to be, forgotten, rated."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from edge.config import Settings
from edge.service.journal_file import Entry, JournalFile, Moment, accept
from edge.service.ratings import RECENT, Ratings
from edge.testing import ScriptedEngine
from edge.wire.afterwards import Rating
from edge.wire.message import Delivery, Message
from tests.edge.service.test_daemon import Rig, rig, run

ME, YOU = "edge/pi/request/me", "edge/pi/request/you"


def stored(it: Rig) -> int:
    """How many requests the journal has."""
    return int(it.service._journal.file._database.execute("select count(*) from request").fetchone()[0])


async def settled(it: Rig) -> None:
    """Everything is written that was to be."""
    await asyncio.sleep(0.05)
    await it.service._journal.settled()


def test_what_is_not_to_stay_is_asked_anew():
    """Its answer is stored until the broker has it; a repeat of the id after that is a new request."""

    async def work():
        async with rig() as it:
            it.ask("q", ME, keep=False)
            it.ask("r", ME)
            await it.replies(2)
            await settled(it)
            assert stored(it) == 1
            it.ask("q", ME, keep=False)
            it.ask("r", ME)
            await it.replies(4)
            assert len(it.engine.jobs) == 3
            assert [job.keep for job in it.engine.jobs] == [False, True, False]

    run(work)


def test_an_answer_stays_until_the_broker_has_it(tmp_path: Path):
    """Nothing accepted is lost: over a restart, too, it is delivered, and only then dropped."""

    async def first():
        async with rig(journal=JournalFile(tmp_path / "journal")) as it:
            it.transport.delivery = None
            it.ask("q", ME, keep=False)
            await it.replies()
            await settled(it)
            assert stored(it) == 1

    async def second():
        async with rig(journal=JournalFile(tmp_path / "journal")) as it:
            (reply,) = await it.replies()
            assert reply["text"] == "Hello world"
            await settled(it)
            assert stored(it) == 0

    run(first)
    run(second)


def test_an_interrupted_one_is_begun_again_and_then_dropped(tmp_path: Path):
    """The journal holds the request as it came until it is answered; the next daemon knows that it is not to stay."""
    journal = JournalFile(tmp_path / "journal")
    message = Message(ME, b'{"prompt": "x", "id": "q", "keep": false}', 1)
    journal.write([accept(Entry(1, "q", message.digest(), message, Moment.now(), share="me", keeps=False))])

    async def work():
        async with rig(journal=journal) as it:
            await it.replies()
            await settled(it)
            assert (it.engine.jobs[0].keep, stored(it)) == (False, 0)

    run(work)


def test_what_the_broker_refuses_is_not_dropped_yet():
    """Delivered is what the broker has acknowledged."""

    async def work():
        async with rig() as it:
            it.transport.delivery = None
            it.ask("q", ME, keep=False)
            await it.replies()
            await settled(it)
            assert stored(it) == 1
            it.transport.settle(Delivery.TAKEN)
            await settled(it)
            assert stored(it) == 0

    run(work)


def test_who_forgets_forgets_its_own():
    """Stored answers of that client and what its engine has; another's stay, and a repeat of the id is new."""

    async def work():
        async with rig(queue_length=8) as it:
            for topic in (ME, YOU, "edge/pi/request"):
                it.ask("q", topic)
            await it.replies(3)
            await settled(it)
            it.transport.arrive(Message("edge/pi/forget/me", b""))
            await settled(it)
            assert (stored(it), it.engine.forgotten) == (2, ["client me"])
            it.ask("q", ME)
            it.ask("q", YOU)
            await it.replies(5)
            assert len(it.engine.jobs) == 4
            it.transport.arrive(Message("edge/pi/forget", b"please"))
            await settled(it)
            assert (stored(it), it.engine.forgotten) == (2, ["client me", "client "])

    run(work)


def test_what_is_open_is_answered_and_then_forgotten():
    """One that runs and one that waits: both end as ever, and nothing of them stays."""

    async def work():
        engine = ScriptedEngine()
        engine.hold = asyncio.Event()
        async with rig(engine, queue_length=8) as it:
            it.ask("runs", ME)
            it.ask("waits", ME)
            it.ask("yours", YOU)
            await settled(it)
            it.transport.arrive(Message("edge/pi/forget/me", b""))
            await settled(it)
            assert stored(it) == 3
            engine.hold.set()
            assert {reply["code"] for reply in await it.replies(3)} == {200}
            await settled(it)
            assert stored(it) == 1
            assert sorted(job.keep for job in engine.jobs) == [False, True, True]

    run(work)


def test_shared_beginnings_are_everybodys():
    """Where all share them nobody can say whose they are: who forgets has all of them go."""

    async def work():
        async with rig(share_beginnings=True) as it:
            it.transport.arrive(Message("edge/pi/forget/me", b""))
            await settled(it)
            assert it.engine.forgotten == [""]

    run(work)


def test_a_wrong_forget_and_a_wrong_rating_are_told():
    """Retained ones would come again at every connect."""

    async def work():
        async with rig() as it:
            it.transport.arrive(Message("edge/pi/forget/me", b"", retain=True))
            it.transport.arrive(Message("edge/pi/rating/me", b'{"id": "q", "rating": "fine"}'))
            first, second = await it.replies(2)
            assert (first["code"], second["code"], second["id"]) == (400, 400, "q")
            assert second["error"]["param"] == "rating"
            assert it.engine.forgotten == []

    run(work)


def rate(name: str, verdict: str, client: str | None = "me", is_own: bool = True) -> tuple[Rating, bool]:
    """As it is taken."""
    return Rating("edge/pi" if is_own else "edge/hall", client, name, verdict), is_own


def test_the_last_word_on_an_answer_counts():
    """Once, however often it is said; a new answer of an old id is another."""
    ratings = Ratings()
    ratings.answered("me", "q")
    for verdict in ("good", "bad", "bad"):
        ratings.take(*rate("q", verdict))
    assert ratings.reading() == {"good": 0, "bad": 1}
    ratings.answered("me", "q")
    ratings.take(*rate("q", "good"))
    assert ratings.reading() == {"good": 1, "bad": 1}
    ratings.forget("me")
    assert ratings.reading() == {"good": 1, "bad": 1}


def test_an_answer_that_is_not_known_is_rated_all_the_same():
    """On the board's own topic: it may be of before a restart. To a fleet's, who has answered counts it."""
    ratings = Ratings()
    ratings.take(*rate("old", "good"))
    ratings.take(*rate("old", "bad", is_own=False))
    ratings.answered("me", "q")
    ratings.take(*rate("q", "good", client="you", is_own=False))
    ratings.take(*rate("q", "good", is_own=False))
    assert ratings.reading() == {"good": 2, "bad": 0}


def test_ratings_are_bounded():
    """So many answers can be rated anew, and no more is kept of them."""
    ratings = Ratings()
    for number in range(3 * RECENT):
        ratings.answered("me", f"q{number}")
    assert len(ratings._recent) == RECENT


def test_ratings_are_told():
    """In the telemetry, from the first message on."""

    async def work():
        async with rig() as it:
            it.ask("q", ME)
            await it.replies()
            it.transport.arrive(Message("edge/pi/rating/me", b'{"id": "q", "rating": "good"}'))
            it.transport.arrive(Message("edge/pi/rating", b'{"id": "z", "rating": "bad"}'))
            await settled(it)
            assert it.service._announcements.own["inference"]()["ratings"] == {"good": 1, "bad": 1}

    run(work)


def test_documents_are_listed(tmp_path: Path):
    """In `info`, at the start and when some come or go; what is no index's name is none."""
    from edge.service import announcements

    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("museum.index", "zoo.index", ".museum.index.new", "a b.index", "x.txt", f"{'y' * 70}.index"):
        (folder / name).touch()
    before, announcements.DOCUMENTS_SECONDS = announcements.DOCUMENTS_SECONDS, 0.05

    async def work():
        it = Rig(ScriptedEngine())
        it.service._announcements._settings = Settings(device="pi", documents={"folder": folder})
        task = asyncio.create_task(it.service.run())
        try:
            assert (await named(it, 1))[-1] == ["museum", "zoo"]
            (folder / "zoo.index").unlink()
            while (await named(it, 1))[-1] != ["museum"]:
                await asyncio.sleep(0.02)
        finally:
            it.service.stop()
            await task

    try:
        run(work)
    finally:
        announcements.DOCUMENTS_SECONDS = before


async def named(it: Rig, count: int) -> list[list[str]]:
    """What `info` has named so far, once it came so often."""
    while True:
        infos = [json.loads(each.payload) for each in it.transport.published if each.topic == "edge/pi/info"]
        if len(infos) >= count:
            return [info["documents"] for info in infos]
        await asyncio.sleep(0.01)
