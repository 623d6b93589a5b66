"""Other ways in and out, kept apart: whatever is wrong with one ends that one, and is told in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from edge.service.protocols import Door
from edge.wire.asked import Inside
from edge.wire.message import Message

log = logging.getLogger(__name__)

T = TypeVar("T")


class Doors:
    """All that are open."""

    def __init__(self, doors: Sequence[Door], inside: Inside) -> None:
        """inside: what they open to."""
        self._open, self._inside = list(doors), inside

    async def run(self) -> None:
        """Each until the daemon ends, which cancels this; it does not return, however many have ended."""
        await asyncio.gather(asyncio.Event().wait(), *(self._live(door) for door in tuple(self._open)))

    async def _live(self, door: Door) -> None:
        try:
            await door.run(self._inside)
        except Exception:
            self._shut(door)

    def connected(self) -> None:
        """The broker took us."""
        for door in tuple(self._open):
            self._tried(door, door.connected)

    def hear(self, message: Message) -> bool:
        """Whether a message was for one of them."""
        return any(self._tried(door, partial(door.hear, message)) for door in tuple(self._open))

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """The telemetry that is published now."""
        for door in tuple(self._open):
            self._tried(door, partial(door.told, telemetry))

    def _tried(self, door: Door, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except Exception:
            self._shut(door)
            return None

    def _shut(self, door: Door) -> None:
        log.exception("%s has failed, and is shut until the next start", type(door).__name__)
        self._open = [each for each in self._open if each is not door]
