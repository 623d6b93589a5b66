"""Which bundle the board is to run, as its operator says at the broker: what is wished for, and when to see to it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.errors import BadRequest
from edge.service.clock import now
from edge.wire.desired import Desired, Wanted, parse_desired
from edge.wire.message import Message
from edge.wire.topics import Topics

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
"""After a wish has come: the board's own, which goes first, may come right after the fleet's."""
RETRY_SECONDS = (10, 30, 60, 300, 900, 3600)
"""Until a wish is seen to again that could not be carried out now, by how often that was so."""


@dataclass(frozen=True)
class Pending:
    """To be seen to. is_told: by a command, and not by what is kept at the broker."""

    wanted: Wanted
    id: str | None = None
    is_told: bool = False

    def body(self) -> dict[str, Any] | None:
        """The wish as it is reported."""
        return None if self.is_told else Desired(bundle=self.wanted, id=self.id).model_dump(exclude_none=True)


class Wishes:
    """The board's own and its fleet's."""

    def __init__(self, topics: Topics) -> None:
        self._own = topics.desired
        self._by_topic: dict[str, Desired | BadRequest | None] = {}
        self.pending: Pending | None = None
        self._due, self._tries = math.inf, 0
        self.refused: Callable[[str], None] = lambda _why: None
        """Called with why a wish cannot be understood."""
        self.taken_back: Callable[[], None] = lambda: None
        """Called when no wish holds any more."""
        self.news: Callable[[], None] = lambda: None
        """Called when another wish holds, or none."""

    @property
    def held(self) -> Desired | BadRequest | None:
        """The wish that holds: the board's own, else its fleet's."""
        own = self._by_topic.get(self._own)
        others = (wish for topic, wish in self._by_topic.items() if topic != self._own)
        return own if own is not None else next(others, None)

    def hear(self, message: Message) -> None:
        """A message on one of the topics."""
        before = self.held
        try:
            self._by_topic[message.topic] = parse_desired(message)
        except BadRequest as fault:
            self._by_topic[message.topic] = fault
        held = self.held
        if held == before:
            return
        log.info("the wish that holds: %s", held)
        self.pending = Pending(held.bundle, held.id) if isinstance(held, Desired) else None
        self._due, self._tries = now() + SETTLE_SECONDS, 0
        if isinstance(held, BadRequest):
            self.refused(held.message)
        elif held is None:
            self.taken_back()
        self.news()

    def update(self, name: str) -> None:
        """Wish for the newest bundle of a name, once; what is kept at the broker stands."""
        self.pending = Pending(Wanted(name=name), is_told=True)
        self._due, self._tries = now(), 0
        self.news()

    def next(self) -> Pending | None:
        """What is to be seen to now."""
        return self.pending if now() >= self._due else None

    @property
    def seconds(self) -> float:
        """Until there is something to be seen to."""
        return max(0.0, self._due - now()) if self.pending else math.inf

    def done(self, pending: Pending) -> None:
        """It was seen to, for better or worse."""
        if self.pending is pending:
            self.pending = None

    def later(self, pending: Pending) -> float:
        """It could not be carried out now; seconds until it is tried again."""
        wait = RETRY_SECONDS[min(self._tries, len(RETRY_SECONDS) - 1)]
        if self.pending is pending:
            self._tries += 1
            self._due = now() + wait
        return wait
