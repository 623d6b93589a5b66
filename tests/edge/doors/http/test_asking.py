"""What is told of a request as events, whatever the engine does meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.doors.http.asking import Ended, Grown, Piece, Told, Waits, reply_to, told
from edge.doors.http.chat import completion
from edge.doors.http.errors import Refused
from edge.doors.http.events import ServerSent, Streamed, data, streamed
from edge.errors import TooMany
from edge.testing.inside import MemoryInside
from edge.wire.asked import Asked
from tests.edge.doors.http.bodies import REPLY
from tests.edge.doors.http.doors import SAID, bodies, fault

ASKED = Asked({"prompt": "x"}, "http:me", "q")
QUEUED = {"type": "queued", "id": "q", "place": 3, "seconds": 9.0}


def events_of(*said: dict[str, Any]) -> list[Told]:
    """All that comes of what is told."""

    async def work() -> list[Told]:
        return [event async for event in told(MemoryInside(said), ASKED)]

    return asyncio.run(work())


def deltas(*texts: str) -> list[dict[str, Any]]:
    """Pieces of an answer."""
    return bodies("", *texts)[:-1]


def text_of(events: list[Told]) -> str:
    """All pieces."""
    return "".join(event.text for event in events if isinstance(event, Piece))


def test_waiting_pieces_and_the_end():
    """In their order; the last has the reply."""
    events = events_of(QUEUED, *bodies("one two", "one", " two"))
    assert events[:3] == [Waits(3, 9.0), Piece("one"), Piece(" two")]
    assert isinstance(events[3], Ended)
    assert len(events) == 4


def test_without_deltas_the_reply_has_the_text():
    """Who asks for no stream is told none."""
    assert events_of(*bodies("one two"))[0] == Piece("one two")


@given(st.text("ab", max_size=12), st.data())
def test_an_answer_made_anew_is_told_once(text, draws):
    """However the first and the second attempt are cut into pieces, and wherever the first one broke off."""
    first = text[: draws.draw(st.integers(0, len(text)))]
    said = [*deltas(*cut(first, draws)), *deltas(*cut(text, draws)), bodies(text)[-1]]
    assert text_of(events_of(*said)) == text


def cut(text: str, draws: st.DataObject) -> list[str]:
    """A text in pieces."""
    places = sorted(draws.draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=3)))
    return [piece for piece in map(text.__getitem__, map(slice, [0, *places], [*places, None])) if piece]


def test_another_answer_is_no_more_of_the_first():
    """It ends there, and says so: what was sent cannot be taken back."""
    with pytest.raises(Refused, match="another one") as refused:
        events_of(*deltas("one", " two"), *deltas("one", " three"))
    assert refused.value.shape.status == 500


def test_a_gap_is_filled_by_the_reply():
    """The whole text is there at the end."""
    grown = Grown()
    assert (grown.by(0, "one"), grown.up_to("one two")) == ("one", " two")


def test_a_fault_is_refused_with_what_it_says():
    """As much for one who wants the reply alone."""
    inside = MemoryInside(fault(TooMany("too many", retry_after=7)))
    with pytest.raises(Refused) as refused:
        asyncio.run(reply_to(inside, ASKED))
    assert (refused.value.shape.status, refused.value.headers()) == (429, {"Retry-After": "7"})


class Held(MemoryInside):
    """One that tells nothing more after what it has told."""

    async def ask(self, asked: Asked) -> AsyncGenerator[dict[str, Any], None]:
        """What there is, then silence."""
        async with aclosing(super().ask(asked)) as said:
            async for body in said:
                yield body
            await asyncio.Event().wait()


class Plain(ServerSent):
    """Pieces as they are."""

    def piece(self, text: str, choice: int) -> list[bytes]:
        """One."""
        return [data(text)]

    def end(self, reply: dict[str, Any]) -> list[bytes]:
        """The last."""
        return [data({"end": reply["code"]})]


async def sent(response: Any, count: int) -> list[bytes]:
    """The first chunks of a response, which is left then."""
    assert isinstance(response, Streamed)
    found: list[bytes] = []

    async def send(message: Any) -> None:
        if message.get("body"):
            found.append(message["body"])
        if len(found) == count:
            raise OSError("the reader has left")

    with pytest.raises(OSError, match="has left"):
        await response({"type": "http"}, asyncio.Event().wait, send)  # type: ignore[arg-type]
    return found


def test_silence_is_filled_with_comments():
    """A place in the queue while it is known, then that work goes on; whoever leaves takes the request along."""

    async def work() -> None:
        inside = Held([QUEUED])
        response = await streamed(told(inside, ASKED), Plain(), 0.01)
        assert await sent(response, 2) == [b": queued 3\n\n", b": queued 3\n\n"]
        assert inside.left == [ASKED]
        inside = Held([QUEUED, *deltas("one")])
        response = await streamed(told(inside, ASKED), Plain(), 0.01)
        assert await sent(response, 2) == [b"data: one\n\n", b": working\n\n"]
        assert inside.left == [ASKED]

    asyncio.run(asyncio.wait_for(work(), 10))


def test_what_is_refused_before_a_word_is_refused_with_a_status():
    """Waiting does not begin the stream."""

    async def work() -> None:
        inside = MemoryInside([QUEUED, *fault(TooMany("too many"))])
        with pytest.raises(Refused, match="too many"):
            await streamed(told(inside, ASKED), Plain())

    asyncio.run(asyncio.wait_for(work(), 10))


def test_an_event_is_one_line_of_data():
    """Whatever the text says: line ends are escaped."""
    assert data({"text": f"{SAID}\n\ndata: x"}).count(b"\n") == 2
    assert json.loads(data({"text": "ä\n"}).removeprefix(b"data: ")) == {"text": "ä\n"}


@pytest.mark.parametrize(("text", "content"), [("Let me look.", "Let me look."), ('{"name": "lamp"}', None)])
def test_words_beside_a_call_are_told(text, content):
    """Another server behind the board may say some; a board's own call is the text itself."""
    call = {"id": "a", "type": "function", "function": {"name": "lamp", "arguments": "{}"}}
    reply = {**REPLY, "text": text, "tool_calls": [call], "finish_reason": "tool_calls"}
    (choice,) = completion("n", "big", reply)["choices"]
    assert (choice["message"]["content"], choice["message"]["tool_calls"]) == (content, [call])
