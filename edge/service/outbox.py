"""Terminal messages on their way to the broker: in order, a few at a time, each until the broker has it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from dataclasses import dataclass, replace

from edge.service import journal_file
from edge.service.journal import Journal
from edge.service.protocols import Transport
from edge.wire.message import Message
from edge.wire.reply import fitted

log = logging.getLogger(__name__)

IN_FLIGHT_MAX = 16
"""Answers that the broker has not acknowledged; the others wait here, not in the client's own queue."""


@dataclass(frozen=True)
class Answer:
    """A terminal message. number: its request's in the journal. expires: on the wall clock."""

    number: int
    message: Message
    expires: float


class Outbox:
    """What waits for the broker, oldest first."""

    def __init__(self, transport: Transport, journal: Journal) -> None:
        self._transport, self._journal = transport, journal
        self._waiting: deque[Answer] = deque()
        self._in_flight = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._in_flight

    def add(self, answer: Answer) -> None:
        """Send it as soon as its turn comes."""
        self._waiting.append(answer)
        self.pump()

    def pump(self) -> None:
        """Send what may go out now; also called at every connect."""
        window = min(IN_FLIGHT_MAX, max(1, self._transport.receive_maximum // 2))  # half is for all else that we send
        while self._waiting and self._in_flight < window and self._transport.is_connected:
            self._send(self._waiting.popleft())

    def _send(self, answer: Answer) -> None:
        left = math.ceil(answer.expires - time.time())
        if left <= 0:
            self.expired += 1
            log.warning("an answer expired before the broker could take it")
            return self._journal.write(journal_file.deliver(answer.number))
        self._in_flight += 1
        fitting = fitted(answer.message, self._transport.maximum_packet_size)
        message = replace(fitting, message_expiry_interval=left)
        return self._transport.publish(message, lambda _heard: self._acknowledged(answer))

    def _acknowledged(self, answer: Answer) -> None:
        self._in_flight -= 1
        self._journal.write(journal_file.deliver(answer.number))
        self.pump()

    async def drained(self) -> None:
        """Return when the broker has taken everything."""
        while len(self):
            await asyncio.sleep(0.02)
