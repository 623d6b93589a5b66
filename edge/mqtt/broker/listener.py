"""The broker's sockets: TCP and WebSocket, a task a connection, and what all connections hold together.

Files are handed out on the WebSocket's port, to who asks for no WebSocket there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any

from mqtt5 import DisconnectReasonCode

from edge.errors import BrokerError
from edge.mqtt.broker.access import Access
from edge.mqtt.broker.connection import Connection
from edge.mqtt.broker.core import Core
from edge.mqtt.broker.folders import Folders
from edge.mqtt.broker.limits import Limits
from edge.mqtt.broker.origins import Origins
from edge.mqtt.broker.pages import Pages
from edge.mqtt.broker.pipes import Pipe, TcpPipe, WebSocketPipe, address_of
from edge.mqtt.broker.telling import Telling, shown, where

EXPIRE_SECONDS = 1.0
FRAMES_MAX = 1
"""WebSocket frames that may have arrived and wait to be handled."""

Listen = Callable[[int, contextlib.AsyncExitStack], Awaitable[int]]
"""Listens on a port until the stack ends; returns the port that it is."""


class Doorkeeper:
    """Knows who is connected, makes room where there are too many strangers or too much is held."""

    def __init__(self, limits: Limits, telling: Telling) -> None:
        self._limits, self._telling = limits, telling
        self.connections: set[Connection] = set()
        self._strangers: dict[object, Callable[[], None]] = {}
        self._held_at_most = 0

    def came(self, stranger: object, address: str, abort: Callable[[], None]) -> None:
        """Somebody is at the door; where too many are, the one who has waited longest goes, and who was leaving."""
        if len(self.connections) > self._limits.connections + self._limits.strangers:
            for each in self.connections:
                if each.is_ended:
                    each.abort("")
        while len(self._strangers) >= self._limits.strangers:
            oldest = next(iter(self._strangers))
            self._telling.line(
                "made room", f"too many wait to connect: the oldest goes, for {address}", logging.WARNING
            )
            self._strangers.pop(oldest)()
        self._strangers[stranger] = abort

    def connected(self, connection: Connection) -> None:
        """A stranger has become a client."""
        self._strangers.pop(connection, None)

    def left(self, stranger: object) -> None:
        """Somebody is at the door no more."""
        self._strangers.pop(stranger, None)

    def turn_away(self) -> None:
        """End everybody who is at the door."""
        for abort in list(self._strangers.values()):
            abort()

    def grown(self, count: int) -> None:
        """A connection may hold so many bytes more; where all hold too much, whoever holds most is ended."""
        self._held_at_most += count
        if self._held_at_most > self._limits.held_bytes:
            self.shed()

    def shed(self) -> None:
        """End those who hold most until all together are within the bound."""
        held = {each: each.held() for each in self.connections}
        total = sum(held.values())
        while total > self._limits.held_bytes:
            heaviest = max(held, key=lambda each: held[each])
            count = held.pop(heaviest)
            total -= count
            heaviest.abort(f"{count} bytes wait for it or to become a packet, more than for anybody else")
        self._held_at_most = total


class Listener:
    """Listens on TCP, and on WebSocket where a port is given; used with `async with`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 1883,
        websocket_port: int | None = None,
        or_free: bool = False,
        access: Access | None = None,
        origins: Iterable[str] = (),
        limits: Limits | None = None,
        folders: Folders | None = None,
    ) -> None:
        self._host, self._or_free = host, or_free
        self.core = Core(limits, access)
        self._limits, self._telling = self.core.limits, self.core.telling
        self.doors = Doorkeeper(self._limits, self._telling)
        self._origins = Origins(origins)
        self._pages = Pages(folders, self._origins, self._limits, self._telling) if folders else None
        self._stack = contextlib.AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._websockets: set[Any] = set()
        self.port = port
        self.websocket_port = websocket_port

    async def __aenter__(self) -> Listener:
        async with contextlib.AsyncExitStack() as stack:
            if self.websocket_port is not None:
                self.websocket_port = await self._bind(self._listen_websocket, self.websocket_port, stack)
            self.port = await self._bind(self._listen, self.port, stack)
            self._stack = stack.pop_all()
        self._keep(asyncio.create_task(self._expire()))
        return self

    async def _bind(self, listen: Listen, port: int, stack: contextlib.AsyncExitStack) -> int:
        """Listen on the port, or on a free one where that is allowed; BrokerError where it cannot be had."""
        try:
            return await listen(port, stack)
        except OSError as error:
            if self._or_free and error.errno == errno.EADDRINUSE:
                return await listen(0, stack)
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise BrokerError(f"cannot listen on {self._host}:{port}: {reason}; name another port") from error

    async def _listen(self, port: int, stack: contextlib.AsyncExitStack) -> int:
        server = await asyncio.start_server(self._accept, self._host, port)
        stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    async def _listen_websocket(self, port: int, stack: contextlib.AsyncExitStack) -> int:
        from websockets import Subprotocol
        from websockets.asyncio.server import serve

        server = serve(
            self._accept_websocket,
            self._host,
            port,
            subprotocols=[Subprotocol("mqtt")],
            process_request=self._look_at,
            create_connection=self._watched(),
            compression=None,
            max_size=self._limits.packet_bytes + 16,
            max_queue=FRAMES_MAX,
            open_timeout=None,  # `Watched` has its own, which ends once it is known what was asked for
            server_header=None,
            close_timeout=self._limits.close_seconds,
            logger=_silent(),
        )
        return int(next(iter((await stack.enter_async_context(server)).sockets)).getsockname()[1])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for connection in list(self.doors.connections):
            connection.close(DisconnectReasonCode.SERVER_SHUTTING_DOWN, "the broker stops")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.doors.turn_away()
        await self._stack.aclose()
        if self._pages is not None:
            self._pages.close()
        self.core.access.close()
        self._telling.tell_counts()

    # --- connections ---

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._keep(task)
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(TcpPipe(reader, writer, self._limits))

    async def _accept_websocket(self, socket: Any) -> None:
        self.doors.left(socket)
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(WebSocketPipe(socket, self._limits))

    async def _serve(self, pipe: Pipe) -> None:
        connection = Connection(self.core, pipe, self.doors)
        self.doors.connections.add(connection)
        self.doors.came(connection, pipe.address, lambda: connection.abort("newer connections took its place"))
        try:
            await connection.run()
        except Exception as error:
            self._telling.line("faults", f"{pipe.address}: a fault of ours, {where(error)}", logging.ERROR)
        finally:
            self.doors.left(connection)
            self.doors.connections.discard(connection)

    def _look_at(self, socket: Any, request: Any) -> Any:
        """The first request: nothing where it is a WebSocket that is let in, else the answer, or what will be it."""
        socket.opening.cancel()
        if len(self._websockets) > self._limits.websockets:
            self._telling.line("refused", "refused a WebSocket: there are too many", logging.WARNING)
            return socket.respond(503, "There are too many connections.\n")
        if self._pages is not None and "Upgrade" not in request.headers:
            return self._pages.answer(socket, request)
        origins, hosts = request.headers.get_all("Origin"), request.headers.get_all("Host")
        is_one = len(origins) <= 1 and len(hosts) <= 1
        if not is_one or not self._origins.allows((origins or [None])[0], (hosts or [None])[0]):
            origin, address = shown((origins or [None])[0]), address_of(socket.remote_address)
            text = f"refused {address} (WebSocket): a page of {origin} may not connect (see --origin)"
            self._telling.line("refused", text, logging.WARNING)
            return socket.respond(403, "Pages of this origin may not connect.\n")
        return None

    def _watched(self) -> Any:
        """A WebSocket connection that is known from its first byte on."""
        from websockets.asyncio.server import ServerConnection

        doors, known, seconds = self.doors, self._websockets, self._limits.connect_seconds

        class Watched(ServerConnection):
            opening: asyncio.TimerHandle

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                known.add(self)
                super().connection_made(transport)
                self.opening = self.loop.call_later(seconds, self.transport.abort)
                doors.came(self, address_of(self.remote_address), self.transport.abort)

            def connection_lost(self, exc: Exception | None) -> None:
                known.discard(self)
                self.opening.cancel()
                doors.left(self)
                super().connection_lost(exc)

        return Watched

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            try:
                self.core.expire(time.monotonic())
                self.doors.shed()
                self._telling.tick()
            except Exception as error:
                self._telling.line("faults", f"a fault of ours, {where(error)}", logging.ERROR)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _silent() -> logging.Logger:
    """A log for the WebSocket library, which would write a traceback for every stranger."""
    made = logging.getLogger("edge.mqtt.broker.websockets")
    made.addHandler(logging.NullHandler())
    made.propagate = False
    return made
