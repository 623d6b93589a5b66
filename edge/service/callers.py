"""Who asks through a door: its request is a message that no broker has seen, and what is told of it stays here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.errors import Conflict
from edge.wire.asked import Asked
from edge.wire.message import JSON, Message, dumps
from edge.wire.reply import refusal, terminal
from edge.wire.request import Address
from edge.wire.topics import Topics

NAMED = ("named", "yes")
"""User property of a request whose asker may come back for the answer."""

Body = dict[str, Any]


@dataclass(eq=False)
class Call:
    """One request and all who wait for it. told: so far, for who joins late."""

    payload: bytes
    told: list[Body] = field(default_factory=list)
    waiting: list[asyncio.Queue[Body]] = field(default_factory=list)

    def joined(self) -> asyncio.Queue[Body]:
        """One more who waits."""
        heard: asyncio.Queue[Body] = asyncio.Queue()
        for body in self.told:
            heard.put_nowait(body)
        self.waiting.append(heard)
        return heard

    def tell(self, body: Body) -> None:
        """Something to all of them."""
        self.told.append(body)
        for heard in self.waiting:
            heard.put_nowait(body)


class Callers:
    """Those of all doors."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._calls: dict[tuple[str, str], Call] = {}
        self._going: set[asyncio.Future[None]] = set()
        self.take: Callable[[Sequence[Message]], Awaitable[None]] = _nobody
        """Messages into the daemon, as if the broker had brought them."""

    async def ask(self, asked: Asked) -> AsyncGenerator[Body, None]:
        """What is told of a request (`edge.wire.asked.Inside.ask`)."""
        message, key = self._message(asked), (asked.client, asked.id)
        call = self._calls.get(key)
        if call is not None and call.payload != message.payload:
            yield refused(asked)
            return
        is_new, call = call is None, call or self._calls.setdefault(key, Call(message.payload))
        heard = call.joined()
        try:
            if is_new:
                await self.take([message])
            while True:
                body = await heard.get()
                yield body
                if body["type"] == "reply":
                    return
        finally:
            call.waiting.remove(heard)
            if not call.waiting:
                self._left(key, asked)

    def _left(self, key: tuple[str, str], asked: Asked) -> None:
        """Nobody waits any more: for an answer that is not there yet, either."""
        call = self._calls.pop(key)
        if asked.is_named or (call.told and call.told[-1]["type"] == "reply"):
            return
        gone = Message(self._topics.at_door("cancel", asked.client), dumps({"id": asked.id}), content_type=JSON)
        self.soon(self.take([gone]))

    def soon(self, work: Awaitable[None]) -> None:
        """Have something done that nobody waits for."""
        going = asyncio.ensure_future(work)
        self._going.add(going)
        going.add_done_callback(self._going.discard)

    def _message(self, asked: Asked) -> Message:
        fields = {name: value for name, value in asked.fields.items() if name != "response_topic"}
        named = (NAMED,) if asked.is_named else ()
        payload = dumps({**fields, "id": asked.id})
        return Message(self._topics.at_door("request", asked.client), payload, content_type=JSON, user_properties=named)

    def hear(self, message: Message) -> bool:
        """Whether a message was for one of them; whoever has left does not get it."""
        if not self._topics.is_doors(message.topic):
            return False
        body = json.loads(message.payload)
        call = self._calls.get((message.topic.rpartition("/")[2], body["id"]))
        if call is not None:
            call.tell(body)
        return True

    def may_return(self, message: Message) -> bool:
        """Whether somebody may come for the answer to a request that an earlier daemon had accepted."""
        return not self._topics.is_doors(message.topic) or NAMED in message.user_properties


@dataclass(frozen=True)
class Inside:
    """What a door opens to (`edge.wire.asked.Inside`)."""

    publish: Callable[[Message], None]
    ask: Callable[[Asked], AsyncGenerator[Body, None]]
    info: Callable[[], Body]
    load: Callable[[], Body]
    models: Callable[[], dict[str, Body]]


def refused(asked: Asked) -> Body:
    """What is told where another request of that name is open."""
    fault = Conflict(f"another request with the id {asked.id!r} is open", "id")
    body: Body = json.loads(terminal(Address("", asked.id), refusal(fault)).payload)
    return body


async def _nobody(_messages: Sequence[Message]) -> None:
    raise RuntimeError("a door asks before the daemon runs")
