"""The queue through the engine, as many requests at once as it has rows; an engine that died is started again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import asdict
from typing import Any

from edge.board.energy import Energy
from edge.board.wattmeter import Wattmeter
from edge.config import Limits
from edge.engine import Finished, Part
from edge.errors import DeadlineExceeded, EdgeError, EngineFailed, Fault, TooLarge, Unavailable
from edge.service import journal_file
from edge.service.board_tools import BoardTools
from edge.service.clock import now
from edge.service.elsewhere import Elsewhere
from edge.service.inference import Inference
from edge.service.jobs import job_of
from edge.service.journal import Journal
from edge.service.queue import Queue
from edge.service.replies import Replies
from edge.service.rounds import Rounds
from edge.service.seat import Seat
from edge.service.served import Served
from edge.service.vectors import check_vectors
from edge.service.waiting import Waiting

log = logging.getLogger(__name__)

RESTART_SECONDS = (0, 1, 2, 5, 10, 30)
"""How long to wait before the engine is started again, by how often that has failed in a row."""

UNLOADED_SECONDS = 1.0
"""Between two looks at an engine that is not there on purpose."""

Pieces = AsyncGenerator[str | Part | Finished, None]

ATTEMPTS_MAX = 2
"""A request that has taken the engine down with it so often is not begun again."""


class Answering:
    """What is done with the queue."""

    def __init__(
        self,
        queue: Queue,
        seat: Seat,
        replies: Replies,
        journal: Journal,
        limits: Limits,
        inference: Inference,
        tell: Callable[[str], None],
        happened: Callable[[str, str], None],
        wattmeter: Wattmeter,
        elsewhere: Elsewhere,
        tools: BoardTools,
    ) -> None:
        """tell: a state. happened: an event, and why."""
        self._queue, self._engine, self._replies, self._journal = queue, seat, replies, journal
        self._limits, self._inference, self._tools = limits, inference, tools
        self._tell, self._happened, self._wattmeter, self._elsewhere = tell, happened, wattmeter, elsewhere
        seat.gained = wattmeter.gained
        self.slowed: Callable[[], dict[str, Any] | None] = lambda: None
        """What the governor does to an answer that begins now."""
        self.failed: Callable[[str], None] = lambda _why: None
        """Called before an engine is started that had died, or had not started, with which of the two; it may have
        another one take the seat."""
        self._alone: Callable[[], Awaitable[None]] | None = None
        self._anew = ""
        self._is_to_unload = self._is_wanted = False
        self.is_unloaded = self.is_changing = self._is_starting = False
        """Whether it is not there on purpose; whether it comes or goes just now."""

    async def run(self) -> None:
        """Requests as rows become free; a dead engine is started again first, and the queue waits for it."""
        async with asyncio.TaskGroup() as answers:
            while True:
                self._queue.rows = self._engine.rows
                if not (self._queue.running or self._queue.is_closed) and await self._mended():
                    continue
                if self._engine.alive and self._queue.is_ready and not (self._anew or self._alone):
                    answers.create_task(self._answer(self._queue.begin()))
                else:
                    self._queue.arrived.clear()
                    await self._queue.arrived.wait()

    async def _mended(self) -> bool:
        """While nothing runs: an engine that is wanted and not there started, one that is not wanted ended."""
        self.is_changing = True
        try:
            return await self._changed()
        finally:
            self.is_changing = False

    async def _changed(self) -> bool:
        """Whether it was: until it is."""
        if self._alone:
            await self._do_alone(self._alone)
        elif not self._engine.alive:
            if self.is_unloaded and not (self._queue.is_ready or self._is_wanted):
                return False
            if not self.is_unloaded:
                self.failed("it has ended")
            await self._restart(counts=not self.is_unloaded)
        elif self._is_to_unload and not self._queue.is_ready:
            await self._unload()
        elif why := "it holds too much memory (engine.growth_bytes)" if self._engine.is_overgrown else self._anew:
            await self._recycle(why)
        else:
            return False
        return True

    async def watch(self) -> None:
        """Wake `run` when the engine dies between two requests."""
        while True:
            await self._engine.died()
            self._queue.arrived.set()
            await asyncio.sleep(0.2 if not self.is_unloaded else UNLOADED_SECONDS)

    async def alone(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have work done while nothing runs; nothing more is begun until it is. What it raises comes out here.

        It may end the engine, or have another take the seat, which is started then where it does not run.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def told() -> None:
            try:
                await work()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._alone = told
        self._queue.arrived.set()
        try:
            await done
        except asyncio.CancelledError:
            self._alone = None
            raise

    async def _do_alone(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._alone = None
        if self._engine.alive:
            self.is_unloaded = False
            self._tell("online")
        elif not self.is_unloaded:
            await self._restart(counts=False)

    def begin_anew(self, why: str) -> None:
        """Have the engine ended and started again; nothing more is begun until then. One that is not there is started.

        One that is just starting is new.
        """
        self._is_wanted, self._is_to_unload = True, False
        if not self._is_starting:
            self._anew = why
        self._queue.arrived.set()

    def use_threads(self, threads: int) -> None:
        """Have the engine run on so many, 0 for every core, from when nothing runs."""
        if threads != self._engine.threads:
            self._engine.threads = threads
            self._anew = f"it is to run on {threads or 'all'} threads"
            self._queue.arrived.set()

    def unload(self) -> None:
        """Have the engine ended as soon as nothing runs or waits, until a request comes."""
        self._is_to_unload, self._is_wanted = self._engine.alive or self._is_starting, False
        self._queue.arrived.set()

    def interrupt(self, waiting: Waiting, fault: Fault) -> None:
        """Stop a running request; it will end with this fault."""
        if waiting in self._queue.running and waiting.ended_by is None:
            waiting.ended_by = fault
            self._engine.cancel(waiting.number)
            self._elsewhere.cancel(waiting.number)

    async def _answer(self, waiting: Waiting) -> None:
        """One request through the engine to its terminal message, or back where the engine died of it once."""
        self._journal.write(journal_file.begin(waiting.number))
        try:
            with self._deadline(waiting):
                finished = await self._finished(waiting)
            outcome = waiting.outcome(finished)
        except Fault as fault:
            has_died = self._engine.has_died(waiting.request.chat)
            if has_died and waiting.ended_by is None and waiting.attempts < ATTEMPTS_MAX:
                log.warning("request %s is begun again: %s", waiting.request.address.id, fault.message)
                return self._queue.put_back(waiting)
            outcome = waiting.failure(waiting.ended_by or fault)
        self._replies.end(waiting, outcome)
        return self._queue.end(waiting)

    async def _finished(self, waiting: Waiting) -> Finished:
        """An answer of this board, or of the server that it is passed to; the model may be served no more."""
        if waiting.is_beside:
            chat = waiting.request.chat
            check_vectors(chat, self._engine.manifest_for(chat), self._engine.shelf.names)
            return await self._own(waiting)
        why = self._elsewhere.reason(waiting.request)
        if why is None:
            try:
                return await self._own(waiting)
            except TooLarge as fault:
                if (why := self._elsewhere.rescues(waiting.request, fault)) is None:
                    raise
        try:
            return await self._taken(waiting, self._elsewhere.generate(waiting, why), waiting.take)
        except Unavailable:
            if why != "hot" or waiting.text:
                raise
        log.warning("request %s is answered here after all", waiting.request.address.id)
        waiting.answered_by = None
        return await self._own(waiting)

    @contextlib.contextmanager
    def _deadline(self, waiting: Waiting) -> Iterator[None]:
        """Interrupt the request when its time is up."""
        if waiting.deadline is None:
            yield
            return
        remaining = waiting.deadline - now()
        fault = DeadlineExceeded(f"not finished within {waiting.request.deadline_seconds:g} s")
        if remaining <= 0:
            raise fault
        timer = asyncio.get_running_loop().call_later(remaining, self.interrupt, waiting, fault)
        try:
            yield
        finally:
            timer.cancel()

    @contextlib.contextmanager
    def _measured(self, waiting: Waiting) -> Iterator[None]:
        """Take note of what the answer takes."""
        waiting.slowed = self.slowed()
        self._wattmeter.began(waiting.number)
        try:
            yield
        finally:
            found = self._wattmeter.ended(waiting.number)
            waiting.energy = told(found) if found else None

    async def _own(self, waiting: Waiting) -> Finished:
        """By the bundle that it names, once that is loaded."""
        async with self._engine.use(waiting.request.chat, waiting.number) as served:
            return await self._by(served, waiting)

    async def _by(self, served: Served, waiting: Waiting) -> Finished:
        """In as many rounds as it takes; in one where no tool of the board's is called."""
        rounds = Rounds(waiting, self._tools, self._journal, self._limits.tool_rounds)
        await rounds.resume()
        with self._measured(waiting):
            while waiting.ended_by is None and await rounds.goes_on(await self._round(served, waiting, rounds)):
                pass
        if held := rounds.released():
            self._say(waiting, held)
        return rounds.finished()

    async def _round(self, served: Served, waiting: Waiting, rounds: Rounds) -> Finished:
        chat = rounds.chat()
        job = job_of(waiting, self._limits, served.manifest.sampling, chat, rounds.guidance(chat))
        return await self._taken(waiting, served.engine.generate(job), rounds.take)

    async def _taken(self, waiting: Waiting, pieces: Pieces, take: Callable[[str], bool]) -> Finished:
        """How pieces ended; each is told as it comes. take: keeps one, and says whether it may go out now."""
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Finished):
                    return piece
                if isinstance(piece, Part):
                    self._say_part(waiting, piece)
                elif piece and take(piece):
                    self._say(waiting, piece)
        raise EngineFailed("the engine ended an answer without saying how")

    def _say(self, waiting: Waiting, piece: str, choice: int | None = None) -> None:
        waiting.first_token = waiting.first_token or now()
        self._replies.piece(waiting, piece, choice)

    def _say_part(self, waiting: Waiting, part: Part) -> None:
        if part.text:
            waiting.take_part(part)
            self._say(waiting, part.text, part.choice)

    async def _recycle(self, why: str) -> None:
        """The engine ends, and begins anew: whatever it leaks goes back to the board."""
        log.warning("the engine is started anew: %s", why)
        self._anew = ""
        self._inference.recycled += 1
        self._happened("engine_recycled", why)
        await self._engine.stop()
        await self._restart(counts=False)

    async def _unload(self) -> None:
        self.is_unloaded, self._is_wanted = True, False
        await self._engine.stop()
        self._is_to_unload = False  # said again while it ended, it would end the next one
        self._tell("unloaded")

    async def _restart(self, counts: bool = True) -> None:
        """Until it stands, waiting longer each time; the queue keeps what arrives meanwhile. counts: as a failure."""
        self._tell("loading")
        self._is_starting = True
        for wait in itertools.chain(RESTART_SECONDS, itertools.repeat(RESTART_SECONDS[-1])):
            await asyncio.sleep(wait)
            self._inference.restarts += counts
            self._anew = ""  # what is set from here on, its start may not heed
            try:
                await self._engine.start()
            except EdgeError as error:
                log.error("the engine did not start: %s", error)
                self.failed(f"it did not start: {error}")
            else:
                break
        self.is_unloaded = self._is_starting = self._is_wanted = False
        if counts:
            self._happened("engine_restarted", "it had ended")
        self._tell("online")


def told(energy: Energy) -> dict[str, Any]:
    """As it goes on the wire."""
    body = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(energy).items()}
    del body["tokens"]  # which are in the usage
    return body
