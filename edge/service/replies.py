"""What an asker is told: refused, queued, a piece of the answer, the end."""

from __future__ import annotations

import logging

from edge import messages
from edge.errors import Fault
from edge.messages import Message, Outcome, Request
from edge.service.protocols import Transport
from edge.service.queue import Waiting
from edge.telemetry.inference import Inference
from edge.topics import Topics

log = logging.getLogger(__name__)


class Replies:
    """Every message to an asker leaves here, and every end is counted here."""

    def __init__(self, transport: Transport, topics: Topics, inference: Inference) -> None:
        self._transport, self._topics, self._inference = transport, topics, inference

    def refuse(self, message: Message, fault: Fault) -> None:
        """A message that did not become a request."""
        log.info("refused with %d: %s", fault.code, fault.message)
        outcome = messages.refusal(fault)
        self._inference.count(outcome)
        self._transport.publish(messages.reply(messages.address_of(message, self._topics), outcome))

    def queued(self, request: Request, place: int) -> None:
        """The request waits, with so many before it; silent where no stream is wanted."""
        if request.chat.stream:
            self._transport.publish(messages.queued(request.address, place))

    def piece(self, waiting: Waiting, text: str) -> None:
        """The next piece of the running answer."""
        if waiting.request.chat.stream:
            self._transport.publish(messages.delta(waiting.request.address, waiting.index, text))
            waiting.index += 1

    def end(self, waiting: Waiting, outcome: Outcome) -> None:
        """The terminal message, once."""
        self._inference.count(outcome)
        self._transport.publish(messages.reply(waiting.request.address, outcome))
        log.info("request %s ended with %d (%s)", waiting.request.address.id, outcome.code, outcome.finish_reason)
