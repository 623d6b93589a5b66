"""How much the board has to do, retained for who chooses one: `edge/<device>/load` (edge/wire/load.py)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edge.service.clock import now
from edge.service.protocols import Transport
from edge.service.queue import Queue
from edge.wire.load import Reason
from edge.wire.message import retained

LOOK_SECONDS = 1.0
COUNTS_SECONDS = 5.0
"""Between two messages that differ in numbers alone."""
AGAIN_SECONDS, EXPIRY_SECONDS = 120.0, 300
"""After so long the same is said again; after so long the broker forgets it (MQTT 5, section 3.3.2.3.3)."""
MATTERS = ("accepts", "reason", "fleet", "is_joined", "rows")
"""What is told at once."""


class LoadTeller:
    """Says it while it is so. body: as edge/wire/load.py has it."""

    def __init__(self, topic: str, transport: Transport, body: Callable[[], Mapping[str, Any]]) -> None:
        self._topic, self._transport, self._body = topic, transport, body
        self._told: Mapping[str, Any] | None = None
        self._when = -math.inf

    async def run(self) -> None:
        """For ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Tell what is to be told now; all of it after each connect, since the broker may have forgotten it."""
        if not self._transport.is_connected:
            self._told = None
        elif self._is_due(body := self._body()):
            self._say(body)

    def _say(self, body: Mapping[str, Any]) -> None:
        self._told, self._when = body, now()
        message = retained(self._topic, dict(body), qos=0)
        self._transport.publish(replace(message, message_expiry_interval=EXPIRY_SECONDS))

    def _is_due(self, body: Mapping[str, Any]) -> bool:
        told, ago = self._told, now() - self._when
        if told is None or any(body[name] != told[name] for name in MATTERS):
            return True
        return ago >= (AGAIN_SECONDS if body == told else COUNTS_SECONDS)

    def end(self) -> None:
        """The daemon ends, and takes no more; the broker forgets that by itself."""
        if self._transport.is_connected:
            self._say(self._body())


def load_body(reason: Reason | None, fleet: str | None, is_joined: bool, queue: Queue, rows: int) -> dict[str, Any]:
    """The load message's body. reason: why the board takes no more. is_joined: whether it takes its fleet's share."""
    return {
        "accepts": reason is None,
        "reason": reason,
        "fleet": fleet,
        "is_joined": is_joined,
        "queue_length": len(queue),
        "running": len(queue.running),
        "rows": rows,
        "wait_seconds": round(queue.seconds_before(None), 1),
    }
