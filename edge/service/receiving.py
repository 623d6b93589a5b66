"""What arrives: understood, into the queue, onto the disk, and only then acknowledged, in its order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from edge.config import Settings
from edge.errors import BadRequest, BrokerError, Cancelled, Fault
from edge.service.admission import Admission, unforeseen
from edge.service.afterwards import Afterwards
from edge.service.answering import Answering
from edge.service.doors import Doors
from edge.service.journal import Journal
from edge.service.journal_file import Known
from edge.service.protocols import Transport
from edge.service.queue import Queue
from edge.service.repeats import Repeats
from edge.service.replies import Replies
from edge.service.uploads import Uploads
from edge.wire.afterwards import Forget, Rating, parse_forget, parse_rating
from edge.wire.chunks import Chunk, parse_chunk
from edge.wire.command import Command, parse_command
from edge.wire.message import Message
from edge.wire.reply import refusal
from edge.wire.request import Cancel, Request, parse_cancel
from edge.wire.topics import Topics

log = logging.getLogger(__name__)

Understood = Request | Cancel | Chunk | Forget | Rating | Command | Fault | None
"""What a message asks for: None where it is not for us."""
AFTERWARDS: dict[str, Callable[[Message, Topics], Cancel | Forget | Rating]] = {
    "cancel": parse_cancel,
    "forget": parse_forget,
    "rating": parse_rating,
}
"""What is said of a request that was asked."""
BATCH_MAX = 64
"""Messages that share one write to the disk."""


class Receiving:
    """All that comes over one transport."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        queue: Queue,
        journal: Journal,
        replies: Replies,
        repeats: Repeats,
        admission: Admission,
        answering: Answering,
        doors: Doors,
        afterwards: Afterwards,
    ) -> None:
        self._settings, self._topics, self._transport = settings, settings.topics, transport
        self._queue, self._journal, self._replies, self._repeats = queue, journal, replies, repeats
        self._admission, self._answering, self._doors = admission, answering, doors
        self._afterwards = afterwards
        self.wished: Callable[[Message], None] = lambda _message: None
        self.update: Callable[[], None] = lambda: None
        """Told of a wish for a bundle, and that the newest one is wanted."""
        self.heard: Callable[[Message], bool] = lambda _message: False
        """Told of what is on no topic of ours; whether it was wanted."""
        self._uploads = Uploads(admission.bytes_max, replies.refuse)
        self.hand_on: Callable[[Message, Fault], bool] = lambda _message, _fault: False
        """Whether a request that would be refused for this is another board's now."""
        self.drain: Callable[[bool], None] = lambda _is_drained: None
        """Called where the board is told to leave the fleet's queue, or to come back."""

    def close(self) -> None:
        """Nothing more is put together."""
        self._uploads.close()

    async def run(self) -> None:
        """Whatever arrives, until the transport ends; between two batches nothing of the last is kept."""
        while True:
            await self._take_batch([await self._transport.received.get()])

    async def _take_batch(self, batch: list[Message | BrokerError]) -> None:
        """What has arrived: into the queue, onto the disk, and only then acknowledged, in its order."""
        while not self._transport.received.empty() and len(batch) < BATCH_MAX:
            batch.append(self._transport.received.get_nowait())
        arrived = [message for message in batch if not isinstance(message, BrokerError)]
        await self.take([message for message in arrived if not self._topics.is_doors(message.topic)])
        for message in arrived:
            self._transport.acknowledge(message)
        for error in batch:
            if isinstance(error, BrokerError):
                raise error

    async def take(self, batch: Sequence[Message]) -> None:
        """Messages in their order, on disk when this returns.

        Whatever is wrong with one is its sender's to know and never ours to fall over.
        """
        understood = [each for message in batch if (each := self._completed(message, self._understood(message)))]
        known = await self._repeats.known(understood)
        for (message, what), before in zip(understood, known, strict=True):
            self._act(message, what, before)
        await self._journal.settled()

    def _act(self, message: Message, what: Understood, before: Known | None) -> None:
        """Do what a message asks for; whatever that raises is refused, since the message would come again."""
        try:
            if isinstance(what, Request):
                self._admission.admit(message, what, before)
            elif isinstance(what, Cancel):
                self._cancel(what)
            elif isinstance(what, Forget | Rating):
                self._afterwards.take(what)
            elif isinstance(what, Command):
                self._obey(what)
            elif isinstance(what, Fault):  # not raised, since its traceback and this batch would keep each other
                self._replies.refuse(message, what)
        except Fault as fault:
            if not self.hand_on(message, fault):
                self._replies.refuse(message, fault)
        except Exception:
            log.exception("a message could not be taken")
            self._replies.refuse(message, unforeseen())

    def _completed(self, message: Message, what: Understood) -> tuple[Message, Understood] | None:
        """A message with what it asks for; of chunks the whole that they make, None before their last."""
        if not isinstance(what, Chunk):
            return message, what
        self._uploads.bytes_max = self._admission.bytes_max
        try:
            whole = self._uploads.add(what)
        except Exception:
            log.exception("a chunk could not be taken")
            return what.asker, unforeseen()
        return None if whole is None else (whole, self._understood(whole))

    def _understood(self, message: Message) -> Understood:
        """What a message asks for; None where it is not for us."""
        try:
            kind = self._topics.parse(message.topic).kind
        except ValueError:
            if not (self.heard(message) | bool(self._doors.hear(message))):
                log.warning("a message on a topic that is not ours was ignored")
            return None
        try:
            if kind == "request":
                return self._admission.parse(message)
            if kind == "chunk":
                return parse_chunk(message, self._topics, self._admission.bytes_max)
            if kind in AFTERWARDS:
                return AFTERWARDS[kind](message, self._topics)
            if kind == "desired":
                return self.wished(message)
            if message.topic == self._topics.command and self._settings.limits.commands:
                return parse_command(message)
            return None
        except Fault as fault:
            return fault.bare()
        except Exception:  # a message must never end the daemon, and one that was not foreseen least of all
            log.exception("a message could not be read")
            return BadRequest("this message cannot be read; the board's log says why")

    def _cancel(self, cancel: Cancel) -> None:
        found, fault = self._queue.find(cancel.client, cancel.name), Cancelled("cancelled as asked")
        if found is None:
            log.info("a cancel for a request that is not open was ignored")
        elif found in self._queue.running:
            self._answering.interrupt(found, fault)
        else:
            self._queue.remove(found)
            self._replies.end(found, refusal(fault))

    def _obey(self, command: Command) -> None:
        if command.order in ("drain", "resume"):
            log.info("told to %s", command.order)
            return self.drain(command.order == "drain")
        if command.order == "update":
            log.info("told to update the bundle")
            return self.update()
        log.info("told to %s the engine", command.order)
        if command.order == "unload":
            return self._answering.unload()
        return self._answering.begin_anew("it was told to")
