"""The broker's sockets: TCP and WebSocket, a task a connection."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol

import mqtt5
from mqtt5 import ConnAckReasonCode, DisconnectReasonCode, QoS

from edge.errors import BrokerError
from edge.mqtt.broker.codec import Codec, MalformedPacket
from edge.mqtt.broker.core import PACKET_BYTES_MAX, Core, Session

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10
"""How long a connection may be silent before its CONNECT."""
UNSENT_BYTES_MAX = 4 << 20
"""What may wait for a slow reader before its QoS 0 messages are dropped."""
EXPIRE_SECONDS = 1.0


class Pipe(Protocol):
    """Bytes in and out, whatever carries them."""

    def chunks(self) -> AsyncIterator[bytes]:
        """What arrives, as it arrives."""
        ...

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""

    def unsent(self) -> int:
        """Bytes that wait for the reader."""
        ...

    def close(self) -> None:
        """End it after what waits is sent."""


class Connection:
    """One client's connection, from CONNECT to its end."""

    def __init__(self, core: Core, pipe: Pipe) -> None:
        self._core, self._pipe = core, pipe
        self._codec = Codec(PACKET_BYTES_MAX)
        self._session: Session | None = None
        self._packet_bytes_max: int | None = None
        self._keep_alive: float | None = CONNECT_SECONDS
        self._will_wanted = True

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        try:
            async for data in self._timed(self._pipe.chunks()):
                for packet in self._codec.feed(data):
                    if not self._take(packet):
                        return
        except MalformedPacket as error:
            log.info("closing a connection: %s", error)
            self.close(DisconnectReasonCode.MALFORMED_PACKET)
        except (TimeoutError, ConnectionError):
            self.close(DisconnectReasonCode.KEEP_ALIVE_TIMEOUT)
        finally:
            if self._session is not None:
                self._core.disconnect(self._session, self, time.monotonic(), self._will_wanted)
            self._pipe.close()

    async def _timed(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks; TimeoutError after one and a half times the keep-alive without any (MQTT 5, 3.1.2.10)."""
        while True:
            try:
                yield await asyncio.wait_for(anext(chunks), self._keep_alive)
            except StopAsyncIteration:
                return

    def send(self, packet: mqtt5.Packet) -> bool:
        """Write a packet unless its reader is too slow for one it can miss; False where it takes none that large."""
        data = self._codec.encode(packet)
        if self._packet_bytes_max is not None and len(data) > self._packet_bytes_max:
            return False
        missable = isinstance(packet, mqtt5.PublishPacket) and packet.qos == QoS.AT_MOST_ONCE
        if not (missable and self._pipe.unsent() > UNSENT_BYTES_MAX):
            self._pipe.write(data)
        return True

    def close(self, reason: DisconnectReasonCode) -> None:
        """Say why, where the client's version can hear it, and end the connection."""
        if self._session is not None:
            self.send(mqtt5.DisconnectPacket(reason_code=reason))
        self._pipe.close()

    def _take(self, packet: mqtt5.Packet) -> bool:
        """Act on a packet; False where it ends the connection."""
        now = time.monotonic()
        if isinstance(packet, mqtt5.ConnectPacket):
            return self._connect(packet, now)
        session = self._session
        if session is None:
            raise MalformedPacket("the first packet is not CONNECT")
        match packet:
            case mqtt5.PublishPacket():
                return self._publish(packet, session, now)
            case mqtt5.PubAckPacket():
                self._core.acknowledge(session, packet.packet_id, now)
            case mqtt5.SubscribePacket():
                self._core.subscribe(session, packet, now)
            case mqtt5.UnsubscribePacket():
                self.send(self._core.unsubscribe(session, packet))
            case mqtt5.PingReqPacket():
                self.send(mqtt5.PingRespPacket())
            case mqtt5.DisconnectPacket():
                self._will_wanted = packet.reason_code != DisconnectReasonCode.NORMAL_DISCONNECTION
                return False
        return True

    def _connect(self, packet: mqtt5.ConnectPacket, now: float) -> bool:
        if self._session is not None:
            raise MalformedPacket("a second CONNECT")
        if packet.authentication_method is not None:
            reason = ConnAckReasonCode.BAD_AUTHENTICATION_METHOD
            self._pipe.write(self._codec.encode(mqtt5.ConnAckPacket(reason_code=reason)))
            return False
        self._session, answer = self._core.connect(packet, self, now)
        self._packet_bytes_max = packet.max_packet_size
        self._keep_alive = packet.keep_alive * 1.5 or None
        self.send(answer)
        self._core.resume(self._session, now)
        return True

    def _publish(self, packet: mqtt5.PublishPacket, session: Session, now: float) -> bool:
        if packet.qos == QoS.EXACTLY_ONCE:
            self.close(DisconnectReasonCode.QOS_NOT_SUPPORTED)
            return False
        if set("+#") & set(packet.topic) or not packet.topic:
            self.close(DisconnectReasonCode.TOPIC_NAME_INVALID)
            return False
        code = self._core.publish(packet, session, now)
        if packet.packet_id is not None:
            self.send(mqtt5.PubAckPacket(packet.packet_id, reason_code=code))
        return True


class TcpPipe:
    """A TCP stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def chunks(self) -> AsyncIterator[bytes]:
        """What arrives, as it arrives."""
        while data := await self._reader.read(1 << 16):
            yield data

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""
        if not self._writer.is_closing():
            self._writer.write(data)

    def unsent(self) -> int:
        """Bytes that wait for the reader."""
        return self._writer.transport.get_write_buffer_size()

    def close(self) -> None:
        """End the stream after what waits is sent."""
        self._writer.close()


class WebSocketPipe:
    """MQTT over WebSocket: binary frames that need not keep packets together (MQTT 5, chapter 6)."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting = 0
        self._sender = asyncio.create_task(self._send())

    async def chunks(self) -> AsyncIterator[bytes]:
        """What arrives; text frames are no MQTT."""
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            async for frame in self._socket:
                if isinstance(frame, str):
                    raise MalformedPacket("a text frame")
                yield frame

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""
        self._waiting += len(data)
        self._outgoing.put_nowait(data)

    def unsent(self) -> int:
        """Bytes that wait for the reader."""
        return self._waiting

    def close(self) -> None:
        """End the socket after what waits is sent."""
        self._outgoing.put_nowait(None)

    async def _send(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            while (data := await self._outgoing.get()) is not None:
                await self._socket.send(data)
                self._waiting -= len(data)
            await self._socket.close()


Listen = Callable[[int, contextlib.AsyncExitStack], Awaitable[int]]
"""Listens on a port until the stack ends; returns the port that it is."""


class Listener:
    """Listens on TCP, and on WebSocket where a port is given; used with `async with`."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 1883, websocket_port: int | None = None, or_free: bool = False
    ) -> None:
        self._host, self._or_free = host, or_free
        self.core = Core()
        self._stack = contextlib.AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
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

        mqtt = [Subprotocol("mqtt")]
        server = serve(self._accept_websocket, self._host, port, subprotocols=mqtt, max_size=PACKET_BYTES_MAX)
        return int(next(iter((await stack.enter_async_context(server)).sockets)).getsockname()[1])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close(DisconnectReasonCode.SERVER_SHUTTING_DOWN)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._keep(task)
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(TcpPipe(reader, writer))

    async def _accept_websocket(self, socket: Any) -> None:
        await self._serve(WebSocketPipe(socket))

    async def _serve(self, pipe: Pipe) -> None:
        connection = Connection(self.core, pipe)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            self.core.expire(time.monotonic())

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
