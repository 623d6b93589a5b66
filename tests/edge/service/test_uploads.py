"""Requests in chunks: whole and once, or refused with a word; bounded whatever is promised, sent or left out."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from edge.errors import BadRequest, DeadlineExceeded, Fault, TooLarge, Unavailable
from edge.service.uploads import SILENT_SECONDS, WHOLE_SECONDS, Uploads
from edge.testing import SimulatedLoop
from edge.wire import chunks
from edge.wire.chunks import Chunk
from edge.wire.message import Message
from edge.wire.topics import Topics

TOPICS = Topics("pi")
DATA = bytes(range(256)) * 2000
PARSED_MAX = 1 << 20


def parsed(data: bytes = DATA, upload: str = "u", in_properties: bool = True, client: str = "me") -> list[Chunk]:
    """A payload's chunks as they arrive."""
    sent = chunks.chunks(data, upload, in_properties)
    return [
        chunks.parse_chunk(
            Message(f"edge/pi/chunk/{client}", piece, 1, correlation_data=b"c1", user_properties=properties),
            TOPICS,
            PARSED_MAX,
        )
        for piece, properties in sent
    ]


class Taken:
    """Uploads, and what became of them."""

    def __init__(self, bytes_max: int = PARSED_MAX) -> None:
        self.faults: list[tuple[Message, Fault]] = []
        self.uploads = Uploads(bytes_max, lambda message, fault: self.faults.append((message, fault)))

    def add(self, *chunks: Chunk) -> list[Message]:
        """What is whole after some chunks."""
        return [whole for chunk in chunks if (whole := self.uploads.add(chunk))]

    @property
    def kinds(self) -> list[type[Fault]]:
        """Of the faults so far."""
        return [type(fault) for _, fault in self.faults]


def taking(work: Callable[[Taken], None], bytes_max: int = PARSED_MAX) -> None:
    """Do something with uploads, within an event loop."""

    async def within() -> None:
        taken = Taken(bytes_max)
        work(taken)
        taken.uploads.close()

    asyncio.run(within())


@pytest.mark.parametrize("in_properties", [True, False], ids=["properties", "json"])
def test_chunks_become_the_request_that_they_are_of(in_properties):
    """Topic, correlation data and bytes; the chunks' own properties are gone."""

    def work(it: Taken) -> None:
        (whole,) = it.add(*parsed(in_properties=in_properties))
        assert (whole.topic, whole.payload) == ("edge/pi/request/me", DATA)
        assert (whole.correlation_data, whole.user_properties) == (b"c1", ())
        assert it.faults == []

    taking(work)


def test_a_device_may_be_called_chunk():
    """Names are taken apart, not replaced."""
    piece, head = next(chunks.chunks(b"x", "u", in_properties=True))
    message = Message("edge/chunk/chunk/chunk", piece, user_properties=head)
    chunk = chunks.parse_chunk(message, Topics("chunk"), PARSED_MAX)
    assert chunk.request.topic == "edge/chunk/request/chunk"


@given(some.lists(some.integers(0, 5), min_size=1, max_size=14))
@settings(max_examples=300)
def test_whatever_arrives_in_whatever_order_is_whole_or_refused(order):
    """Lost, doubled, turned round: no request that was not sent, none twice from one upload, at most one fault each."""
    chunks = parsed()
    assert len(chunks) == 6

    def work(it: Taken) -> None:
        whole = it.add(*(chunks[number] for number in order))
        assert all(each.payload == DATA for each in whole)
        assert len(it.faults) <= 1 + order.count(0)
        assert len(whole) <= order.count(5)
        in_order = [number for place, number in enumerate(order) if number not in order[:place]]
        if order[0] == 0 and in_order == list(range(6)):
            assert whole

    taking(work)


def test_chunks_that_come_again_after_the_last_are_silent():
    """As a broker sends them again whose acknowledgements it has lost."""
    chunks = parsed()

    def work(it: Taken) -> None:
        assert len(it.add(*chunks)) == 1
        assert it.add(*chunks[3:]) == []
        assert it.faults == []

    taking(work)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"count": 7}, "do not say the same"),
        ({"total": 5}, "do not say the same"),
        ({"sha256": "0" * 64}, "do not say the same"),
        ({"data": DATA}, "more than the"),
        ({"data": b""}, "promise"),
    ],
)
def test_chunks_that_contradict_each_other_are_refused(change, says):
    """A head that differs, too many bytes, too few."""
    chunks = parsed()
    changed = Chunk(**{**{name: getattr(chunks[1], name) for name in chunks[1].__slots__}, **change})

    def work(it: Taken) -> None:
        assert it.add(chunks[0], changed, *chunks[2:]) == []
        assert it.kinds[0] is BadRequest
        assert says in it.faults[0][1].message
        assert it.faults[0][0].topic == "edge/pi/request/me"

    taking(work)


def test_what_is_promised_is_bounded_before_it_is_sent():
    """An upload over the limit, and more of them than memory is meant for; when they are gone there is room again."""
    small = len(DATA)

    def work(it: Taken) -> None:
        assert it.add(parsed(DATA + b"x")[0]) == []
        assert it.kinds == [TooLarge]
        for name in "ab":
            it.add(parsed(upload=name)[0])
        it.add(parsed(upload="c")[0])
        assert it.kinds == [TooLarge, Unavailable]
        assert len(it.add(*parsed(upload="a")[1:])) == 1
        assert len(it.add(*parsed(upload="c"))) == 1

    taking(work, small)


def test_uploads_of_two_clients_do_not_meet():
    """The same name means another upload for another client."""
    mine, theirs = parsed(), parsed(DATA[::-1], client="you")

    def work(it: Taken) -> None:
        whole = it.add(*(chunk for pair in zip(mine, theirs, strict=True) for chunk in pair))
        assert [each.payload for each in whole] == [DATA, DATA[::-1]]
        assert [each.topic.rpartition("/")[2] for each in whole] == ["me", "you"]

    taking(work)


def test_nobody_holds_the_places_of_others():
    """A client that begins uploads and sends next to nothing of them takes up its own two places, and no more."""
    small = len(DATA)

    def work(it: Taken) -> None:
        for number in range(20):
            (first, *_) = parsed(upload=f"u{number}", client="eve")
            it.add(dataclasses.replace(first, data=b"x"))
        assert it.kinds == [Unavailable] * 18
        for number in range(10):
            assert len(it.add(*parsed(upload="mine", client=f"c{number}"))) == 1

    taking(work, small)


def test_who_has_the_most_gives_way():
    """Where memory is short, the client with the most bytes loses an upload and is told; the others go on."""
    small = len(DATA)

    def work(it: Taken) -> None:
        it.add(*parsed(upload="a", client="eve")[:-1], *parsed(upload="b", client="eve")[:-1])
        assert len(it.add(*parsed(client="me"))) == 1
        assert it.kinds == [Unavailable]
        assert b'"a"' in it.faults[0][0].payload or b'"b"' in it.faults[0][0].payload

    taking(work, small)


def test_an_upload_that_drips_is_ended():
    """A chunk just before every deadline does not hold a place for ever."""

    async def work() -> None:
        it = Taken()
        chunk = parsed()[0]
        for number in range(12):
            it.add(dataclasses.replace(chunk, index=number, count=20, total=20, data=b"x"))
            await asyncio.sleep(SILENT_SECONDS - 1)
        assert it.kinds == [DeadlineExceeded]
        assert f"within {WHOLE_SECONDS:g} s" in it.faults[0][1].message

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(work())


def test_silence_ends_an_upload():
    """Half a minute after the last chunk its asker is told which one did not come."""

    async def work() -> None:
        it = Taken()
        it.add(*parsed()[:2])
        await asyncio.sleep(SILENT_SECONDS - 1)
        it.add(parsed()[2])
        await asyncio.sleep(SILENT_SECONDS - 1)
        assert it.faults == []
        await asyncio.sleep(2)
        assert it.kinds == [DeadlineExceeded]
        assert "chunk 3 of 6" in it.faults[0][1].message
        assert it.add(*parsed()[3:]) == []
        assert it.kinds == [DeadlineExceeded]
        assert len(it.add(*parsed())) == 1

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(work())


@pytest.mark.parametrize(
    ("payload", "properties", "says"),
    [
        (b"x", (), "JSON"),
        (b"{}", (), "upload|data"),
        (b'{"upload": "u", "data": "@"}', (), "base64"),
        (b'{"upload": "u", "data": 7}', (), "base64"),
        (b"x", (("edge-upload", "u"),), "index"),
        (
            b"x",
            (
                ("edge-upload", ""),
                ("edge-index", "0"),
                ("edge-count", "1"),
                ("edge-total", "1"),
                ("edge-sha256", "0" * 64),
            ),
            "upload",
        ),
        (
            b"x",
            (
                ("edge-upload", "u"),
                ("edge-index", "-1"),
                ("edge-count", "1"),
                ("edge-total", "1"),
                ("edge-sha256", "0" * 64),
            ),
            "index",
        ),
        (
            b"x",
            (
                ("edge-upload", "u"),
                ("edge-index", "0"),
                ("edge-count", "1"),
                ("edge-total", "1"),
                ("edge-sha256", "zz"),
            ),
            "sha256",
        ),
        (b"x", (("edge-upload", "u"), ("edge-index", "9" * 5000), ("edge-count", "1")), "index"),
    ],
)
def test_a_chunk_that_is_none_is_refused(payload, properties, says):
    """The field at fault is named."""
    with pytest.raises(BadRequest, match=says):
        chunks.parse_chunk(Message("edge/pi/chunk", payload, user_properties=properties), TOPICS, PARSED_MAX)


def test_the_checksum_is_of_the_whole():
    """As `sha256sum` gives it."""
    assert parsed()[0].sha256 == hashlib.sha256(DATA).hexdigest()
