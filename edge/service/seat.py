"""What is served now, which may change while the daemon runs: a bundle's manifest, and its engine; others on the shelf.

Who has the seat need not know that it changes: it is an engine (edge/service/protocols.py), whichever sits there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from edge.bundle import Manifest
from edge.engine import Finished, Job, Part
from edge.service.protocols import Engine
from edge.service.served import Served
from edge.service.shelf import Shelf
from edge.wire.chat import ChatRequest


class Seat:
    """One bundle in use, another beside it where one is tried, and those that are loaded when a request names them."""

    def __init__(self, served: Served, shelf: Shelf | None = None) -> None:
        self.served = served
        self.shelf = shelf or Shelf()
        self.beside: Served | None = None
        """What is to work as the one in the seat does: it is tried."""
        self._pace = (1.0, 1.0)

    @property
    def manifest(self) -> Manifest:
        """Of the bundle in use."""
        return self.served.manifest

    def manifest_for(self, chat: ChatRequest) -> Manifest:
        """Of the bundle that a request names; of the one in use where there is none of that name."""
        standby = self.shelf.whose(chat, self.manifest)
        return standby.served.manifest if standby else self.manifest

    @property
    def manifests(self) -> list[Manifest]:
        """Of all bundles that a request may name, that of the one in use first."""
        return [self.manifest, *(each for each in self.shelf.manifests if each.name != self.manifest.name)]

    @property
    def names(self) -> list[str]:
        """Of these."""
        return [each.name for each in self.manifests]

    def name_beside(self, chat: ChatRequest) -> str | None:
        """Of the bundle that a request names; None where that is the one in use, or there is none of that name."""
        standby = self.shelf.whose(chat, self.manifest)
        return standby.served.manifest.name if standby else None

    @asynccontextmanager
    async def use(self, chat: ChatRequest, number: int) -> AsyncIterator[Served]:
        """The bundle that a request names, loaded, to the end of the block; raises as `Shelf.use` does."""
        standby = self.shelf.whose(chat, self.manifest)
        if standby is None:
            yield self.served
        else:
            async with self.shelf.use(standby, number, chat.keep_alive_seconds) as served:
                yield served

    @property
    def is_changing(self) -> bool:
        """Whether another engine than the one in use comes or goes."""
        return self.beside is not None or self.shelf.is_changing

    def has_died(self, chat: ChatRequest) -> bool:
        """Whether the engine has ended, other than on purpose, that a request is answered by."""
        standby = self.shelf.whose(chat, self.manifest)
        return standby.has_died if standby else not self.alive

    def seat_beside(self, served: Served) -> None:
        """Another is tried: it works as this one was told to, so that the two can be compared."""
        self.beside = served
        self._as_told(served.engine)

    def take(self, served: Served) -> Served:
        """Another bundle is in use from now on; the one that was."""
        before, self.served = self.served, served
        self.beside = None
        served.engine.gained = before.engine.gained
        self._as_told(served.engine, before.engine)
        return before

    def _as_told(self, engine: Engine, before: Engine | None = None) -> None:
        engine.threads = (before or self._engine).threads
        if self._pace[0] < 1:
            engine.pace(*self._pace)

    @property
    def _engine(self) -> Engine:
        return self.served.engine

    @property
    def _engines(self) -> list[Engine]:
        return [self._engine, *([self.beside.engine] if self.beside else []), *self.shelf.engines]

    # --- it is an engine ---

    @property
    def rows(self) -> int:
        """Jobs that it works on at once."""
        return self._engine.rows

    @rows.setter
    def rows(self, rows: int) -> None:
        self._engine.rows = rows

    @property
    def gained(self) -> Callable[[int, int], None]:
        """Called with a job and how many tokens its answer has grown by."""
        return self._engine.gained

    @gained.setter
    def gained(self, gained: Callable[[int, int], None]) -> None:
        for engine in (self._engine, *self.shelf.engines):
            engine.gained = gained

    @property
    def threads(self) -> int:
        """That it begins with the next time."""
        return self._engine.threads

    @threads.setter
    def threads(self, threads: int) -> None:
        for engine in self._engines:
            engine.threads = threads
        self.shelf.look()

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._engine.pid

    async def start(self) -> None:
        """Load the model."""
        await self._engine.start()

    def generate(self, job: Job) -> AsyncGenerator[str | Part | Finished, None]:
        """Pieces of the answer, then how it finished."""
        return self._engine.generate(job)

    def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped soon."""
        if not self.shelf.cancel(job_id):
            self._engine.cancel(job_id)

    def pace(self, duty: float, period_seconds: float) -> None:
        """Have it, and who is tried or comes after it, work for this share of the time."""
        self._pace = (duty, period_seconds)
        for engine in self._engines:
            engine.pace(duty, period_seconds)

    def ease(self) -> None:
        """Ask for memory back: those on the shelf go first; where none is left to go, all give up what they keep."""
        if not self.shelf.relieve():
            for engine in self._engines:
                engine.ease()

    def forget(self, salt: str) -> None:
        """Have all forgotten that jobs of one salt have left."""
        for engine in self._engines:
            engine.forget(salt)

    async def stop(self) -> None:
        """End the engine."""
        await self._engine.stop()

    async def died(self) -> None:
        """Return when the engine has ended that is in use now, or was when this was asked."""
        await self._engine.died()

    @property
    def progress(self) -> str:
        """What it is at while it starts."""
        return self._engine.progress

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._engine.alive

    @property
    def is_overgrown(self) -> bool:
        """Whether it should be started anew."""
        return self._engine.is_overgrown

    @property
    def silent_seconds(self) -> float:
        """How long ago it last gave a sign of life, or one that answers in its place."""
        return min(self._engine.silent_seconds, self.shelf.silent_seconds)

    def counters(self) -> Mapping[str, int | float]:
        """What it did since it was started."""
        return self._engine.counters()

    def memory_bytes(self) -> int | None:
        """What it holds."""
        return self._engine.memory_bytes()
