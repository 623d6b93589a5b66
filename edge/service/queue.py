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
    """A request from its arrival to its terminal message."""

    number: int
    request: Request
    arrived: float
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
        self._count = 0
        self._is_closed = False
        self.running: Waiting | None = None
        self.arrived = asyncio.Event()
        """Set when there may be something to do."""

    def __len__(self) -> int:
        return len(self._waiting)

    def admit(self, request: Request) -> int:
        """Take a request in and return how many come before it.

        Raises Unavailable where the queue is full or closed, Conflict where the request's name is taken.
        """
        if self._is_closed:
            raise stopping()
        if len(self) >= self._length:
            raise Unavailable(f"the queue is full ({len(self)} requests wait)", retry_after=10)
        if any(each.request.address.names & request.address.names for each in self._open()):
            raise Conflict(f"a request with the id {request.address.id!r} is already waiting or running", "id")
        place = len(self._open())
        self._count += 1
        self._waiting.append(Waiting(self._count, request, time.monotonic()))
        self.arrived.set()
        return place

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
        return self.running

    def remove(self, waiting: Waiting) -> None:
        """Take one out that has not begun."""
        self._waiting.remove(waiting)

    def close(self) -> list[Waiting]:
        """Admit nothing more; hand back those that have not begun."""
        left, self._waiting, self._is_closed = self._waiting, [], True
        return left

    async def until_idle(self, deadline: float) -> bool:
        """Whether the running one ended before this point of the monotonic clock."""
        while self.running is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self.running is None
