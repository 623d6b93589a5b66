"""What everyone is told: status and info, retained, and telemetry on time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from edge import __version__
from edge.board.source import Source, sample
from edge.bundle import Manifest
from edge.config import Settings
from edge.service.clock import now
from edge.service.protocols import Transport
from edge.wire.message import JSON, WIRE_VERSION, Message, dumps, retained
from edge.wire.topics import Topics

log = logging.getLogger(__name__)


class Announcements:
    """The daemon's own topics."""

    def __init__(
        self,
        settings: Settings,
        manifest: Manifest,
        transport: Transport,
        topics: Topics,
        sources: Sequence[Source],
        rows: Callable[[], int],
    ) -> None:
        """rows: how many answers the engine works on at once."""
        self._settings, self._manifest, self._transport = settings, manifest, transport
        self._topics, self._sources, self._rows = topics, sources, rows

    def at_connect(self, state: str) -> None:
        """What is published at every connect from now on."""
        self._transport.birth = [status_message(self._topics, state), self._info()]

    def tell(self, state: str) -> None:
        """A change of state, and what is known of the engine by then; now and at every connect from now on."""
        self.at_connect(state)
        for message in self._transport.birth if self._transport.is_connected else ():
            self._transport.publish(message)
        log.info("%s", state)

    async def publish_telemetry(self) -> None:
        """One reading a period, on time whatever the model does."""
        period = self._settings.telemetry.period_seconds
        due = now()
        while True:
            taken = sample(self._sources, self._settings.telemetry.root)
            late = max(0.0, now() - due)
            body = {"time": round(time.time(), 3), "late_seconds": round(late, 4), **taken.body()}
            self._transport.publish(Message(self._topics.telemetry, dumps(body), content_type=JSON))
            due = max(due + period, now())
            await asyncio.sleep(due - now())

    def _info(self) -> Message:
        manifest, limits = self._manifest, self._settings.limits
        body: dict[str, Any] = {
            "version": __version__,
            "wire_version": WIRE_VERSION,
            "model": manifest.name,
            "model_version": manifest.version,
            "family": manifest.family,
            "provider": self._settings.engine.provider,
            "capabilities": manifest.capabilities,
            "context_length": manifest.context_length,
            "max_tokens": limits.max_tokens,
            "max_tokens_ceiling": limits.max_tokens_ceiling,
            "priority_ceiling": limits.priority_ceiling,
            "sampling": manifest.sampling.model_dump(),
            "payload_bytes": limits.payload_bytes,
            "queue_length": limits.queue_length,
            "queue_per_client": limits.queue_per_client,
            "rows": self._rows(),
        }
        if manifest.pictures:
            body |= {"picture_bytes": limits.picture_bytes, "crops_max": manifest.pictures.crops_max}
        return retained(self._topics.info, body)


def status_message(topics: Topics, state: str, reason: str | None = None) -> Message:
    """The retained status; with `offline` it is the Will. reason: why the daemon ended, where it was not asked to."""
    return retained(topics.status, {"state": state, "version": __version__, **({"reason": reason} if reason else {})})
