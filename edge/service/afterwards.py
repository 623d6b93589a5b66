"""What a client says of what it asked: that it is to be forgotten, or that an answer was good."""

from __future__ import annotations

import logging

from edge.config import Limits
from edge.service import journal_file
from edge.service.jobs import salt_of
from edge.service.journal import Journal
from edge.service.protocols import Engine
from edge.service.queue import Queue
from edge.service.ratings import Ratings
from edge.wire.afterwards import Forget, Rating

log = logging.getLogger(__name__)


class Afterwards:
    """Whoever has something of what was asked."""

    def __init__(
        self, limits: Limits, base: str, queue: Queue, journal: Journal, engine: Engine, ratings: Ratings
    ) -> None:
        """base: of the board's own topics."""
        self._limits, self._base = limits, base
        self._queue, self._journal, self._engine, self._ratings = queue, journal, engine, ratings

    def take(self, what: Forget | Rating) -> None:
        """Do what is said."""
        if isinstance(what, Forget):
            return self._forget(what.client)
        return self._ratings.take(what, is_own=what.base == self._base)

    def _forget(self, client: str | None) -> None:
        """What is stored goes, here and in the engine; of what is open nothing stays once it is answered."""
        share = client or ""
        for waiting in self._queue.open_of(share):
            waiting.is_forgotten = True
        self._journal.write(journal_file.forget(share))
        self._ratings.forget(client)
        self._engine.forget(salt_of(share, self._limits))
        log.info("what %s asked is forgotten", client or "those without a name")
