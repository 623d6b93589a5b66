"""The Assist door, asked by the wyoming library's own client; its inside is the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from wyoming.asr import Transcript
from wyoming.client import AsyncClient, AsyncTcpClient, AsyncUnixClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from edge.config import Settings
from edge.doors.assist.door import Assist, client_of
from edge.doors.assist.events import DATA_BYTES, LINE_BYTES
from edge.doors.assist.turns import CHARACTERS, CONVERSATIONS, SECONDS, TURNS, Conversations
from edge.testing.inside import MemoryInside
from tests.conftest import free_port

DELTAS = [{"type": "delta", "index": index, "text": text} for index, text in enumerate(("It ", "is ", "on."))]
REPLY = {"type": "reply", "code": 200, "text": "It is on."}
REFUSED = {"type": "reply", "code": 503, "text": "", "error": {"message": "the queue is full"}}


@asynccontextmanager
async def door(inside: MemoryInside, **assist: Any) -> AsyncIterator[int]:
    """One that listens, which it does from the start; its port."""
    port = free_port()
    made = Assist(Settings(device="pi", assist={"address": f"127.0.0.1:{port}", **assist}))
    running = asyncio.create_task(made.run(inside))
    try:
        yield port
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def heard(client: AsyncClient, last: str) -> list[Event]:
    """Events up to one of a type."""
    events: list[Event] = []
    while not events or events[-1].type != last:
        event = await asyncio.wait_for(client.read_event(), 20)
        assert event is not None
        events.append(event)
    return events


async def asked(port: int, text: str, last: str = "handled-stop", **context: str) -> list[Event]:
    """What one is told."""
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Transcript(text, context=context or None, language="en").event())
        return await heard(client, last)


def test_it_is_asked_over_a_unix_socket(tmp_path):
    """By the library's own client; who asks has one name, the socket is gone at the end."""

    async def play() -> None:
        inside = MemoryInside([*DELTAS, REPLY])
        path = tmp_path / "assist.sock"
        made = Assist(Settings(device="pi", assist={"address": f"unix:{path}"}))
        running = asyncio.create_task(made.run(inside))
        async with AsyncUnixClient(path) as client:
            await client.write_event(Transcript("Is it on?").event())
            assert (await heard(client, "handled-stop"))[-2].data["text"] == "It is on."
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert [each.client for each in inside.asked] == ["assist:unix"]
        assert Settings(device="pi").topics.at_door("request", client_of(""))
        assert not path.exists()

    asyncio.run(play())


def test_it_describes_itself_and_pongs():
    """As Home Assistant reads it: installed, with languages; what is not known is passed over."""

    async def play() -> None:
        inside = MemoryInside()
        inside.about = {"model": "smollm2", "model_version": "1", "version": "2"}
        async with door(inside, languages=["en", "de"]) as port, AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Event("select-program", {"name": "x"}))
            await client.write_event(Describe().event())
            (event,) = await heard(client, "info")
            (program,) = Info.from_event(event).handle
            assert (program.name, program.installed, program.supports_handled_streaming) == ("Edge SLM pi", True, True)
            assert (program.models[0].name, program.models[0].languages) == ("smollm2", ["en", "de"])
            await client.write_event(Ping("here").event())
            assert (await heard(client, "pong"))[0].data["text"] == "here"

    asyncio.run(play())


def test_an_answer_comes_in_pieces_and_as_a_whole():
    """In the protocol's order, with the conversation's name."""

    async def play() -> None:
        inside = MemoryInside([{"type": "queued", "place": 1}, *DELTAS, REPLY])
        async with door(inside, documents="house") as port:
            events = await asked(port, "Is it on?", conversation_id="c1")
        assert [each.type for each in events] == [
            "handled-start",
            *["handled-chunk"] * 3,
            "handled",
            "handled-stop",
        ]
        assert "".join(each.data["text"] for each in events[1:4]) == events[4].data["text"] == "It is on."
        assert events[4].data["context"] == {"conversation_id": "c1"}
        (request,) = inside.asked
        assert request.client == "assist:127.0.0.1"
        assert request.fields["documents"] == "house"
        assert [each["role"] for each in request.fields["messages"]] == ["system", "user"]

    asyncio.run(play())


def test_an_answer_that_is_made_anew_is_told_as_a_whole():
    """Its pieces would not go on from those that were told."""

    async def play() -> None:
        async with door(MemoryInside([DELTAS[0], *DELTAS, REPLY])) as port:
            events = await asked(port, "x")
        assert [each.data["text"] for each in events if each.type == "handled"] == ["It is on."]

    asyncio.run(play())


@pytest.mark.parametrize(
    ("told", "text"), [([REFUSED], "the queue is full"), ([DELTAS[0], REFUSED], "the queue is full")]
)
def test_a_refusal_is_not_handled(told, text):
    """With its reason; nothing of it is remembered."""

    async def play() -> None:
        inside = MemoryInside(told)
        async with door(inside) as port:
            for _ in range(2):
                assert (await asked(port, "x", "not-handled", conversation_id="c"))[-1].data["text"] == text
        assert len(inside.asked[1].fields["messages"]) == 2

    asyncio.run(play())


def test_a_conversation_goes_on():
    """Over connections, as Home Assistant makes one a sentence; another name knows nothing of it."""

    async def play() -> None:
        inside = MemoryInside([*DELTAS, REPLY])
        async with door(inside, system="") as port:
            for name in ("c1", "c1", "c2"):
                await asked(port, "Is it on?", conversation_id=name)
        assert [len(each.fields["messages"]) for each in inside.asked] == [1, 3, 1]
        assert inside.asked[1].fields["messages"][1] == {"role": "assistant", "content": "It is on."}

    asyncio.run(play())


def test_conversations_are_bounded():
    """In turns, characters, number and time; askers do not share a name."""
    now = [0.0]
    kept = Conversations(lambda: now[0])
    for number in range(TURNS):
        kept.add("a", "c", str(number), "yes")
    assert (len(kept.before("a", "c")), kept.before("a", "c")[0]) == (TURNS, {"role": "user", "content": "4"})
    kept.add("a", "c", "x" * CHARACTERS, "y")
    assert kept.before("a", "c") == kept.before("b", "c") == []
    for number in range(CONVERSATIONS + 1):
        kept.add("a", f"n{number}", "q", "a")
    assert kept.before("a", "n0") == []
    assert len(kept.before("a", "n1")) == 2
    now[0] = SECONDS + 1
    assert kept.before("a", "n1") == []


HOSTILE = {
    "no JSON": b"GET / HTTP/1.1\n",
    "a list": b"[]\n",
    "no type": b"{}\n",
    "a type that is none": b'{"type": 5}\n',
    "deep": b"{" + b'"a":{' * 5000 + b"\n",
    "data that is none": b'{"type": "transcript", "data": []}\n',
    "a length that is none": b'{"type": "transcript", "data_length": "x"}\n',
    "a negative one": b'{"type": "transcript", "data_length": -1}\n',
    "much data": json.dumps({"type": "transcript", "data_length": DATA_BYTES + 1}).encode() + b"\n",
    "much payload": json.dumps({"type": "transcript", "payload_length": 10**12}).encode() + b"\n",
    "data that is no object": b'{"type": "transcript", "data_length": 2}\n[]',
    "no end of the line": b"x" * (4 * LINE_BYTES),
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_event_is_told_and_ends_the_connection(sent):
    """An `error` event, then the end; others are served as before, and nothing was asked."""

    async def play() -> None:
        inside = MemoryInside([REPLY])
        async with door(inside) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            answer = b""
            with suppress(ConnectionError):  # what was not read ends it hard
                answer = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            assert not answer or json.loads(answer.splitlines()[0])["type"] == "error"
            assert inside.asked == []
            assert (await asked(port, "x", "handled"))[-1].data["text"] == "It is on."

    asyncio.run(play())


@pytest.mark.parametrize("data", [{}, {"text": 5}, {"text": " "}, {"text": "x", "context": 5}])
def test_a_sentence_that_is_none(data):
    """Is not handled; a context that is none is not read."""

    async def play() -> None:
        async with door(MemoryInside([REPLY])) as port, AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Event("transcript", data))
            await heard(client, "handled" if data.get("text") == "x" else "not-handled")

    asyncio.run(play())


def test_half_an_event_asks_nothing():
    """Its sender has left."""

    async def play() -> None:
        inside = MemoryInside([REPLY])
        async with door(inside) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b'{"type": "transcript", "data_length": 99}\n{"text"')
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
        assert inside.asked == []

    asyncio.run(play())


def test_one_more_than_may_come_is_closed():
    """Before a byte of it is read."""

    async def play() -> None:
        async with door(MemoryInside([REPLY]), connections=1) as port, AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Ping("x").event())
            await heard(client, "pong")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("peer", "is_let_in"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.20", True),
        ("::ffff:192.168.1.20", True),
        ("192.168.2.20", False),
        ("fe80::1%eth0", False),
    ],
)
def test_who_may_come(peer, is_let_in):
    """The board itself and the networks that are named; each has a name that a client may have."""
    settings = Settings(device="pi", assist={"address": "0.0.0.0:1", "allow": ["192.168.1.0/24"]})
    assert settings.assist.lets_in(peer) is is_let_in
    assert settings.topics.at_door("request", client_of(peer))


@pytest.mark.parametrize("address", ["0.0.0.0:10400", "192.168.1.2:10400", "board:10400", "[::]:10400", "x", "a:99999"])
def test_an_address_beyond_the_board_wants_to_know_who_may_ask(address):
    """Since the protocol has no password; what is no address is refused as well."""
    with pytest.raises(ValueError, match="assist"):
        Settings(assist={"address": address})
