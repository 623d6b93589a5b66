"""What an asker is told: refused, queued, a piece of the answer, the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from edge.errors import Fault, NotFound
from edge.service import journal_file
from edge.service.callers import Callers
from edge.service.clock import now
from edge.service.inference import Inference
from edge.service.journal import Done, Journal
from edge.service.journal_file import JournalError
from edge.service.outbox import Answer, Outbox
from edge.service.protocols import Transport
from edge.service.speed import Speed
from edge.service.waiting import Waiting
from edge.wire.message import Delivery, Message
from edge.wire.reply import Outcome, delta, queued, refusal, terminal
from edge.wire.request import Address, Request, address_of
from edge.wire.topics import Topics

log = logging.getLogger(__name__)

PROBE_SECONDS = 2.0
"""Between two deltas with QoS 1, whose PUBACK says whether anybody subscribes to the topic."""
KEEP_SECONDS, KEEP_SECONDS_MIN = 3600.0, journal_file.WORTH_SECONDS_MIN
RETRY_SECONDS = 5.0


class Replies:
    """Every message to an asker leaves here, and every end is counted here."""

    def __init__(
        self,
        transport: Transport,
        topics: Topics,
        inference: Inference,
        speed: Speed,
        journal: Journal,
        outbox: Outbox,
        callers: Callers,
    ) -> None:
        self._transport, self._topics, self._inference, self._speed = transport, topics, inference, speed
        self._journal, self._outbox, self._callers = journal, outbox, callers
        outbox.is_heard = callers.hear
        self.unheard: Callable[[Waiting], None] = lambda _waiting: None
        """Called where the broker says that nobody listens to an answer."""
        self.met: Callable[[Message, int], None] = lambda _message, _number: None
        """Called with a message that arrived, and the journal's number under which it ends (`Outbox.at_delivered`)."""

    def refuse(self, message: Message, fault: Fault) -> None:
        """A message that did not become a request; on disk before it is acknowledged, as an answer is."""
        log.info("refused with %d: %s", fault.code, fault.message)
        outcome = refusal(fault)
        self._inference.count(outcome)
        reply = terminal(address_of(message, self._topics), outcome)
        if self._outbox.is_full:
            return self._transport.publish(replace(reply, qos=0))
        answer = Answer(self._journal.file.next_number(), reply, now() + KEEP_SECONDS_MIN)
        self.met(message, answer.number)
        if not message.qos:
            return self._outbox.add(answer)
        write = journal_file.refuse(answer.number, reply, fault.code, KEEP_SECONDS_MIN)
        return self._journal.write(write, lambda _error: self._outbox.add(answer))

    @property
    def is_backed_up(self) -> bool:
        """Whether so many answers wait for the broker that it seems to take none."""
        return self._outbox.is_full

    def queued(self, request: Request, place: int, seconds: float) -> None:
        """The request waits, with so many before it, for about so long; silent where no stream is wanted."""
        if request.chat.stream:
            self._tell(queued(request.address, place, seconds))

    def piece(self, waiting: Waiting, text: str, choice: int | None = None) -> None:
        """The next piece of the running answer; one every few seconds asks whether anybody listens.

        choice: of several answers, which it is of.
        """
        if not waiting.request.chat.stream:
            return None
        piece = delta(waiting.request.address, waiting.index, text, choice)
        waiting.index += 1
        if self._callers.hear(piece):
            return None
        if waiting.is_probing or now() - waiting.probed < PROBE_SECONDS or not self._transport.is_connected:
            return self._transport.publish(piece)
        waiting.probed, waiting.is_probing = now(), True
        return self._transport.publish(replace(piece, qos=1), lambda delivery: self._probed(waiting, delivery))

    def _tell(self, message: Message) -> None:
        if not self._callers.hear(message):
            self._transport.publish(message)

    def _probed(self, waiting: Waiting, delivery: Delivery) -> None:
        waiting.is_probing = False
        if delivery is Delivery.UNHEARD:
            self.unheard(waiting)

    def end(self, waiting: Waiting, outcome: Outcome) -> None:
        """The terminal message, once: into the journal, then out."""
        self._inference.count(outcome)
        if waiting.answered_by is None and waiting.rows == 1:
            self._speed.learn(waiting.request, outcome)
        address = waiting.request.address
        self._inference.ratings.answered(address.client, address.id)
        reply = terminal(address, outcome)
        answer = Answer(waiting.number, reply, now() + worth_seconds(waiting))
        self._record(answer, reply, outcome.code, lambda _error: self._outbox.add(answer))
        log.info("request %s ended with %d (%s)", address.id, outcome.code, outcome.finish_reason)

    def again(self, number: int, address: Address) -> None:
        """The answer that a request had, for one who asks it again."""
        if self._topics.is_doors(address.topic):
            self._callers.soon(self._once_more(number, address))
            return
        self._outbox.add(Answer(number, None, now() + KEEP_SECONDS_MIN, is_repeat=True))

    async def _once_more(self, number: int, address: Address) -> None:
        """The same for one who waits at a door, whatever becomes of the broker."""
        try:
            reply = await self._journal.read(lambda file: file.reply(number))
        except JournalError as error:
            log.error("%s; an answer that is asked for again cannot be told", error)
            reply = None
        gone = NotFound("its answer was there, and is not any more; ask anew, by another id", "id")
        self._callers.hear(reply or terminal(address, refusal(gone)))

    def _record(self, answer: Answer, reply: Message, code: int, then: Done | None) -> None:
        """Write an answer down, again later where that fails: it goes out in any case, from memory."""

        def done(error: JournalError | None) -> None:
            if then:
                then(error)
            if error:
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._record, answer, reply, code, None)

        self._journal.write(journal_file.answer(answer.number, reply, code, answer.until - now()), done)


def worth_seconds(waiting: Waiting) -> float:
    """How long an answer is worth delivering: until its deadline, a minute at least, an hour where it has none."""
    if waiting.deadline is None:
        return KEEP_SECONDS
    return max(waiting.deadline - now(), KEEP_SECONDS_MIN)
