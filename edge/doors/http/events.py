"""Streams: what is told of a request as it comes, in the form of a protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge.doors.http.asking import Ended, Piece, Told, Waits
from edge.doors.http.errors import Refused

SILENT_SECONDS = 10.0
"""After which a sign of life is sent. What is refused before the first of them is refused with a status."""


class Form(Protocol):
    """How a protocol writes a stream: bytes for each thing that happens, none where it has no word for it."""

    media_type: str

    def begin(self) -> Iterable[bytes]:
        """Before everything else."""
        ...

    def waits(self, waits: Waits | None) -> Iterable[bytes]:
        """A sign of life while nothing comes. waits: where the request is in the queue, as far as that is known."""
        ...

    def piece(self, text: str, choice: int = 0) -> Iterable[bytes]:
        """More text. choice: of several answers, which it is of."""
        ...

    def end(self, reply: dict[str, Any]) -> Iterable[bytes]:
        """The answer is whole."""
        ...

    def broken(self, refused: Refused) -> Iterable[bytes]:
        """It ends without being so."""
        ...


def data(body: Mapping[str, Any] | str, event: str | None = None) -> bytes:
    """One server-sent event."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


class ServerSent:
    """What streams of server-sent events have in common."""

    media_type = "text/event-stream"

    def begin(self) -> Iterable[bytes]:
        """Nothing."""
        return ()

    def waits(self, waits: Waits | None) -> Iterable[bytes]:
        """A comment, which readers of events pass over."""
        return (f": queued {waits.place}\n\n".encode() if waits else b": working\n\n",)

    def broken(self, refused: Refused) -> Iterable[bytes]:
        """OpenAI's error in place of the next event."""
        return (data(refused.body()),)


async def streamed(events: AsyncGenerator[Told, None], form: Form, silent_seconds: float = SILENT_SECONDS) -> Response:
    """A response that has begun to come. Refused where it ends before anything could be sent."""
    steady = with_silences(events, silent_seconds)
    waits: Waits | None = None
    try:
        while isinstance(first := await anext(steady), Waits):
            waits = first
    except BaseException:
        await steady.aclose()
        raise
    return Streamed(_written(steady, first, waits, form), form.media_type)


async def _written(
    steady: AsyncGenerator[Told | None, None], first: Told | None, waits: Waits | None, form: Form
) -> AsyncGenerator[bytes, None]:
    event: Told | None = first
    async with aclosing(steady):
        for chunk in form.begin():
            yield chunk
        try:
            while not isinstance(event, Ended):
                waits = event if isinstance(event, Waits) else waits
                for chunk in form.piece(event.text, event.choice) if isinstance(event, Piece) else form.waits(waits):
                    yield chunk
                waits = None if isinstance(event, Piece) else waits
                event = await anext(steady)
            for chunk in form.end(event.reply):
                yield chunk
        except Refused as refused:
            for chunk in form.broken(refused):
                yield chunk


async def with_silences(events: AsyncGenerator[Told, None], silent_seconds: float) -> AsyncGenerator[Told | None, None]:
    """The same, with None for every while in which nothing came."""
    coming: asyncio.Task[Told] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(events))
            await asyncio.wait({coming}, timeout=silent_seconds)
            if not coming.done():
                yield None
                continue
            event, coming = coming.result(), None
            yield event
            if isinstance(event, Ended):
                return
    finally:
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, Refused):
                await coming
        await events.aclose()


async def _next(events: AsyncGenerator[Told, None]) -> Told:
    return await anext(events)


class Streamed(Response):
    """A response whose chunks go out as they come; whatever ends it closes them."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], media_type: str) -> None:
        self._chunks = chunks
        super().__init__(media_type=media_type, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's shape
        """Send them."""
        async with aclosing(self._chunks):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for chunk in self._chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
