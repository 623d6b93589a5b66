"""QoS 1 messages on their way to the broker, each until it says what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from edge.wire.message import Delivery, Message

log = logging.getLogger(__name__)

SILENT_SECONDS = 60.0
"""Without any PUBACK while one is due, the connection is good for nothing."""
KEPT_MAX = 1000
"""Messages that wait for a connection; the oldest goes first."""

Done = Callable[[Delivery], None]


class Sent(NamedTuple):
    """A message, and who is told; who is told sends a lost one anew, of the others we keep it."""

    message: Message
    done: Done | None


class Unacknowledged:
    """What the broker has not answered for on this connection, by packet identifiers, and what waits for the next.

    silent: called where it has answered for nothing for too long.
    """

    def __init__(self, silent: Callable[[], None]) -> None:
        self._silent = silent
        self._sent: dict[int, Sent] = {}
        self._kept: deque[Message] = deque(maxlen=KEPT_MAX)
        self._timer: asyncio.TimerHandle | None = None

    def add(self, identifier: int, message: Message, done: Done | None) -> None:
        """One was sent."""
        self._sent[identifier] = Sent(message, done)
        if self._timer is None:
            self._wait()

    def keep(self, message: Message, done: Done | None) -> None:
        """One cannot be sent now: its owner is told, or it waits."""
        if done is not None:
            return done(Delivery.LOST)
        if len(self._kept) == KEPT_MAX:
            log.warning("%d messages wait for the broker; the oldest, on %a, is let go", KEPT_MAX, self._kept[0].topic)
        return self._kept.append(message)

    def settle(self, identifier: int, delivery: Delivery) -> Message | None:
        """The broker has answered for one; which, None where we have sent none such."""
        found = self._sent.pop(identifier, None)
        self._wait()
        if found is None:
            return None
        if found.done is not None:
            found.done(delivery)
        return found.message

    def lose(self) -> None:
        """The connection is gone, and what was under way with it."""
        lost, self._sent = list(self._sent.values()), {}
        self._wait()
        for message, done in lost:
            self.keep(message, done)

    def kept(self) -> list[Message]:
        """What waited for a connection, taken out."""
        found = list(self._kept)
        self._kept.clear()
        return found

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SILENT_SECONDS, self._silent) if self._sent else None
