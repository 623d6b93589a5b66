"""Jobs that are to end, whoever says so and whatever runs meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edge.engine.graph.session import Stopped


class Halts:
    """Those of one engine. handle: makes one for a run, whose `terminate` ends it from any thread."""

    def __init__(self, handle: Callable[[], Any]) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._cancelled: set[int] = set()
        self._in_run: tuple[int, Any] | None = None

    def cancel(self, job_id: int) -> None:
        """Have a job end, in the middle of its run; from any thread."""
        with self._lock:
            self._cancelled.add(job_id)
            if self._in_run is not None and self._in_run[0] == job_id:
                self._in_run[1].terminate = True

    def taken(self) -> set[int]:
        """Those that are to end; they are not told again."""
        with self._lock:
            cancelled, self._cancelled = self._cancelled, set()
        return cancelled

    def put_back(self, cancelled: set[int]) -> None:
        """Some that are to be told again."""
        with self._lock:
            self._cancelled |= cancelled

    @contextmanager
    def halting(self, job_id: int) -> Iterator[Any]:
        """A handle for a run that a cancel of this job stops; raises Stopped where it is cancelled already."""
        with self._lock:
            if job_id in self._cancelled:
                raise Stopped
            halt = self._handle()
            self._in_run = (job_id, halt)
        try:
            yield halt
        finally:
            with self._lock:
                self._in_run = None
