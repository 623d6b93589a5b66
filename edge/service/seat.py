"""What is served now, which may change while the daemon runs: a bundle's manifest, and its engine.

Who has the seat need not know that it changes: it is an engine (edge/service/protocols.py), whichever sits there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.bundle import Manifest
from edge.engine import Finished, Job
from edge.service.protocols import Engine

Source = Literal["store", "engine.bundle"]


@dataclass(frozen=True)
class Served:
    """A bundle and what runs it. digest: as `edge.bundle.Bundle` has it; empty for one without a folder.

    source: where it lies: in the store, or where the setting says. folder: that place; None for one without.
    """

    manifest: Manifest
    engine: Engine
    digest: str = ""
    source: Source = "engine.bundle"
    folder: Path | None = None

    def body(self) -> dict[str, Any]:
        """As it is told."""
        return {
            "name": self.manifest.name,
            "version": self.manifest.version,
            "digest": self.digest or None,
            "source": self.source,
        }


class Seat:
    """One bundle in use, and another beside it where one is tried."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.beside: Served | None = None
        """What is to work as the one in the seat does: it is tried."""
        self._pace = (1.0, 1.0)

    @property
    def manifest(self) -> Manifest:
        """Of the bundle in use."""
        return self.served.manifest

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
        return [self._engine, *([self.beside.engine] if self.beside else [])]

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
        self._engine.gained = gained

    @property
    def threads(self) -> int:
        """That it begins with the next time."""
        return self._engine.threads

    @threads.setter
    def threads(self, threads: int) -> None:
        for engine in self._engines:
            engine.threads = threads

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._engine.pid

    async def start(self) -> None:
        """Load the model."""
        await self._engine.start()

    def generate(self, job: Job) -> AsyncGenerator[str | Finished, None]:
        """Pieces of the answer, then how it finished."""
        return self._engine.generate(job)

    def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped soon."""
        self._engine.cancel(job_id)

    def pace(self, duty: float, period_seconds: float) -> None:
        """Have it, and who is tried or comes after it, work for this share of the time."""
        self._pace = (duty, period_seconds)
        for engine in self._engines:
            engine.pace(duty, period_seconds)

    def ease(self) -> None:
        """Ask for memory back."""
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
        """How long ago it last gave a sign of life."""
        return self._engine.silent_seconds

    def counters(self) -> Mapping[str, int | float]:
        """What it did since it was started."""
        return self._engine.counters()

    def memory_bytes(self) -> int | None:
        """What it holds."""
        return self._engine.memory_bytes()
