"""What is done for a job before the graph reads a token of it, on a thread of its own.

Its text becomes tokens, its schema a grammar, its pictures are looked at from outside. That may take long where
somebody means it to, and nobody who is being answered waits for it: the tokenizer works in slices between which other
threads get their turn, and llguidance lets go of the interpreter's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from edge.engine import Event, Job
from edge.engine.batch.row import Row
from edge.errors import as_fault


class Intake:
    """Jobs on their way in, first come, first served. row: makes a row of a job and, if given, its prompt's tokens."""

    def __init__(self, row: Callable[[Job, list[int] | None], Row]) -> None:
        self._row = row
        self._thread = ThreadPoolExecutor(1, "intake")
        self._jobs: deque[tuple[int, Future[Row | Event]]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: int) -> bool:
        return any(each == job_id for each, _ in list(self._jobs))  # of a copy: another thread submits

    def submit(self, job: Job, tokens: list[int] | None) -> None:
        """Take a job; from any one thread."""
        self._jobs.append((job.id, self._thread.submit(self._made, job, tokens)))

    def made(self, waits: bool) -> Iterator[Row | Event]:
        """The rows that are made, and the faults of jobs of which none could be. waits: for one at the least."""
        while self._jobs and (waits or self._jobs[0][1].done()):
            yield self._jobs.popleft()[1].result()
            waits = False

    def _made(self, job: Job, tokens: list[int] | None) -> Row | Event:
        try:
            return self._row(job, tokens)
        except Exception as error:  # one job's matter alone, whatever it is
            return Event(job.id, as_fault(error))
