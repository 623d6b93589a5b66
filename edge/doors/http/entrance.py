"""What every request passes before a path has it: a name, whose it is, how much of it is read. Pure ASGI.

Who leaves before the answer has its work cancelled here, streamed or not.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.config import Http
from edge.doors.http.errors import Refused
from edge.doors.http.tokens import Tokens

log = logging.getLogger(__name__)

BODY_SECONDS = 30.0
"""In which a body must have come, of whatever size."""
TAKEN_SECONDS = 60.0
"""In which a reader must have taken what was sent, so that one who takes nothing holds no row and no memory."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
OPEN = ("/health", "/health/live", "/health/ready")
"""Paths that need no token: they tell nothing but whether the board is well."""
LOCAL = ("localhost", "127.0.0.1", "::1")


class NotTaken(Exception):
    """Nobody took what was sent for TAKEN_SECONDS."""


class Named:
    """Gives each request a name, which the answer and the log have, and refusals their form."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, and a line in the log."""
        if scope["type"] != "http":
            return
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if REQUEST_ID.fullmatch(given) else f"req-{uuid.uuid4().hex}"
        began, status = time.monotonic(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = name
            try:
                async with asyncio.timeout(TAKEN_SECONDS):
                    await send(message)
            except TimeoutError:
                raise NotTaken from None

        try:
            await self._app(scope, receive, sent)
        except Refused as refused:
            await refused.response(scope["path"])(scope, receive, sent)
        finally:
            level = logging.WARNING if status >= 500 else logging.DEBUG
            words = (scope["method"], scope["path"][:100], status, time.monotonic() - began, scope.get("asker"), name)
            log.log(level, "%s %r %d in %.3f s for %s, %s", *words)


class Full:
    """Tells whoever comes that there is no place for now. most: connections that are served at once."""

    def __init__(self, most: int) -> None:
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The refusal, and the connection's end."""
        text = f"{self._most} connections are served at once (http.connections), and there are as many: come again"
        response = Refused(503, text, retry_after=1).response(scope["path"])
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


class Guarded:
    """Lets in whom the operator wants: by token where there are any, else whoever is on this board and no web page.

    A page in a browser on this board must not reach it: not by a name that it makes point here (Host), and not from
    another site (Origin, which browsers send with whatever a page asks elsewhere).
    """

    def __init__(self, app: ASGIApp, settings: Http, tokens: Tokens) -> None:
        self._app, self._tokens, self._origins = app, tokens, frozenset(settings.origins)
        place = settings.host_and_port
        is_checked = bool(settings.hosts) or (place is not None and settings.is_of_this_board)
        own = {*LOCAL, place[0]} if place else set(LOCAL)
        self._hosts = frozenset(name.lower() for name in {*own, *settings.hosts}) if is_checked else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refused where it is not to come in; else `asker` in its scope says whose it is."""
        headers = Headers(scope=scope)
        host = host_of(headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            raise Refused(403, f"the Host {host[:100]!r} is not this board's: http.hosts has those that are", "Host")
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise Refused(403, f"pages of {origin[:100]!r} may not ask: http.origins has those that may", "Origin")
        scope["asker"] = self._asker(scope["path"], headers.get("authorization", ""), scope["method"], scope.get("uid"))
        await self._app(scope, receive, send)

    def _asker(self, path: str, authorization: str, method: str, uid: int | None) -> str:
        if not len(self._tokens):
            return "local" if uid is None else f"uid-{uid}"
        scheme, _, token = authorization.partition(" ")
        name = self._tokens.name_of(token.strip()) if scheme.lower() == "bearer" else None
        if name is not None:
            return name
        if path in OPEN or method == "OPTIONS":
            return "nobody"
        raise Refused(401, "no token, or none that is known: send Authorization: Bearer TOKEN", "Authorization")


def host_of(said: str) -> str:
    """The name in a Host header, without its port."""
    name = said.strip().lower()
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]


class Whole:
    """Hands on whole bodies alone, no larger than may be, and ends the work of who leaves.

    bytes_max: called for each request.
    """

    def __init__(self, app: ASGIApp, bytes_max: Callable[[], int]) -> None:
        self._app, self._bytes_max = app, bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refused where it is too large or too slow."""
        body = await _read(Headers(scope=scope), receive, self._bytes_max())
        if body is None:
            return
        scope["asgi"] = {**scope["asgi"], "spec_version": "2.4"}  # nobody else need listen for who leaves
        given: asyncio.Queue[Message] = asyncio.Queue()
        given.put_nowait({"type": "http.request", "body": body, "more_body": False})
        working = asyncio.create_task(self._work(scope, given.get, send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_done = working.done()
            for task in (working, leaving):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await leaving
            if not is_done:
                with suppress(asyncio.CancelledError):
                    await working
        if is_done:
            working.result()

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _read(headers: Headers, receive: Receive, bytes_max: int) -> bytes | None:
    """The body; None where its sender has left."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > bytes_max:
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_SECONDS:.0f} seconds") from None
    return None


def _too_large(bytes_max: int) -> Refused:
    return Refused(413, f"the body is larger than the {bytes_max} bytes that are read here")


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
