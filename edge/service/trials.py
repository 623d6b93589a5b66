"""A new bundle beside the old one, or after it where memory has no room for both, and who has the seat then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from edge.board.memory import available_bytes
from edge.config import Settings
from edge.service.answering import Answering
from edge.service.clock import now
from edge.service.seat import Seat
from edge.service.served import Served
from edge.service.trial import Speeds, TrialFailed, check_answers, check_speed, compared, speed, speed_of_old


class Trials:
    """One seat's. What is asked is asked while nothing else runs, and the seat changes only then."""

    def __init__(self, settings: Settings, seat: Seat, answering: Answering) -> None:
        self._settings, self._seat, self._answering = settings.store, seat, answering
        self._takes_adapters = settings.engine.kind != "genai"
        self._root, self._growth_bytes = settings.telemetry.root, settings.engine.growth_bytes

    async def change_to(self, served: Served) -> Served:
        """The new one has the seat once it has passed; the one that had it, whose engine has ended.

        Raises TrialFailed or EdgeError where it has not; then the old one has the seat, as before.
        """
        before = self._seat.served
        self._seat.seat_beside(served)
        try:
            if self._fits_beside(served):
                left_seconds = await self._loaded(served)
                await self._answering.alone(partial(self._ask_both, served, left_seconds))
            else:
                await self._answering.alone(partial(self._ask_after, served))
        finally:
            self._seat.beside = None
        return before

    async def ask_again(self, served: Served, before: Served) -> None:
        """The questions once more, after it has answered others'. TrialFailed, with the old one in the seat again."""

        async def work() -> None:
            try:
                await self._check(served)
            except TrialFailed:
                self._seat.take(before)
                raise

        await self._answering.alone(work)

    async def change_back(self, served: Served) -> None:
        """Another has the seat as soon as nothing runs; its engine is started where it does not run."""

        async def work() -> None:
            before = self._seat.take(served)
            await before.engine.stop()

        await self._answering.alone(work)

    async def _check(self, served: Served) -> None:
        """Its questions, and those of its adapters, where the engine that is to answer them takes any."""
        adapters = served.manifest.adapters if self._takes_adapters else []
        await check_answers(served.engine, served.manifest.golden, adapters)

    def _fits_beside(self, served: Served) -> bool:
        """Whether memory has room for both; where nobody knows, it has not."""
        free = available_bytes(self._root)
        return self._seat.alive and free is not None and free >= served.memory_floor_bytes + self._growth_bytes

    async def _loaded(self, served: Served) -> float:
        """The new engine stands, while the old one answers; seconds that are left of the trial's."""
        began = now()
        async with self._within(self._settings.trial_seconds):
            await served.engine.start()
        return self._settings.trial_seconds - (now() - began)

    async def _ask_both(self, served: Served, left_seconds: float) -> None:
        async with self._within(left_seconds):
            await self._check(served)
            check_speed(await compared(served.engine, self._seat), self._settings.speed_floor)
        before = self._seat.take(served)
        await before.engine.stop()

    async def _ask_after(self, served: Served) -> None:
        """The old one's speed, then the new one in its place."""
        async with self._within(self._settings.trial_seconds):
            old = await speed_of_old(self._seat) if self._seat.alive else None
            await self._seat.stop()
            try:
                await served.engine.start()
                await self._check(served)
                check_speed(Speeds(await speed(served.engine), old), self._settings.speed_floor)
            except BaseException:
                await served.engine.stop()  # before the old one is loaded again
                raise
        self._seat.take(served)

    @asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            limit = f"{self._settings.trial_seconds:g} s (store.trial_seconds)"
            raise TrialFailed(f"it was not loaded and had not answered its questions within {limit}") from error
