"""Terminal messages on their way to the broker: in order, a few at a time, each until the broker has it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.service import journal_file
from edge.service.clock import now
from edge.service.journal import Journal
from edge.service.journal_file import JournalError
from edge.service.protocols import Transport
from edge.wire.message import Delivery, Message
from edge.wire.reply import fitted

log = logging.getLogger(__name__)

IN_FLIGHT_MAX = 16
"""Answers that the broker has not acknowledged; the others wait here, not in the client's own queue."""
WAITING_MAX = 1000
"""Answers that wait; over that nothing more is let in."""
REFUSED_SECONDS, REFUSED_SECONDS_MAX = 5.0, 300.0
"""Before one that the broker refused is sent again; twice as long each time."""
ALONE_MAX = 2
"""Connections that one ends while no other is under way, after which it is given up."""


@dataclass(eq=False)
class Answer:
    """A terminal message. number: its request's in the journal. until: on the service's clock, when it is worthless.

    message: None where the journal has it, which is asked when its turn comes. is_repeat: it was delivered before.
    refused: how often the broker did not take it. alone: how many connections ended while only this was under way.
    """

    number: int
    message: Message | None
    until: float
    is_repeat: bool = False
    refused: int = 0
    alone: int = 0


class Outbox:
    """What waits for the broker, oldest first.

    expired: how many nobody took in time. given_up: how many ended one connection after the other.
    """

    def __init__(self, transport: Transport, journal: Journal) -> None:
        self._transport, self._journal = transport, journal
        self._waiting: deque[Answer] = deque()
        self._in_flight: list[Answer] = []
        self._lost: list[Answer] = []
        self._refused: set[Answer] = set()
        self._fetching: set[asyncio.Task[None]] = set()
        self.expired = self.given_up = 0
        self.at_delivered: Callable[[int], None] = lambda _number: None
        """Called where the broker has an answer, or nobody can get it any more; of a repeat, too."""
        self.is_heard: Callable[[Message], bool] = lambda _message: False
        """Called with an answer: whether it is not the broker's to take, since it went to a door."""

    def __len__(self) -> int:
        return sum(map(len, (self._waiting, self._in_flight, self._lost, self._refused)))

    @property
    def is_full(self) -> bool:
        """Whether so many wait that the broker seems to take none."""
        return len(self) >= WAITING_MAX

    def add(self, answer: Answer) -> None:
        """Send it as soon as its turn comes; of a repeat only if it is not on its way already."""
        if answer.message is not None and self.is_heard(answer.message):
            return self._delivered(answer)
        if answer.is_repeat and self.has(answer.number):
            return None
        self._waiting.append(answer)
        return self.pump()

    def has(self, number: int) -> bool:
        """Whether an answer is on its way."""
        places = (self._waiting, self._in_flight, self._lost, self._refused)
        return any(each.number == number for place in places for each in place)

    def pump(self) -> None:
        """Send what may go out now, first what was lost; also called at every connect."""
        self._waiting.extendleft(reversed(self._lost))
        self._lost.clear()
        while self._waiting and len(self._in_flight) < self._window() and self._transport.is_connected:
            self._send(self._waiting.popleft())

    def _window(self) -> int:
        """Half of what the broker bears, the rest is for all else that we send; one where one may end connections."""
        return 1 if self._transport.is_looping else min(IN_FLIGHT_MAX, max(1, self._transport.receive_maximum // 2))

    def _send(self, answer: Answer) -> None:
        if now() >= answer.until:
            self.expired += 1
            log.warning("an answer expired before the broker could take it")
            return self._delivered(answer)
        self._in_flight.append(answer)
        if answer.message is not None:
            return self._publish(answer, answer.message)
        task = asyncio.create_task(self._fetch(answer))
        self._fetching.add(task)
        return task.add_done_callback(self._fetching.discard)

    async def _fetch(self, answer: Answer) -> None:
        try:
            message = await self._journal.read(lambda file: file.reply(answer.number))
        except JournalError as error:
            log.error("%s; an answer is late", error)
            return self._settled(answer, Delivery.REFUSED)
        if message is not None:
            return self._publish(answer, message)
        self._in_flight.remove(answer)  # forgotten meanwhile
        return self.pump()

    def _publish(self, answer: Answer, message: Message) -> None:
        if self.is_heard(message):
            return self._settled(answer, Delivery.TAKEN)
        fitting = fitted(message, self._transport.maximum_packet_size)
        left = max(1, math.ceil(answer.until - now()))
        lasting = replace(fitting, message_expiry_interval=left)
        return self._transport.publish(lasting, lambda delivery: self._settled(answer, delivery))

    def _settled(self, answer: Answer, delivery: Delivery) -> None:
        is_alone = len(self._in_flight) == 1
        self._in_flight.remove(answer)
        if delivery is Delivery.LOST:
            return self._lose(answer, is_alone and self._transport.is_looping)
        if delivery is Delivery.REFUSED:
            self._try_later(answer)
        else:
            self._delivered(answer)
        return self.pump()

    def _lose(self, answer: Answer, ended_it: bool) -> None:
        answer.alone += ended_it
        if answer.alone < ALONE_MAX:
            return self._lost.append(answer)
        self.given_up += 1
        log.error(
            "answer %d ended %d connections while no other was under way; it is given up", answer.number, ALONE_MAX
        )
        return self._delivered(answer)

    def _try_later(self, answer: Answer) -> None:
        """What the broker refuses may pass: a quota, an access list that is being mended."""
        wait = min(REFUSED_SECONDS * 2 ** min(answer.refused, 6), REFUSED_SECONDS_MAX)
        answer.refused += 1
        self._refused.add(answer)
        asyncio.get_running_loop().call_later(wait, self._once_more, answer)

    def _once_more(self, answer: Answer) -> None:
        self._refused.discard(answer)
        self.add(answer)

    def _delivered(self, answer: Answer) -> None:
        self.at_delivered(answer.number)
        if not answer.is_repeat:
            self._journal.write(journal_file.deliver(answer.number))

    def lost(self) -> dict[str, int]:
        """How many nobody got, as telemetry tells it."""
        return {"answers_expired": self.expired, "answers_given_up": self.given_up}

    async def drained(self) -> None:
        """Return when the broker has taken everything."""
        while len(self):
            await asyncio.sleep(0.02)
