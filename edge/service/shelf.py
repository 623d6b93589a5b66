"""Bundles beside the one in the seat: each loaded when a request names it, and let go after a while without one.

An engine each, in a process of its own as the seat's. One is let go by age (`keep_alive_seconds`), where the governor
finds memory short, and where another that is asked for would find no room; never while it answers.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edge.board.memory import available_bytes
from edge.bundle import Manifest
from edge.errors import Cancelled, EdgeError, EngineFailed, StartError, Unavailable
from edge.service.clock import now
from edge.service.protocols import Engine
from edge.service.served import Served
from edge.wire.chat import ChatRequest

log = logging.getLogger(__name__)

NO_ROOM_SECONDS = 30
"""Until it is worth asking again for one that found no room, or did not start."""

Happened = Callable[[str, str], None]
"""An event, and why."""


class Standby:
    """One of them. users: requests that are answered with it, or wait for it to be loaded."""

    def __init__(self, served: Served, keep_alive_seconds: float) -> None:
        """keep_alive_seconds: -1 keeps it while there is memory."""
        self.served, self.engine = served, served.engine
        self.keep_alive_seconds = math.inf if keep_alive_seconds < 0 else keep_alive_seconds
        self.users = 0
        self.is_loaded = False
        """Whether it was started, and not ended on purpose since."""
        self.is_unwanted = False
        """Whether it is to go as soon as nobody uses it."""
        self.threads = self.engine.threads
        """That it was started with."""
        self.loading: asyncio.Task[None] | None = None
        self.ending: asyncio.Future[None] | None = None
        self.places = asyncio.Semaphore(1)
        self.used = -math.inf

    @property
    def is_idle(self) -> bool:
        """Whether it could be let go now."""
        return self.is_loaded and not self.users

    @property
    def has_died(self) -> bool:
        """Whether its engine ended that was not to."""
        return self.is_loaded and not self.engine.alive

    def reading(self) -> dict[str, Any]:
        """How it stands. seconds_left: until it is let go; None while it is kept, or is not there."""
        is_going = self.is_idle and self.seconds_left < math.inf
        return {
            "is_loaded": self.is_loaded and self.engine.alive,
            "running": self.users,
            "memory_bytes": self.engine.memory_bytes() if self.is_loaded else None,
            "seconds_left": round(max(0.0, self.seconds_left), 1) if is_going else None,
        }

    @property
    def why_at_once(self) -> str:
        """Why it goes as soon as nobody uses it, whatever its age; empty where it does not."""
        if self.is_unwanted:
            return "memory is short"
        if self.engine.is_overgrown:
            return "it holds too much memory (engine.growth_bytes)"
        return "it is to run on other threads" if self.engine.threads != self.threads else ""

    @property
    def seconds_left(self) -> float:
        """Until it is let go, if nobody asks for it."""
        if self.why_at_once:
            return 0.0
        return self.used + self.keep_alive_seconds - now()


class Shelf:
    """Those of one board, by the names that requests have for them."""

    def __init__(
        self, served: Mapping[str, Standby] | None = None, root: Path = Path("/"), growth_bytes: int = 0
    ) -> None:
        """served: by names, which their manifests have, too. root: where memory is read below.

        growth_bytes: that each may take beyond its floor.
        """
        self._all = dict(served or {})
        self._root, self._growth_bytes = root, growth_bytes
        self._one_at_a_time = asyncio.Lock()
        self._wishes: dict[int, tuple[Standby, asyncio.Future[None]]] = {}
        """Of each request that uses one: which, and what ends its waiting for it."""
        self._woken = asyncio.Event()
        self.happened: Happened = lambda _event, _why: None
        """Called when one is loaded, or gone."""
        self.moved: Callable[[], None] = lambda: None
        """Called then, too: memory is another."""

    def whose(self, chat: ChatRequest, own: Manifest) -> Standby | None:
        """The one that a request names; None where it is the seat's, or nobody's. own: the seat's."""
        model = chat.model or own.name
        name = model.partition(":")[0]
        if name == own.name:
            return None
        if name in self._all or chat.input is None:
            return self._all.get(name)
        return None if _makes(own, model) else next((each for each in self._all.values() if _of(each, model)), None)

    @property
    def manifests(self) -> list[Manifest]:
        """Of all of them."""
        return [each.served.manifest for each in self._all.values()]

    @property
    def names(self) -> list[str]:
        """Of all of them."""
        return list(self._all)

    @property
    def engines(self) -> list[Engine]:
        """Of all of them, loaded or not: what they are told holds when they are."""
        return [each.engine for each in self._all.values()]

    @property
    def silent_seconds(self) -> float:
        """How long ago the last sign of life of those in use was; a load has a limit of its own."""
        used = [each for each in self._all.values() if each.users]
        return min((each.engine.silent_seconds if each.is_loaded else 0.0 for each in used), default=math.inf)

    @property
    def is_changing(self) -> bool:
        """Whether one comes or goes just now."""
        return any(each.loading or each.ending for each in self._all.values())

    def reading(self) -> dict[str, dict[str, Any]]:
        """How each stands, for telemetry and doors."""
        return {name: each.reading() for name, each in self._all.items()}

    # --- in use ---

    @asynccontextmanager
    async def use(self, one: Standby, number: int, keep_alive_seconds: float | None = None) -> AsyncIterator[Served]:
        """It stands, and has a row free, until the end of the block. number: of the request.

        keep_alive_seconds: how long it stays from then on, where its asker says so.
        Raises Cancelled where that is cancelled meanwhile, Unavailable where there is no room for it or it did not
        start, EngineFailed where it never will.
        """
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wishes[number], one.users = (one, gone), one.users + 1
        try:
            await self._stands(one, gone)
            async with _place(one.places, gone):
                yield one.served
        finally:
            del self._wishes[number]
            one.users, one.used = one.users - 1, now()
            if keep_alive_seconds is not None:
                one.keep_alive_seconds = math.inf if keep_alive_seconds < 0 else keep_alive_seconds
            self._woken.set()

    def cancel(self, number: int) -> bool:
        """Ask for a request's use of one to end soon; False where it uses none."""
        if number not in self._wishes:
            return False
        one, gone = self._wishes[number]
        if not gone.done():
            gone.set_result(None)
        one.engine.cancel(number)
        return True

    async def _stands(self, one: Standby, gone: asyncio.Future[None]) -> None:
        """Until it is loaded: for all who want it at once; who leaves does not end the loading."""
        while not (one.is_loaded and one.engine.alive):
            if one.loading is None:
                one.loading = asyncio.create_task(self._load(one))
                one.loading.add_done_callback(lambda task: task.cancelled() or task.exception())  # maybe nobody waits
            loading = one.loading
            await asyncio.wait([loading, gone], return_when=asyncio.FIRST_COMPLETED)
            if not loading.done():
                raise Cancelled("its model was still loading")
            loading.result()

    async def _load(self, one: Standby) -> None:
        name = one.served.manifest.name
        try:
            async with self._one_at_a_time:
                one.is_loaded = one.is_unwanted = False
                if one.ending:
                    await asyncio.wait([one.ending])
                await self._make_room(one)
                one.threads = one.engine.threads
                await one.engine.start()
        except StartError as error:
            raise Unavailable(f"the model {name} did not start: {error}", retry_after=NO_ROOM_SECONDS) from error
        except Unavailable:
            raise
        except EdgeError as error:
            raise EngineFailed(f"the model {name} cannot be loaded: {error}") from error
        finally:
            one.loading = None
        one.places, one.is_loaded, one.used = asyncio.Semaphore(one.engine.rows), True, now()
        self._woken.set()
        self._told("model_loaded", f"{name} was asked for")

    async def _make_room(self, one: Standby) -> None:
        """Let others go, those first that were asked for least lately, until it fits. Unavailable where it does not."""
        manifest = one.served.manifest
        needed = manifest.memory_floor_bytes + self._growth_bytes
        while (free := available_bytes(self._root)) is not None and free < needed:
            idle = sorted((each for each in self._all.values() if each.is_idle), key=lambda each: each.used)
            if idle:
                await self._let_go(idle[0], f"{manifest.name} needs its memory")
            elif ending := [each.ending for each in self._all.values() if each.ending]:
                await asyncio.wait(ending)
            else:
                raise Unavailable(
                    f"the model {manifest.name} takes {needed / 1e9:.2f} GB with what it may grow by"
                    f" (engine.growth_bytes), and {free / 1e9:.2f} GB of memory are available",
                    retry_after=NO_ROOM_SECONDS,
                )

    # --- let go ---

    def relieve(self) -> bool:
        """Memory is short: those that answer nobody go now, the others when they have; whether there was one."""
        loaded = [each for each in self._all.values() if each.is_loaded and not each.is_unwanted]
        for each in loaded:
            each.is_unwanted = True
        self._woken.set()
        return bool(loaded)

    def look(self) -> None:
        """What engines are told has changed: one that would have to be started for that goes when it is idle."""
        self._woken.set()

    async def run(self) -> None:
        """For ever: each goes when its time is over."""
        while True:
            self._woken.clear()
            for each in self._all.values():
                if each.is_idle and each.seconds_left <= 0:  # asked now: the one before took its time
                    await self._let_go(each, each.why_at_once or "nobody asked for it any more")
            left = min((each.seconds_left for each in self._all.values() if each.is_idle), default=math.inf)
            try:
                async with asyncio.timeout(None if left == math.inf else max(0.0, left)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """End all of them."""
        loading = [each.loading for each in self._all.values() if each.loading is not None]
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
        await asyncio.gather(*(each.engine.stop() for each in self._all.values()))

    async def _let_go(self, one: Standby, why: str) -> None:
        """Who asks for it meanwhile has it loaded again, once it has ended."""
        one.is_loaded, one.ending = False, asyncio.ensure_future(one.engine.stop())
        one.ending.add_done_callback(lambda _: setattr(one, "ending", None))
        await asyncio.shield(one.ending)
        self._told("model_unloaded", f"{one.served.manifest.name}: {why}")

    def _told(self, event: str, why: str) -> None:
        log.info("%s: %s", event, why)
        self.moved()
        self.happened(event, why)


@asynccontextmanager
async def _place(places: asyncio.Semaphore, gone: asyncio.Future[None]) -> AsyncIterator[None]:
    """A row, for the length of the block; Cancelled where its asker leaves before there is one."""
    got: asyncio.Future[Any] = asyncio.ensure_future(places.acquire())
    try:
        await asyncio.wait([got, gone], return_when=asyncio.FIRST_COMPLETED)
        if not got.done():
            raise Cancelled("it was still waiting for its model")
        yield
    finally:
        if got.done() and not got.cancelled():
            places.release()
        got.cancel()


def _makes(manifest: Manifest, model: str) -> bool:
    """Whether a bundle's vectors are of a model."""
    return manifest.sentences is not None and manifest.sentences.name == model


def _of(standby: Standby, model: str) -> bool:
    return _makes(standby.served.manifest, model)
