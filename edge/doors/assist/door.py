"""The door for Home Assistant's Assist: listens for Wyoming's events, and lets in who may come."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edge.config import Settings
from edge.doors.assist.events import LINE_BYTES
from edge.doors.assist.intents import Intents
from edge.doors.assist.turns import Conversations
from edge.doors.assist.visit import Visit
from edge.doors.listening import listening
from edge.wire.asked import Inside
from edge.wire.message import Message

log = logging.getLogger(__name__)


class Assist:
    """The door. ConfigError where its address cannot be had."""

    subscriptions: Sequence[str] = ()

    def __init__(self, settings: Settings) -> None:
        self._settings, self._device = settings.assist, settings.device
        self._conversations, self._intents = Conversations(), Intents(settings.assist)
        self._visits: set[asyncio.Task[None]] = set()
        self._socket = listening("assist.address", settings.assist.address or "")

    async def run(self, inside: Inside) -> None:
        """Serve until cancelled; whoever is here then is let go."""

        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._come(_peer_of(writer), inside, reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(come, sock=self._socket, limit=LINE_BYTES)
        log.info("Assist may ask at %s", self._settings.address)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for visit in tuple(self._visits):
                visit.cancel()
            if path := self._settings.socket_path:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the address back, of a door that is not to live."""
        self._socket.close()

    def connected(self) -> None:
        """Nothing: who asks here needs no broker."""

    def hear(self, message: Message) -> bool:  # noqa: ARG002 - the door's shape
        """Nothing."""
        return False

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """Nothing."""

    async def _come(
        self, peer: str | None, inside: Inside, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One who comes from an IP address, or over the unix socket (""): let in, or closed before a byte is read."""
        if peer is None:  # it has left already
            return
        if peer and not self._settings.lets_in(peer):
            log.warning("assist: %s may not ask: it is in no network of assist.allow", peer)
        elif len(self._visits) >= self._settings.connections:
            log.warning("assist: %s is one more than assist.connections", peer or "one on this board")
        else:
            whose = (self._settings, self._device, client_of(peer), self._conversations, self._intents)
            await self._visited(Visit(reader, writer, inside, *whose))

    async def _visited(self, visit: Visit) -> None:
        task = asyncio.create_task(visit.run())
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)
        with suppress(OSError, TimeoutError, asyncio.CancelledError):
            await task


def _peer_of(writer: asyncio.StreamWriter) -> str | None:
    """Its IP address; "" over a unix socket; None where it has left already."""
    if writer.get_extra_info("socket").family == socket.AF_UNIX:
        return ""
    place = writer.get_extra_info("peername")
    return str(place[0]) if place else None


def client_of(peer: str) -> str:
    """What one with this IP address is called as an asker: the address says it, of a longer one its hash.

    Whoever comes over the unix socket is `assist:unix`.
    """
    if not peer:
        return "assist:unix"
    name = peer if peer.replace(".", "").isalnum() else hashlib.sha256(peer.encode()).hexdigest()[:16]
    return f"assist:{name}"
