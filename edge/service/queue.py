"""Requests from their arrival to their terminal message: some running, the others until it is their turn."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from edge.config import Limits
from edge.errors import Conflict, TooMany, Unavailable
from edge.service.clock import now
from edge.service.fair_order import Turns
from edge.service.speed import Speed
from edge.service.waiting import Waiting
from edge.wire.request import Request

Name = tuple[str | None, bytes]
"""A client, and what it calls a request."""
URGENCY = {"high": 0, "normal": 1, "low": 2}
BESIDE_MAX = 4
"""Requests for vectors that run at once; they take turns there (edge/engine/embedding.py), and none of the rows."""


def stopping() -> Unavailable:
    """Why nothing is answered any more."""
    return Unavailable("the daemon is stopping", retry_after=30)


class Queue:
    """A bounded queue and the requests that run. Those for vectors have a line of their own, as long as the other.

    rows: how many may run at once, beside those. One that was running when an engine died of something runs alone the
    next time, so that it takes no other with it.
    """

    def __init__(self, limits: Limits, speed: Speed) -> None:
        self._limits, self._speed = limits, speed
        self._lines: dict[bool, Turns[Waiting]] = {beside: Turns(len(URGENCY)) for beside in (False, True)}
        self._by_name: dict[Name, Waiting] = {}
        self.is_closed = False
        """Whether the daemon is stopping: nothing is let in, and nothing more is begun."""
        self.rows = 1
        self.running: list[Waiting] = []
        self.arrived = asyncio.Event()
        """Set when there may be something to do."""

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def check(self, request: Request) -> None:
        """Raise the Fault that says why a request may not wait here.

        Unavailable: the queue is full or closed, or its deadline would pass before it is answered. TooMany: its
        client has enough waiting. Conflict: its name is taken.
        """
        if self.is_closed:
            raise stopping()
        if self.namesake(request):
            raise Conflict(f"a request with the id {request.address.id!r} is already waiting or running", "id")
        line = self._lines[request.chat.input is not None]
        own = line.of(request.address.share)
        if own >= self._limits.queue_per_client:
            raise TooMany(f"{own} requests of this client wait already", retry_after=self._retry_after())
        if len(line) >= self._limits.queue_length:
            raise Unavailable(f"the queue is full ({len(line)} requests wait)", retry_after=self._retry_after())
        self._check_deadline(request)

    def _check_deadline(self, request: Request) -> None:
        if request.deadline_seconds is None:
            return
        before, own = self.seconds_before(None, request.chat.input is not None), self._seconds(request)
        if before + own > request.deadline_seconds:
            raise Unavailable(
                f"it would be answered in about {before + own:.0f} s, but {request.deadline_seconds:g} s are left",
                retry_after=max(1, round(before)),
            )

    def _retry_after(self) -> int:
        """Seconds until the next has its turn, as far as that is known."""
        return max(1, round(self._left_of_running())) if self._speed.seconds_per_token else 10

    def _seconds(self, request: Request) -> float:
        return self._speed.seconds(request, self._limits.max_tokens)

    def _left(self, running: Waiting) -> float:
        started = now() if running.started is None else running.started
        return max(0.0, self._seconds(running.request) - (now() - started))

    def _left_of_running(self) -> float:
        """Until the first row is free; 0 where another could begin at once."""
        running = self._run(False)
        return 0.0 if self._taken(False) < self.rows else min(map(self._left, running))

    def _run(self, beside: bool) -> list[Waiting]:
        """Those of one line that run."""
        return [each for each in self.running if each.is_beside == beside]

    def _places(self, beside: bool) -> int:
        return BESIDE_MAX if beside else self.rows

    def _taken(self, beside: bool) -> int:
        """The places of a line that are not free; one of which several grow takes as many as it can."""
        return sum(min(each.rows, self._places(beside)) for each in self._run(beside))

    def _before(self, waiting: Waiting | None, beside: bool) -> list[Waiting]:
        """Those of a line that have their turn before one, or all (None)."""
        return list(itertools.takewhile(lambda each: each is not waiting, self._lines[beside]))

    def seconds_before(self, waiting: Waiting | None, beside: bool = False) -> float:
        """How long until one has its turn, or until one more would have it (None), as far as that can be told.

        beside: of which line one more would be.
        """
        beside = beside if waiting is None else waiting.is_beside
        before, running, places = self._before(waiting, beside), self._run(beside), self._places(beside)
        if self._taken(beside) + sum(each.rows for each in before) < places:
            return 0.0
        left = sum(map(self._left, running)) + sum(self._seconds(each.request) for each in before)
        return left / places

    def place(self, waiting: Waiting) -> int:
        """How many must be done before its turn comes."""
        beside = waiting.is_beside
        before, places = self._before(waiting, beside), self._places(beside)
        has_none = self._taken(beside) + sum(each.rows for each in before) >= places
        return max(int(has_none), len(before) + len(self._run(beside)) - places + 1)

    def namesake(self, request: Request) -> Waiting | None:
        """The open request that has a name of this one."""
        return next((self._by_name[name] for name in request.address.names if name in self._by_name), None)

    def open_of(self, share: str) -> list[Waiting]:
        """All of one client that run or wait."""
        return [each for each in (*self.running, *self._all()) if each.request.address.share == share]

    def put(self, waiting: Waiting) -> None:
        """Take a request in."""
        self._by_name |= dict.fromkeys(waiting.request.address.names, waiting)
        self._lines[waiting.is_beside].put(
            waiting, waiting.request.address.share, URGENCY[waiting.request.chat.priority]
        )

    def written(self, waiting: Waiting) -> None:
        """It is on disk and may begin."""
        waiting.is_written = True
        self.arrived.set()

    @property
    def is_ready(self) -> bool:
        """Whether one whose turn it is may begin beside those that run."""
        return self._next() is not None

    def _all(self) -> Iterator[Waiting]:
        """Those that wait, of both lines."""
        return itertools.chain(*self._lines.values())

    def _next(self) -> Turns[Waiting] | None:
        """The line whose first may begin; one that runs alone is not passed by for ever by the other line."""
        firsts = {beside: first for beside, line in self._lines.items() if (first := line.first()) is not None}
        alone = {beside: first for beside, first in firsts.items() if first.attempts}
        may = (beside for beside, first in (alone or firsts).items() if self._may_begin(first))
        return next((self._lines[beside] for beside in may), None)

    def _may_begin(self, first: Waiting) -> bool:
        places = self._places(first.is_beside)
        if not first.is_written or self._taken(first.is_beside) + min(first.rows_to_begin, places) > places:
            return False
        return not self.running or not (first.attempts or any(each.attempts > 1 for each in self.running))

    def put_back(self, waiting: Waiting) -> None:
        """A running one must be begun again, before all that wait."""
        waiting.restart()
        self.running.remove(waiting)
        self._lines[waiting.is_beside].put_first(waiting, waiting.request.address.share)
        self.arrived.set()

    def find(self, client: str | None, name: bytes) -> Waiting | None:
        """The open request of that client (None: anyone's) and name."""
        return self._by_name.get((client, name))

    def waiting(self, number: int) -> Waiting | None:
        """The one of that number, where it has not begun."""
        return next((each for each in self._all() if each.number == number), None)

    def is_open(self, number: int) -> bool:
        """Whether the one of that number waits or runs."""
        return any(each.number == number for each in (*self.running, *self._all()))

    def begin(self) -> Waiting:
        """Make the one whose turn it is a running one."""
        waiting = (self._next() or self._lines[False]).take()
        waiting.started = now()
        waiting.attempts += 1
        self.running.append(waiting)
        return waiting

    def end(self, waiting: Waiting) -> None:
        """A running one is done with."""
        self.running.remove(waiting)
        self._forget(waiting)
        self.arrived.set()

    def remove(self, waiting: Waiting) -> bool:
        """Take one out; False where it has begun."""
        if not self._lines[waiting.is_beside].remove(waiting):
            return False
        self._forget(waiting)
        return True

    def close(self) -> list[Waiting]:
        """Admit nothing more; hand back those that have not begun."""
        self.is_closed = True
        left = [waiting for line in self._lines.values() for waiting in line.clear()]
        for waiting in left:
            self._forget(waiting)
        return left

    def _forget(self, waiting: Waiting) -> None:
        for name in waiting.request.address.names:
            self._by_name.pop(name, None)

    async def until_idle(self, deadline: float) -> bool:
        """Whether the running ones ended before this point of the monotonic clock."""
        while self.running and now() < deadline:
            await asyncio.sleep(0.02)
        return not self.running
