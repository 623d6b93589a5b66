"""Whether a request is one that was asked before, and what its asker is owed then.

A request comes again because the broker sends it again (the same packet), or because its asker repeats it under its
name: its id or correlation data. One that is open goes on and is not begun twice; one that has its answer gets that
answer again; one that ended otherwise may be tried once more, but for the broker's own copy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edge.service.clock import now
from edge.service.journal import Journal
from edge.service.journal_file import JournalError, JournalFile, Known
from edge.service.queue import Queue
from edge.service.replies import Replies
from edge.wire.message import Message
from edge.wire.request import Request
from edge.wire.topics import Topics

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0
"""An answer goes out again no sooner: to ask again takes a few bytes, to answer it takes many."""
AskersName = tuple[str, bytes]
"""An asker, and what it calls a request."""


class Repeats:
    """What the journal and the queue know of a request."""

    def __init__(self, journal: Journal, queue: Queue, replies: Replies, topics: Topics) -> None:
        self._journal, self._queue, self._replies, self._topics = journal, queue, replies, topics
        self._told: dict[int, float] = {}

    async def known(self, batch: Sequence[tuple[Message, object]]) -> list[Known | None]:
        """What the journal has of each request of a batch; None for what is none, and where it cannot be read."""
        try:
            return await self._journal.read(lambda file: [_find(file, message, what) for message, what in batch])
        except JournalError as error:
            log.error("%s; a repeat may be answered twice", error)
            return [None] * len(batch)

    def has(self, message: Message, request: Request, known: Known | None) -> bool:
        """Whether a request was asked before; its answer, where there is one, goes out again."""
        digest = message.digest()
        if known and known.digest == digest and (message.duplicate or not _may_be_tried_again(known)):
            self._answer_again(message, request, known)
            return True
        open_one = self._queue.namesake(request)
        if open_one is None or open_one.digest != digest:  # another request of that name is the queue's to refuse
            return False
        log.info("request %s came again while it is open", request.address.id)
        self._replies.met(message, open_one.number)
        return True

    def _answer_again(self, message: Message, request: Request, known: Known) -> None:
        log.info("request %s came again; it is not answered twice", request.address.id)
        lately = now() - AGAIN_SECONDS
        self._told = {number: when for number, when in self._told.items() if when > lately}
        if known.code is None:
            self._replies.met(message, known.number)
        elif known.number not in self._told or self._topics.is_doors(message.topic):
            self._told[known.number] = now()
            self._replies.met(message, known.number)
            self._replies.again(known.number, request.address)


def names_of(request: Request) -> list[AskersName]:
    """What its asker can repeat it under; nothing where we made its name up."""
    address = request.address
    is_named = bool(request.chat.id or address.correlation_data)
    return sorted((address.asker, name) for _, name in address.names) if is_named else []


def _find(file: JournalFile, message: Message, what: object) -> Known | None:
    """By its names, or by its packet where the broker sent it again."""
    if not isinstance(what, Request):
        return None
    known = file.find(names_of(what))
    if known is None and message.duplicate:
        known = file.find_delivery(message.packet_identifier, message.digest())
    return known


def _may_be_tried_again(known: Known) -> bool:
    """Whether it ended otherwise than with an answer, and its asker may want to ask anew."""
    return known.code not in (None, 200)
