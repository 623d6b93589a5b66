"""Requests from their arrival to their terminal message: one running, the others in the order they came."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from edge import messages
from edge.engine import Finished
from edge.errors import Conflict, Fault, Unavailable
from edge.messages import Outcome, Request, Timings, Usage


def stopping() -> Unavailable:
    """Why nothing is answered any more."""
    return Unavailable("the daemon is stopping", retry_after=30)


@dataclass
class Waiting:
    """A request from its arrival to its terminal message.

    number: the journal's. arrived: on the monotonic clock. digest: of its message. attempts: how often it was begun.
    is_written: whether it is on disk, before which it is not begun.
    """

    number: int
    request: Request
    arrived: float
    digest: bytes = b""
    attempts: int = 0
    is_written: bool = False
    text: list[str] = field(default_factory=list)
    index: int = 0
    started: float | None = None
    first_token: float | None = None
    ended_by: Fault | None = None

    @property
    def deadline(self) -> float | None:
        """On the monotonic clock."""
        seconds = self.request.deadline_seconds
        return None if seconds is None else self.arrived + seconds

    def restart(self) -> None:
        """Forget what there was of an answer."""
        self.text, self.index, self.started, self.first_token = [], 0, None, None

    def outcome(self, finished: Finished) -> Outcome:
        """How an answer that the engine ended is told: complete, or cut short by a cancel or a deadline."""
        ended_by = self.ended_by if finished.finish_reason == "cancelled" else None
        outcome = Outcome(200, finished.finish_reason) if ended_by is None else messages.refusal(ended_by)
        return replace(
            outcome,
            text="".join(self.text),
            usage=Usage(finished.prompt_tokens, finished.completion_tokens),
            timings=self._timings(finished),
            index=self.index,
            warnings=self.request.warnings,
        )

    def failure(self, fault: Fault) -> Outcome:
        """How an answer that a fault broke off is told, with what there is of it."""
        return replace(messages.refusal(fault), text="".join(self.text), index=self.index)

    def _timings(self, finished: Finished) -> Timings:
        started = self.started or self.arrived
        first = None if self.first_token is None else self.first_token - self.arrived
        return Timings(started - self.arrived, finished.prefill_seconds, finished.decode_seconds, first)


class Queue:
    """A bounded queue and the one request that runs."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._waiting: list[Waiting] = []
        self._is_closed = False
        self.running: Waiting | None = None
        self.arrived = asyncio.Event()
        """Set when there may be something to do."""

    def __len__(self) -> int:
        return len(self._waiting)

    def check(self, request: Request) -> None:
        """Unavailable where the queue is full or closed, Conflict where the request's name is taken."""
        if self._is_closed:
            raise stopping()
        if len(self) >= self._length:
            raise Unavailable(f"the queue is full ({len(self)} requests wait)", retry_after=10)
        if self.namesake(request):
            raise Conflict(f"a request with the id {request.address.id!r} is already waiting or running", "id")

    def namesake(self, request: Request) -> Waiting | None:
        """The open request that has a name of this one."""
        names = request.address.names
        return next((each for each in self._open() if each.request.address.names & names), None)

    def put(self, waiting: Waiting) -> int:
        """Take a request in; how many come before it."""
        self._waiting.append(waiting)
        return len(self._open()) - 1

    def written(self, waiting: Waiting) -> None:
        """It is on disk and may begin."""
        waiting.is_written = True
        self.arrived.set()

    @property
    def is_ready(self) -> bool:
        """Whether the first may begin; they are written in their order."""
        return bool(self._waiting) and self._waiting[0].is_written

    def put_back(self) -> None:
        """The running one must be begun again, before all others."""
        if self.running:
            self.running.restart()
            self._waiting.insert(0, self.running)
            self.running = None

    def _open(self) -> list[Waiting]:
        """Every request without its terminal message, the running one first."""
        return [*([self.running] if self.running else []), *self._waiting]

    def find(self, client: str | None, name: bytes) -> Waiting | None:
        """The open request of that client (None: anyone's) and name."""
        return next((each for each in self._open() if (client, name) in each.request.address.names), None)

    def begin(self) -> Waiting:
        """Make the first in the queue the running one."""
        self.running = self._waiting.pop(0)
        self.running.started = time.monotonic()
        self.running.attempts += 1
        return self.running

    def remove(self, waiting: Waiting) -> bool:
        """Take one out; False where it has begun."""
        if waiting not in self._waiting:
            return False
        self._waiting.remove(waiting)
        return True

    def close(self) -> list[Waiting]:
        """Admit nothing more; hand back those that have not begun."""
        left, self._waiting, self._is_closed = self._waiting, [], True
        return left

    async def until_idle(self, deadline: float) -> bool:
        """Whether the running one ended before this point of the monotonic clock."""
        while self.running is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self.running is None
