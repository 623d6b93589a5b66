"""What is done for a job before the graph reads a token of it, on a thread of its own.

Its text becomes tokens, its schema a grammar, its pictures are looked at from outside. That may take long where
somebody means it to, and nobody who is being answered waits for it: the tokenizer works in slices between which other
threads get their turn, and llguidance lets go of the interpreter's lock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from edge.engine import Event, Job
from edge.engine.batch.making import Made
from edge.errors import as_fault

PATIENCE_SECONDS = 0.03
"""So long those who are answered wait for a job that is new, once; most are ready by then."""


class Intake:
    """Jobs on their way in, first come, first served. row: makes a row of a job and, if given, its prompt's tokens."""

    def __init__(self, row: Callable[[Job, list[int] | None], Made]) -> None:
        self._row = row
        self._thread = ThreadPoolExecutor(1, "intake")
        self._jobs: deque[tuple[int, float, Future[Made]]] = deque()
        """With the time until which it is waited for."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: int) -> bool:
        return any(each == job_id for each, _, _ in list(self._jobs))  # of a copy: another thread submits

    def submit(self, job: Job, tokens: list[int] | None) -> None:
        """Take a job; from any one thread."""
        until = time.monotonic() + PATIENCE_SECONDS
        self._jobs.append((job.id, until, self._thread.submit(self._made, job, tokens)))

    def made(self, waits: bool) -> Iterator[Made]:
        """The rows that are made, and what is said of jobs of which none is. waits: for one, however long."""
        while self._jobs:
            _, until, made = self._jobs[0]
            if not wait((made,), None if waits else max(0, until - time.monotonic())).done:
                return
            self._jobs.popleft()
            yield made.result()
            waits = False

    def _made(self, job: Job, tokens: list[int] | None) -> Made:
        try:
            return self._row(job, tokens)
        except Exception as error:  # one job's matter alone, whatever it is
            return [Event(job.id, as_fault(error))]
