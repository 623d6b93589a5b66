"""Signs of life to the service manager, as long as work in hand goes on."""

from __future__ import annotations

import asyncio

from edge.board.systemd import Notifier
from edge.service.queue import Queue
from edge.service.seat import Seat

PROGRESS_SECONDS = 1.0
"""Between two looks at how far the start is."""


class Signs:
    """One daemon's. stall_seconds: silence of a working engine after which it counts as stuck."""

    def __init__(self, notifier: Notifier, seat: Seat, queue: Queue, stall_seconds: float) -> None:
        self._notifier, self._seat, self._queue, self._stall_seconds = notifier, seat, queue, stall_seconds

    async def tell_progress(self) -> None:
        """How far the engine is, to systemd, which gives up a start that gets no further."""
        told = None
        while True:
            if (doing := self._seat.progress) != told:
                self._notifier.starting(doing or "loading the model")
            told = doing
            await asyncio.sleep(PROGRESS_SECONDS)

    async def feed_watchdog(self) -> None:
        """For ever; without a watchdog there is nothing to do."""
        period = self._notifier.watchdog_seconds
        if period is None:
            await asyncio.Event().wait()
            return
        while True:
            stalled = self._seat.silent_seconds >= self._stall_seconds + period
            if not (self._queue.running and stalled):
                self._notifier.watchdog()
            await asyncio.sleep(period / 3)
