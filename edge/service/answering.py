"""The queue through the engine, as many requests at once as it has rows; an engine that died is started again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator

from edge.bundle import Sampling
from edge.config import Limits
from edge.engine import Finished, Job
from edge.errors import DeadlineExceeded, EdgeError, EngineFailed, Fault
from edge.service import journal_file
from edge.service.clock import now
from edge.service.inference import Inference
from edge.service.journal import Journal
from edge.service.protocols import Engine
from edge.service.queue import Queue
from edge.service.replies import Replies
from edge.service.waiting import Waiting

log = logging.getLogger(__name__)

RESTART_SECONDS = (0, 1, 2, 5, 10, 30)
"""How long to wait before the engine is started again, by how often that has failed in a row."""

ATTEMPTS_MAX = 2
"""A request that has taken the engine down with it so often is not begun again."""


class Answering:
    """What is done with the queue."""

    def __init__(
        self,
        queue: Queue,
        engine: Engine,
        replies: Replies,
        journal: Journal,
        limits: Limits,
        sampling: Sampling,
        inference: Inference,
        tell: Callable[[str], None],
    ) -> None:
        self._queue, self._engine, self._replies, self._journal = queue, engine, replies, journal
        self._limits, self._sampling, self._inference, self._tell = limits, sampling, inference, tell

    async def run(self) -> None:
        """Requests as rows become free; a dead engine is started again first, and the queue waits for it."""
        async with asyncio.TaskGroup() as answers:
            while True:
                self._queue.rows = self._engine.rows
                if not (self._engine.alive or self._queue.running or self._queue.is_closed):
                    await self._restart()
                elif not self._queue.running and self._engine.is_overgrown:
                    await self._recycle()
                elif self._engine.alive and self._queue.is_ready:
                    answers.create_task(self._answer(self._queue.begin()))
                else:
                    self._queue.arrived.clear()
                    await self._queue.arrived.wait()

    async def watch(self) -> None:
        """Wake `run` when the engine dies between two requests."""
        while True:
            await self._engine.died()
            self._queue.arrived.set()
            await asyncio.sleep(0.2)

    def interrupt(self, waiting: Waiting, fault: Fault) -> None:
        """Stop a running request; it will end with this fault."""
        if waiting in self._queue.running and waiting.ended_by is None:
            waiting.ended_by = fault
            self._engine.cancel(waiting.number)

    async def _answer(self, waiting: Waiting) -> None:
        """One request through the engine to its terminal message, or back where the engine died of it once."""
        self._journal.write(journal_file.begin(waiting.number))
        try:
            with self._deadline(waiting):
                finished = await self._generate(waiting)
            outcome = waiting.outcome(finished)
        except Fault as fault:
            if not self._engine.alive and waiting.ended_by is None and waiting.attempts < ATTEMPTS_MAX:
                log.warning("request %s is begun again: %s", waiting.request.address.id, fault.message)
                return self._queue.put_back(waiting)
            outcome = waiting.failure(fault)
        self._replies.end(waiting, outcome)
        return self._queue.end(waiting)

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

    async def _generate(self, waiting: Waiting) -> Finished:
        job = job_of(waiting, self._limits, self._sampling)
        async with contextlib.aclosing(self._engine.generate(job)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finished):
                    return piece
                if piece:
                    waiting.first_token = waiting.first_token or now()
                    waiting.text.append(piece)
                    self._replies.piece(waiting, piece)
        raise EngineFailed("the engine ended an answer without saying how")

    async def _recycle(self) -> None:
        """An engine that has grown too far ends, and begins anew: whatever it leaks goes back to the board."""
        log.warning("the engine holds too much memory (engine.growth_bytes) and is started anew")
        self._inference.recycled += 1
        await self._engine.stop()
        await self._restart(counts=False)

    async def _restart(self, counts: bool = True) -> None:
        """Until it stands, waiting longer each time; the queue keeps what arrives meanwhile. counts: as a failure."""
        self._tell("loading")
        for wait in itertools.chain(RESTART_SECONDS, itertools.repeat(RESTART_SECONDS[-1])):
            await asyncio.sleep(wait)
            self._inference.restarts += counts
            try:
                await self._engine.start()
            except EdgeError as error:
                log.error("the engine did not start: %s", error)
            else:
                return self._tell("online")
        return None


def job_of(waiting: Waiting, limits: Limits, sampling: Sampling) -> Job:
    """What the engine is asked; the board's `max_tokens` and the bundle's sampling where the asker said nothing."""
    chat = waiting.request.chat
    chosen = {name: given if (given := getattr(chat, name)) is not None else own for name, own in sampling}
    schema, may_be_text = chat.guidance() or (None, False)
    return Job(
        id=waiting.number,
        messages=chat.conversation(),
        max_tokens=chat.max_tokens or limits.max_tokens,
        **chosen,
        loop_guard=chat.loop_guard,
        seed=chat.dice,
        stop=chat.stop,
        guidance=schema,
        may_be_text=may_be_text,
        top_logprobs=chat.top_logprobs if chat.logprobs else None,
        cache_salt="" if limits.share_beginnings else f"client {waiting.request.address.share}",
        pictures=chat.pictures(),
    )
