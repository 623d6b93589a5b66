"""What everyone is told: status and info, retained, and telemetry on time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge import __version__
from edge.board.sensors import Sensors
from edge.bundle import Manifest
from edge.config import Limits, Settings
from edge.engine.text.places import DOCUMENTS, names_in
from edge.service.clock import now
from edge.service.protocols import Transport
from edge.service.seat import Seat
from edge.wire.message import JSON, WIRE_VERSION, Message, dumps, retained
from edge.wire.topics import Topics

log = logging.getLogger(__name__)

DOCUMENTS_SECONDS = 20.0
"""Between two looks at which documents there are."""


class Announcements:
    """The daemon's own topics."""

    def __init__(
        self,
        settings: Settings,
        seat: Seat,
        transport: Transport,
        topics: Topics,
        sensors: Sensors,
    ) -> None:
        self._settings, self._seat, self._transport = settings, seat, transport
        self._topics, self._sensors = topics, sensors
        self._reported: list[Message] = []
        self._state, self._governor = "loading", "free" if settings.governor.enabled else "off"
        self._documents: list[str] = []
        self.own: Mapping[str, Callable[[], Mapping[str, Any]]] = {}
        """What the daemon tells of itself, beside the board."""
        self.told: Sequence[Callable[[Mapping[str, Any]], None]] = ()
        """Called with every telemetry body."""
        self.at_state: Callable[[str], None] = lambda _doing: None
        """Called at each change of state, with it in words."""

    @property
    def doing(self) -> str:
        """The state in words."""
        return f"{'serving' if self._state == 'online' else self._state} {self._seat.manifest.name}"

    def at_connect(self, state: str) -> None:
        """What is published at every connect from now on."""
        self._state, self._documents = state, self._named()
        status = status_message(self._topics, state, governor=self._governor)
        self._transport.birth = [status, retained(self._topics.info, self.info()), *self._reported]

    def tell(self, state: str) -> None:
        """A change of state, and what is known of the engine by then; now and at every connect from now on.

        Whatever becomes of the engine of a daemon that is stopping changes that no more.
        """
        if self._state == "stopping":
            return
        self.at_connect(state)
        self._publish()
        self.at_state(self.doing)
        log.info("%s", state)

    def again(self) -> None:
        """The same state, of another bundle."""
        self.at_connect(self._state)
        self._publish()
        self.at_state(self.doing)

    def govern(self, governor: str) -> None:
        """A change of the governor's state; it is told where it is not `free`."""
        self._governor = governor
        self.at_connect(self._state)
        self._publish()

    def report(self, body: dict[str, Any]) -> None:
        """Which bundle answers, and what becomes of a wish; now and at every connect from now on."""
        self._reported = [retained(self._topics.reported, body)]
        self.at_connect(self._state)
        if self._transport.is_connected:
            self._transport.publish(self._reported[0])

    def _publish(self) -> None:
        for message in self._transport.birth if self._transport.is_connected else ():
            self._transport.publish(message)

    async def publish_telemetry(self) -> None:
        """One reading a period, on time whatever the model does."""
        period = self._settings.telemetry.period_seconds
        due = now()
        while True:
            late, began = max(0.0, now() - due), time.time()
            taken = await self._sensors.look()
            own = {name: reading() for name, reading in self.own.items()}
            body = {"time": round(began, 3), "late_seconds": round(late, 4), **own, **taken.body()}
            self._transport.publish(Message(self._topics.telemetry, dumps(body), content_type=JSON))
            for tell in self.told:
                tell(body)
            due = max(due + period, now())
            await asyncio.sleep(due - now())

    async def watch_documents(self) -> None:
        """Tell of documents that were added or taken away meanwhile."""
        while True:
            await asyncio.sleep(DOCUMENTS_SECONDS)
            if self._named() != self._documents:
                self.again()

    def _named(self) -> list[str]:
        """Of the documents that may be asked for now: the operator's, and the bundle's own."""
        bundle = self._seat.served.folder
        return names_in([self._settings.documents.folder, *([bundle / DOCUMENTS] if bundle else [])])

    def info(self) -> dict[str, Any]:
        """The body of the info message."""
        manifest, limits = self._seat.manifest, self._settings.limits
        body: dict[str, Any] = {
            "version": __version__,
            "wire_version": WIRE_VERSION,
            **_of_bundle(manifest),
            "provider": self._settings.engine.provider,
            "max_tokens": limits.max_tokens,
            "max_tokens_ceiling": limits.max_tokens_ceiling,
            "priority_ceiling": limits.priority_ceiling,
            "payload_bytes": limits.payload_bytes,
            "queue_length": limits.queue_length,
            "queue_per_client": limits.queue_per_client,
            "rows": self._seat.rows,
            "documents": self._documents,
            "board_tools": sorted(self._settings.tools),
            "scorers": sorted(self._settings.scorers),
        }
        if others := self._seat.manifests[1:]:
            body["models"] = [{**_of_bundle(each), **_beside(each, limits)} for each in others]
        return body | _beside(manifest, limits)


def _of_bundle(manifest: Manifest) -> dict[str, Any]:
    """What is told of each bundle."""
    return {
        "model": manifest.name,
        "model_version": manifest.version,
        "family": manifest.family,
        "capabilities": manifest.capabilities,
        "context_length": manifest.context_length,
        "sampling": manifest.sampling.model_dump(),
    }


def _beside(manifest: Manifest, limits: Limits) -> dict[str, Any]:
    """And of those that have it: eyes, adapters, an embedding model."""
    body: dict[str, Any] = {}
    if manifest.pictures:
        body |= {"picture_bytes": limits.picture_bytes, "crops_max": manifest.pictures.crops_max}
    if manifest.adapters:
        body["adapters"] = [each.name for each in manifest.adapters]
    if model := manifest.sentences:
        body["embeddings"] = {"model": model.name, "dimensions": model.dimensions, "tokens_max": model.tokens_max}
    return body


def status_message(topics: Topics, state: str, reason: str | None = None, governor: str = "free") -> Message:
    """The retained status; with `offline` it is the Will. reason: why the daemon ended, where it was not asked to."""
    more = {"reason": reason} if reason else {}
    more |= {"governor": governor} if governor != "free" else {}
    return retained(topics.status, {"state": state, "version": __version__, **more})
