"""Texts to vectors, beside the engine: on a thread of its own, so that neither waits for the other.

Jobs take turns, a batch of some texts each, so that one text is not behind a thousand of somebody else's. The thread is
nicer than the engine's: where both want a core, an answer that grows gets it.
"""

from __future__ import annotations

import base64
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from edge.engine import Event, Finished, Job
from edge.engine.pace import Pace
from edge.engine.text.late_sentences import LateSentences
from edge.errors import BundleError, EngineFailed, Fault, Unsupported, as_fault

if TYPE_CHECKING:
    from edge.engine.text.sentences import Embedded, Sentences

NICENESS = 15
"""Of 19: it gets a tenth of a core that an answer wants, too, and all of one that nobody else wants."""
TOLD_MAX = 16
"""Texts that a warning names."""


@dataclass
class Work:
    """A job on its way. begun: on the monotonic clock."""

    job: Job
    begun: float = field(default_factory=time.monotonic)
    is_cancelled: bool = False
    sentences: Sentences | None = None
    made: Embedded | None = None
    steps: Iterator[None] = field(default_factory=lambda: iter(()))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.is_cancelled or (self.made is not None and self.made.done == len(self.made.vectors))

    def finished(self) -> Finished:
        """How it ended: with all vectors, or cancelled, with none."""
        seconds, tokens = time.monotonic() - self.begun, self.made.tokens if self.made else 0
        if self.is_cancelled or self.made is None or self.sentences is None:
            return Finished("cancelled", tokens, 0, seconds, 0.0)
        cut = told_cut(sorted(self.made.cut), self.sentences.tokens_max)
        vectors = [base64.b64encode(each).decode() for each in self.made.vectors.astype("<f4")]
        said = {"model": self.sentences.name, "dimensions": self.sentences.dimensions, "vectors": vectors}
        return Finished("stop", tokens, 0, seconds, 0.0, warnings=cut, embeddings=said)


class Embedding:
    """The thread that makes vectors; begun with the first job. tell: called on it with what becomes of one."""

    def __init__(self, sentences: LateSentences, tell: Callable[[Event], None]) -> None:
        self._sentences, self._tell = sentences, tell
        self._open: dict[int, Work] = {}
        self._turns: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.pace = Pace()
        self._is_closed = False

    def submit(self, job: Job) -> None:
        """Take a job that has texts; from any one thread."""
        work = self._open[job.id] = Work(job)
        self._turns.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="embedding", daemon=True)
            self._thread.start()

    def cancel(self, job_id: int) -> bool:
        """Have a job end before its next batch; whether there is such a job. From any thread."""
        if (work := self._open.get(job_id)) is None:
            return False
        work.is_cancelled = True
        self.pace.wake()
        return True

    def close(self) -> None:
        """Begin nothing more, and wait for the batch that is being read."""
        self._is_closed = True
        self._turns.put(None)
        self.pace.wake()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        give_way()
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, and nobody is left to tell
            self._work()

    def _work(self) -> None:
        while (work := self._turns.get()) is not None and not self._is_closed:
            began = time.monotonic()
            if (what := self._step(work)) is None:
                self._turns.put(work)
            else:
                del self._open[work.job.id]
            self._tell(Event(work.job.id, "" if what is None else what))
            del work, what
            self.pace.rest(time.monotonic() - began)

    def _step(self, work: Work) -> Finished | Fault | None:
        """A batch of a job; how the job ended, or None while it goes on."""
        try:
            if work.made is None and not work.is_cancelled:
                self._begin(work)
            if not work.is_cancelled:
                next(work.steps, None)
            return work.finished() if work.is_over else None
        except Exception as error:  # one job's matter alone, whatever it is
            return as_fault(error).bare()

    def _begin(self, work: Work) -> None:
        sentences, texts = self._loaded(), work.job.texts or []
        work.sentences, work.made = sentences, sentences.nothing(texts)
        work.steps = sentences.steps(texts, work.made)

    def _loaded(self) -> Sentences:
        from edge.engine.text.exact import is_installed

        try:
            sentences = self._sentences.loaded()
        except BundleError as error:
            raise (EngineFailed if is_installed() else Unsupported)(str(error), "input") from error
        if sentences is None:
            raise Unsupported("the bundle brings no embedding model", "input")
        return sentences


def told_cut(places: list[int], tokens_max: int) -> list[str]:
    """A warning that texts are longer than what is read of one; nothing where none is."""
    if not places:
        return []
    more = f" and {len(places) - TOLD_MAX} more" if len(places) > TOLD_MAX else ""
    named = ", ".join(f"input.{place}" for place in places[:TOLD_MAX])
    return [f"only the first {tokens_max} tokens were read of {named}{more}"]


def give_way() -> None:
    """Let the calling thread alone have what others leave: to Linux each has a niceness of its own (setpriority(2))."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
