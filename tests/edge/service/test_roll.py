"""What a board concludes from what others say: who is of the group, who may leave, whose place is to be taken."""

from __future__ import annotations

import asyncio

import pytest

from edge.service.heir import Heir
from edge.service.held import Held
from edge.service.load import LoadTeller
from edge.service.roll import MEMBERS_MAX, Roll, rank
from edge.testing import MemoryTransport
from edge.wire.load import Load, Member, parse_member
from edge.wire.message import INHERITED, Delivery, Message, handed_on, handed_on_count
from edge.wire.topics import Topics

TOPICS = Topics("b", "hall")


def member(reason: str | None = None, is_joined: bool = True, heir: str | None = None) -> Member:
    """What a board says."""
    return Member(accepts=reason is None, is_joined=is_joined, reason=reason, heir=heir)


def roll(**members: Member) -> Roll:
    """As the board `b` knows it, heard at 0."""
    found = Roll("b")
    for name, each in members.items():
        found.hear(name, each, 0.0)
    return found


@pytest.mark.parametrize(
    ("own", "others", "belongs"),
    [
        (None, [None], True),
        ("full", [None], False),
        ("full", ["hot"], True),
        ("full", ["drained"], True),
        ("drained", ["full"], False),
        ("drained", ["drained", "loading"], True),
        ("stopping", ["drained"], False),
        ("stopping", [], True),
        ("hot", ["offline"], True),
        ("hot", ["inherited", None], False),
    ],
)
def test_the_group_is_the_best_there_are(own, others, belongs):
    """Somebody is always of it; who is away does not count."""
    found = roll(**{f"x{number}": member(reason) for number, reason in enumerate(others)})
    assert found.belongs(own) is belongs


def test_a_board_leaves_only_where_a_better_one_listens():
    """One that would take more but has not joined yet is not enough."""
    assert not roll(a=member(None, is_joined=False)).is_replaced("full")
    assert roll(a=member(None)).is_replaced("full")
    assert not roll(a=member("hot")).is_replaced("full")
    assert rank("full") < rank("drained") < rank("stopping")


def test_heirs_come_in_turn():
    """The first by name soonest; who has said that it is at it is waited for, as long as it is there."""
    found = roll(a=member(), c=member(), gone=member("offline", is_joined=False))
    assert found.due(11, 10) == []
    assert found.due(16, 10) == ["gone"]
    found.hear("gone", member("inheriting", is_joined=False, heir="a"), 12)
    assert found.due(100, 10) == []
    found.hear("a", member("offline", is_joined=False), 100)
    assert found.due(101, 10) == ["gone"]
    found.hear("gone", member("inherited", is_joined=False, heir="b"), 102)
    assert found.due(111, 10) == ["a"]
    found.hear("a", member("loading"), 112)
    assert found.is_back("a")
    assert found.due(999, 10) == []


def test_who_is_silent_is_away():
    """A board that died while the broker was down, which then had no Will to tell; one that goes on speaking is not."""
    found = roll(a=member(), c=member())
    found.hear("a", member(), 100)
    found.forget_silent(151)
    assert not found.is_back("c")
    assert found.is_back("a")
    assert found.due(200, 10) == ["c"]


def test_many_that_are_gone_leave_room():
    """Nothing is remembered of whom nothing waits for, so that others of a fleet that was larger once are heard."""
    found = roll()
    for number in range(MEMBERS_MAX):
        found.hear(f"x{number}", member("offline", is_joined=False), 0)
    found.hear("a", member(), 0)
    assert not found.is_anybody_there
    found.hear("x0", member("gone", is_joined=False, heir="b"), 1)
    found.hear("a", member(), 1)
    assert found.is_anybody_there
    assert "x0" not in found.due(99, 10)


def test_what_is_said_without_sense_changes_nothing():
    """Too long, no JSON, not as it should be: as if nothing was said; a newer board's own fields are passed over."""
    for payload in (
        b"",
        b"{",
        b"x" * 2000,
        b'{"accepts": 1}',
        b'{"accepts": true, "is_joined": true, "reason": "odd"}',
    ):
        assert parse_member(Message("edge/hall/member/a", payload)) is None
    newer = b'{"accepts": true, "is_joined": true, "mood": "good"}'
    assert parse_member(Message("edge/hall/member/a", newer)) == member()


def test_acknowledgements_keep_their_order():
    """What is answered before an earlier one waits for it (MQTT 5, section 4.6); a copy of a message is another."""

    async def work() -> None:
        transport = MemoryTransport()
        held, messages = Held(transport), [Message("t", b"x", 1, packet_identifier=n) for n in (1, 2, 3)]
        requests = [held.add(message) for message in messages]
        for number, message in enumerate(messages, 7):
            held.met(message, number)
        held.delivered(8)
        held.done(requests[2])
        assert transport.acknowledged == []
        assert held.find(Message("t", b"x", 1, packet_identifier=1)) is None
        held.delivered(7)
        assert [each.packet_identifier for each in transport.acknowledged] == [1, 2, 3]
        assert len(held) == 0

    asyncio.run(work())


def test_a_request_that_is_handed_on_is_the_same():
    """Everything but its way goes with it: where the answer goes, what is left of its time; it is no other request."""
    asked = Message(
        "edge/hall/request/me", b"x", 1, False, "answers/me", b"c", "text/plain", 30, (("edge-x", "1"),), 7, True
    )
    once = handed_on(asked, 10.4)
    twice = handed_on(once, 100)
    assert (once.digest(), twice.digest()) == (asked.digest(), asked.digest())
    assert (once.message_expiry_interval, twice.message_expiry_interval) == (20, 1)
    assert [handed_on_count(each) for each in (asked, once, twice)] == [0, 1, 2]
    assert (twice.response_topic, twice.correlation_data, twice.packet_identifier) == ("answers/me", b"c", 0)
    assert handed_on_count(Message("t", b"", user_properties=(("handed-on", "x" * 9999),))) == 1
    inherited = handed_on(handed_on(twice, 0, INHERITED), 0, INHERITED)
    assert (handed_on_count(inherited), handed_on_count(inherited, INHERITED)) == (2, 2)
    assert inherited.digest() == asked.digest()


def inherit(deliveries: list[Delivery], has_session: bool = True) -> tuple[str, MemoryTransport, MemoryTransport]:
    """An heir of one request: what came of it, the absent board's connection, and ours, whose broker says these."""

    async def work() -> tuple[str, MemoryTransport, MemoryTransport]:
        theirs, ours = MemoryTransport(), MemoryTransport()
        theirs.has_session, ours.delivery = has_session, None
        ours.start()
        if has_session:
            theirs.subscribe([*TOPICS.shared, TOPICS.member("+")])
            theirs.arrive(Message("edge/hall/request", b"x", 1, packet_identifier=1))
        running = asyncio.create_task(Heir(theirs, ours, TOPICS).run())
        for count, delivery in enumerate(deliveries, 1):
            while len(ours.published) < count:
                await asyncio.sleep(0.01)
            assert theirs.acknowledged == []
            ours.settle(delivery)
        return await running, theirs, ours

    return asyncio.run(work())


def test_an_heir_acknowledges_what_it_has_handed_on_alone():
    """What the broker refuses, or has nobody for, is tried again; then the session is ended."""
    found, theirs, ours = inherit([Delivery.REFUSED, Delivery.UNHEARD, Delivery.TAKEN])
    assert (found, len(theirs.acknowledged), len(ours.published)) == ("inherited", 1, 3)
    assert {handed_on_count(each, INHERITED) for each in ours.published} == {1}
    assert theirs.ended_session
    assert theirs.subscriptions == []


def test_an_heir_is_not_kept_by_what_members_say():
    """A large fleet is never quiet, and a board may be called what it likes; only requests count, and go on."""

    async def work() -> tuple[str, list[Message]]:
        theirs, ours = MemoryTransport(), MemoryTransport()
        theirs.has_session = True
        ours.start()
        running = asyncio.create_task(Heir(theirs, ours, TOPICS).run())
        while not running.done():
            theirs.arrive(Message("edge/hall/member/request", b"{}"))
            await asyncio.sleep(0.05)
        return running.result(), ours.published

    assert asyncio.run(asyncio.wait_for(work(), 30)) == ("inherited", [])


def test_an_heir_finds_nothing():
    """Where the broker had kept no session there is nothing to hand on, and the absent board's journal holds."""
    assert inherit([], has_session=False)[0] == "gone"


def test_the_load_is_told_when_it_matters():
    """At once where the board takes no more; numbers alone wait; after a new connect all of it again."""

    async def work() -> None:
        transport = MemoryTransport()
        transport.start()
        body = {
            "accepts": True,
            "reason": None,
            "fleet": None,
            "is_joined": False,
            "queue_length": 0,
            "running": 0,
            "rows": 1,
            "wait_seconds": 0.0,
        }
        teller = LoadTeller("edge/pi/load", transport, lambda: dict(body))
        teller.look()
        body["running"] = 1
        teller.look()
        assert len(transport.published) == 1
        body |= {"accepts": False, "reason": "full"}
        teller.look()
        assert len(transport.published) == 2
        transport.lose()
        teller.look()
        transport.start()
        teller.look()
        assert len(transport.published) == 3
        assert all(Load.model_validate_json(each.payload) and each.retain for each in transport.published)

    asyncio.run(work())
