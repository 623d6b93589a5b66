"""What carries a connection's bytes: TCP, or binary frames of a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, Protocol

from edge.mqtt.broker.checks import malformed
from edge.mqtt.broker.limits import Limits

CHUNK_BYTES = 1 << 16
KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))
"""After two minutes without an answer from the other machine its connection is lost, keep-alive or not."""


def address_of(peer: Any) -> str:
    """The other side, as a log has it."""
    if not isinstance(peer, tuple):
        return "an unknown address"
    return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"


def keep_alive(made: Any) -> None:
    """Have the system notice a machine that is gone."""
    if made is not None:
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                made.setsockopt(socket.IPPROTO_TCP, option, value)


class Pipe(Protocol):
    """Bytes in and out, whatever carries them.

    address: of the other side. carrier: a word for the log.
    """

    address: str
    carrier: str

    def chunks(self) -> AsyncIterator[bytes]:
        """What arrives, as it arrives."""
        ...

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""

    async def drained(self) -> None:
        """Return once less than the limit waits for the reader."""

    def unsent(self) -> int:
        """Bytes that wait for the reader."""
        ...

    def held(self) -> int:
        """Bytes that have arrived and were not handed over, beside those that are unsent."""
        ...

    def close(self) -> None:
        """End it after what waits is sent, or a while later."""

    def abort(self) -> None:
        """End it at once."""

    async def closed(self) -> None:
        """Return once it has ended."""


class TcpPipe:
    """A TCP stream."""

    carrier = "TCP"

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits) -> None:
        self._reader, self._writer, self._limits = reader, writer, limits
        self._ending: asyncio.TimerHandle | None = None
        self.address = address_of(writer.get_extra_info("peername"))
        writer.transport.set_write_buffer_limits(high=limits.unsent_bytes)
        keep_alive(writer.get_extra_info("socket"))

    async def chunks(self) -> AsyncIterator[bytes]:
        """What arrives, as it arrives."""
        while data := await self._reader.read(CHUNK_BYTES):
            yield data

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def drained(self) -> None:
        """Return once less than the limit waits for the reader."""
        await self._writer.drain()

    def unsent(self) -> int:
        """Bytes that wait for the reader."""
        return self._writer.transport.get_write_buffer_size()

    def held(self) -> int:
        """Bytes that have arrived and were not handed over: a chunk or two, which are not counted."""
        return 0

    def close(self) -> None:
        """End the stream after what waits is sent, or a while later."""
        self._writer.close()
        if self._ending is None:
            self._ending = asyncio.get_running_loop().call_later(self._limits.close_seconds, self.abort)

    def abort(self) -> None:
        """End the stream at once."""
        self._writer.transport.abort()

    async def closed(self) -> None:
        """Return once the stream has ended."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        if self._ending is not None:
            self._ending.cancel()


class WebSocketPipe:
    """MQTT over WebSocket: binary frames that need not keep packets together (MQTT 5, chapter 6)."""

    carrier = "WebSocket"

    def __init__(self, made: Any, limits: Limits) -> None:
        self._socket, self._limits = made, limits
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting = 0
        self._is_closing = False
        self._room = asyncio.Event()
        self._room.set()
        self._sender = asyncio.create_task(self._send())
        self._ending: asyncio.TimerHandle | None = None
        self.address = address_of(made.remote_address)
        keep_alive(made.transport.get_extra_info("socket"))

    async def chunks(self) -> AsyncIterator[bytes]:
        """What arrives; text frames are no MQTT."""
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            async for frame in self._socket:
                if isinstance(frame, str):
                    raise malformed("a text frame")
                yield frame

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""
        if self._is_closing:
            return
        self._waiting += len(data)
        self._outgoing.put_nowait(data)
        if self._waiting > self._limits.unsent_bytes:
            self._room.clear()

    async def drained(self) -> None:
        """Return once less than the limit waits for the reader."""
        await self._room.wait()

    def unsent(self) -> int:
        """Bytes that wait for the reader."""
        return self._waiting

    def held(self) -> int:
        """Bytes of frames that are not complete."""
        return len(self._socket.protocol.reader.buffer)

    def close(self) -> None:
        """End the socket after what waits is sent, or a while later."""
        if not self._is_closing:
            self._is_closing = True
            self._outgoing.put_nowait(None)
            self._ending = asyncio.get_running_loop().call_later(self._limits.close_seconds, self.abort)

    def abort(self) -> None:
        """End the socket at once."""
        self._is_closing = True
        self._outgoing.put_nowait(None)
        self._socket.transport.abort()

    async def closed(self) -> None:
        """Return once the socket has ended."""
        await self._socket.wait_closed()
        self._outgoing.put_nowait(None)
        await asyncio.gather(self._sender, return_exceptions=True)
        if self._ending is not None:
            self._ending.cancel()

    async def _send(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while (data := await self._outgoing.get()) is not None:
                await self._socket.send(data)
                self._waiting -= len(data)
                if self._waiting <= self._limits.unsent_bytes // 2:
                    self._room.set()
            await self._socket.close()
        except ConnectionClosed:
            pass
        finally:
            self._waiting = 0
            self._room.set()
