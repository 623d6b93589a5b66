"""A request's fields in, what comes of them out: waiting, pieces of text, the reply.

Who leaves takes the request along. Every path that has the model answer goes through here, whatever its protocol is.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from edge.config import Http
from edge.doors.http.errors import Refused
from edge.wire.asked import Asked, Inside
from edge.wire.fields import parse_fields
from edge.wire.message import JSON

KEY_MAX = 200
"""Characters of an `Idempotency-Key`."""
OF_ONE = ("adapters", "picture_bytes", "crops_max", "embeddings", "models")
"""What of an info message is of one model alone."""
OURS = ("id", "response_topic")
"""Fields of the wire that a door says itself."""


@dataclass(frozen=True)
class House:
    """What the paths answer from.

    metrics: the last readings as Prometheus has them. began: seconds since 1970, when the door opened.
    """

    inside: Inside
    settings: Http
    metrics: Callable[[], bytes]
    began: int

    @property
    def model(self) -> str:
        """What the model is called that answers where none is named."""
        return str(self.inside.info().get("model", ""))

    @property
    def abouts(self) -> list[Mapping[str, Any]]:
        """The info message of each model that answers, that one's first."""
        info = self.inside.info()
        shared = {name: value for name, value in info.items() if name not in OF_ONE}
        return [info, *({**shared, **each} for each in info.get("models", ()))]

    def about(self, model: object) -> Mapping[str, Any]:
        """That of the one which a request names, maybe with an adapter."""
        own, *others = self.abouts
        name = model.partition(":")[0] if isinstance(model, str) else ""
        return next((each for each in others if each["model"] == name), own)


@dataclass(frozen=True, slots=True)
class Waits:
    """The request waits. place: how many are before it; seconds: until its turn, about."""

    place: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Piece:
    """More of the answer's text. choice: of several answers, which it is of."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole. reply: as docs/wire.md has it; its code is 200."""

    reply: dict[str, Any]


Told = Waits | Piece | Ended


def house_of(request: Request) -> House:
    """What a path answers from."""
    house = request.app.state.house
    assert isinstance(house, House)
    return house


async def fields_of(request: Request) -> dict[str, Any]:
    """The body as fields, bounded as the wire's are; Refused or a Fault where it is no JSON object.

    Its content type is not looked at but for a charset: `curl -d` says it is a form, and programs leave it out.
    """
    said = request.headers.get("content-type", JSON)
    fields = parse_fields(await request.body(), False, True, said if said.startswith(JSON) else JSON)
    return {name: value for name, value in fields.items() if value is not None and name not in OURS}


def asked_of(request: Request, fields: dict[str, Any], kind: str, has_choices: bool = False) -> Asked:
    """Fields of the wire as what is asked. kind: what the answer's name begins with, `chatcmpl`.

    A model's name that the operator has given it is left out, since it is this model that is meant. has_choices:
    whether the protocol has a place for several answers; Refused where it has none and they are asked for.
    """
    if not has_choices and fields.get("n") not in (None, 1):
        raise Refused(400, "n should be 1: this API has one answer to a request", "n")
    if fields.get("model") in house_of(request).settings.aliases:
        fields = {name: value for name, value in fields.items() if name != "model"}
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise Refused(400, f"Idempotency-Key should have 1 to {KEY_MAX} characters of ASCII", "Idempotency-Key")
    name = key or f"{kind}-{uuid.uuid4().hex}"
    return Asked(fields, f"http:{request.scope['asker']}", name, is_named=key is not None)


class Grown:
    """The texts so far. An engine that died begins again: what has been told already is not told twice."""

    def __init__(self) -> None:
        self._told: dict[int, str] = {}
        self._new: dict[int, str] = {}
        self._index = -1

    def by(self, index: int, text: str, choice: int = 0) -> str:
        """What is new with a piece; empty where it is not. Refused where the answer has become another one."""
        self._new = {} if index <= self._index else self._new
        self._new[choice] = self._new.get(choice, "") + text
        self._index = index
        return self.up_to(self._new[choice], choice, is_whole=False)

    def up_to(self, text: str, choice: int = 0, is_whole: bool = True) -> str:
        """The same of a text from its beginning. is_whole: there is no more of it."""
        told = self._told.get(choice, "")
        if not text.startswith(told) and (is_whole or not told.startswith(text)):
            raise Refused(500, "the engine broke in the middle of the answer, and what it says now is another one")
        self._told[choice] = told + (more := text[len(told) :])
        return more


def choices_of(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of a reply, each with its text and what belongs to that; of one, the reply itself."""
    return reply.get("choices") or [reply]


async def told(inside: Inside, asked: Asked) -> AsyncGenerator[Told, None]:
    """What comes of it, the whole text in pieces whether or not a stream was asked for.

    Refused where there is no answer. Who closes this before its end has the request cancelled, unless it is named.
    """
    grown = Grown()
    async with aclosing(inside.ask(asked)) as bodies:
        async for body in bodies:
            if body["type"] == "queued":
                yield Waits(body["place"], body["seconds"])
            elif body["type"] == "delta":
                choice = body.get("choice", 0)
                if more := grown.by(body["index"], body["text"], choice):
                    yield Piece(more, choice)
            else:
                if body["code"] != 200:
                    raise Refused.by(body)
                for choice, each in enumerate(choices_of(body)):
                    if more := grown.up_to(each["text"], choice):
                        yield Piece(more, choice)
                yield Ended(body)


async def reply_to(inside: Inside, asked: Asked) -> dict[str, Any]:
    """The reply alone. Refused where there is no answer."""
    async with aclosing(told(inside, asked)) as events:
        async for event in events:
            if isinstance(event, Ended):
                return event.reply
    raise Refused(503, "the board is stopping")
