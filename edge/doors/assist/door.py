"""The door for Home Assistant's Assist: listens for Wyoming's events, and lets in who may come."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edge.config import Settings
from edge.doors.assist.events import LINE_BYTES
from edge.doors.assist.turns import Conversations
from edge.doors.assist.visit import Visit
from edge.errors import ConfigError
from edge.wire.asked import Inside
from edge.wire.message import Message

log = logging.getLogger(__name__)


class Assist:
    """The door. Its `run` raises ConfigError where the address cannot be had."""

    subscriptions: Sequence[str] = ()

    def __init__(self, settings: Settings) -> None:
        self._settings, self._device = settings.assist, settings.device
        self._conversations = Conversations()
        self._visits: set[asyncio.Task[None]] = set()

    async def run(self, inside: Inside) -> None:
        """Serve until cancelled; whoever is here then is let go."""

        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if place := writer.get_extra_info("peername"):  # none: it has left already
                    await self._come(str(place[0]), inside, reader, writer)
            finally:
                writer.close()

        host, port = self._settings.host_and_port or ("127.0.0.1", 0)
        try:
            server = await asyncio.start_server(come, host, port, limit=LINE_BYTES)
        except OSError as error:
            raise ConfigError(f"assist.address: {host}:{port} cannot be listened on: {error.strerror}") from error
        log.info("Assist may ask on %s:%d", host, port)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for visit in tuple(self._visits):
                visit.cancel()

    def connected(self) -> None:
        """Nothing: who asks here needs no broker."""

    def hear(self, message: Message) -> bool:  # noqa: ARG002 - the door's shape
        """Nothing."""
        return False

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """Nothing."""

    async def _come(
        self, peer: str, inside: Inside, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One who comes from an IP address: let in, or closed before a byte is read."""
        if not self._settings.lets_in(peer):
            log.warning("assist: %s may not ask: it is in no network of assist.allow", peer)
        elif len(self._visits) >= self._settings.connections:
            log.warning("assist: %s is one more than assist.connections", peer)
        else:
            visit = Visit(reader, writer, inside, self._settings, self._device, client_of(peer), self._conversations)
            await self._visited(visit)

    async def _visited(self, visit: Visit) -> None:
        task = asyncio.create_task(visit.run())
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)
        with suppress(OSError, TimeoutError, asyncio.CancelledError):
            await task


def client_of(peer: str) -> str:
    """What one with this IP address is called as an asker: the address says it, of a longer one its hash."""
    name = peer if peer.replace(".", "").isalnum() else hashlib.sha256(peer.encode()).hexdigest()[:16]
    return f"assist:{name}"
