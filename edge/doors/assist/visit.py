"""One connection: each question gets its answer, in pieces and then as a whole, before the next is looked at."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from wyoming.asr import Transcript
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled
from wyoming.info import Describe
from wyoming.intent import Entity, Intent, NotRecognized, Recognize
from wyoming.ping import Ping, Pong

from edge.config import Assist
from edge.doors.assist.description import description
from edge.doors.assist.events import read_event, write_event
from edge.doors.assist.intents import Intents, Meant, chosen, fields_of_choosing
from edge.doors.assist.turns import Conversations, Turn
from edge.errors import Fault
from edge.wire.asked import Asked, Inside

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""After which one that says nothing is let go."""
NAME_CHARACTERS = 128
"""Of a conversation's name; the rest is not read."""


@dataclass(frozen=True)
class Visit:
    """Who asks over this connection, and what it takes to answer. asker: as `Asked.client` has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    inside: Inside
    settings: Assist
    device: str
    asker: str
    conversations: Conversations
    intents: Intents

    async def run(self) -> None:
        """Until the other side ends, says nothing for long, or says what is no event."""
        following = self._following()
        try:
            while (event := await asyncio.wait_for(following, IDLE_SECONDS)) is not None:
                following = self._following()
                await self._answered(event, following)
        except Fault as fault:
            await write_event(self.writer, Error(fault.message, str(fault.code)).event())
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Fault):
                await following

    def _following(self) -> asyncio.Task[Event | None]:
        return asyncio.create_task(read_event(self.reader))

    async def _answered(self, event: Event, following: asyncio.Task[Event | None]) -> None:
        """Answer an event, and stop where the other side leaves meanwhile, which cancels the request."""
        answering = asyncio.create_task(self._answer(event))
        try:
            await asyncio.wait({answering, following}, return_when=asyncio.FIRST_COMPLETED)
            has_left = following.done() and not following.exception() and following.result() is None
            if not (has_left and not answering.done()):
                await answering
        finally:
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering

    async def _answer(self, event: Event) -> None:
        """What is not known is passed over, as the protocol wants it."""
        if Describe.is_type(event.type):
            await self._tell(description(self.inside.info(), self.device, self.settings).event())
        elif Ping.is_type(event.type):
            await self._tell(Pong(event.data.get("text")).event())
        elif Transcript.is_type(event.type):
            await self._handle(event.data)
        elif Recognize.is_type(event.type) and self.settings.intents:
            await self._recognize(event.data)

    async def _handle(self, data: dict[str, Any]) -> None:
        """A sentence: what it has Home Assistant do, or its answer, or why there is none."""
        text, name = data.get("text"), conversation_of(data)
        context = {"conversation_id": name} if name else None
        if not isinstance(text, str) or not text.strip():
            await self._tell(NotHandled("there is nothing to answer", context).event())
            return
        if meant := await self._meant(text):
            self.conversations.add(self.asker, name, text, self.settings.done)
            await self._tell(self._intent(meant, context))
            return
        turns = [*self.conversations.before(self.asker, name), {"role": "user", "content": text}]
        asked = Asked(fields_of(self.settings, turns), self.asker, uuid.uuid4().hex)
        reply, is_begun = await self._pieces(asked, context)
        if reply["code"] == 200:
            self.conversations.add(self.asker, name, text, reply["text"])
            await self._tell(Handled(reply["text"], context).event())
        else:
            await self._tell(NotHandled(reply.get("error", {}).get("message", "no answer"), context).event())
        if is_begun:
            await self._tell(HandledStop().event())

    async def _recognize(self, data: dict[str, Any]) -> None:
        """A sentence of which only an intent is wanted."""
        text, name = data.get("text"), conversation_of(data)
        context = {"conversation_id": name} if name else None
        meant = await self._meant(text) if isinstance(text, str) else None
        await self._tell(self._intent(meant, context) if meant else NotRecognized(None, context).event())

    def _intent(self, meant: Meant, context: dict[str, Any] | None) -> Event:
        entities = [Entity(slot, value) for slot, value in meant.slots.items()]
        return Intent(meant.name, entities, self.settings.done, context).event()

    async def _meant(self, text: str) -> Meant | None:
        """The intent that the model has a sentence be; None where it is none, or is refused: then it is answered."""
        choices = self.intents.choices(text)
        if not choices:
            return None
        asked = Asked(fields_of_choosing(text, [*choices]), self.asker, uuid.uuid4().hex)
        async with aclosing(self.inside.ask(asked)) as told:
            reply = [body async for body in told][-1]
        return chosen(reply["text"], choices) if reply["code"] == 200 else None

    async def _pieces(self, asked: Asked, context: dict[str, Any] | None) -> tuple[dict[str, Any], bool]:
        """Tell the answer as it grows; its `reply`, and whether a stream was begun.

        One made anew is told as a whole at the end, since nothing can be unsaid.
        """
        count = 0
        async with aclosing(self.inside.ask(asked)) as told:
            async for body in told:
                if body["type"] == "reply":
                    break
                if body["type"] == "delta" and body["index"] == count:
                    if count == 0:
                        await self._tell(HandledStart(context).event())
                    await self._tell(HandledChunk(body["text"]).event())
                    count += 1
        return body, count > 0

    async def _tell(self, event: Event) -> None:
        await write_event(self.writer, event)


def conversation_of(data: dict[str, Any]) -> str | None:
    """The conversation's name as Home Assistant gives it; None where there is none that is one."""
    context = data.get("context")
    name = context.get("conversation_id") if isinstance(context, dict) else None
    return name if isinstance(name, str) and 0 < len(name) <= NAME_CHARACTERS else None


def fields_of(settings: Assist, turns: list[Turn]) -> dict[str, Any]:
    """A request's fields, as docs/wire.md has them."""
    system = [{"role": "system", "content": settings.system}] if settings.system else []
    fields: dict[str, Any] = {"messages": [*system, *turns], "max_tokens": settings.max_tokens}
    return fields | ({"documents": settings.documents} if settings.documents else {})
