"""Several answers to one job: the prompt is read once, then each grows in a row of its own, by its own dice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.engine import Choice, Event, Finished, Job, Part
from edge.engine.batch.row import Row
from edge.engine.batch.slots import Slots
from edge.engine.cache.caches import Caches
from edge.engine.graph.io_binding import Logits
from edge.errors import Fault
from edge.wire.chat import SEEDS


def job_of(job: Job, choice: int) -> Job:
    """A job's answer of a number, from 0, as a job of its own: its seed is so much higher, as vLLM has it."""
    return job if job.seed is None else replace(job, seed=(job.seed + choice) % SEEDS)


class Choices:
    """The rows of one job. The first reads the prompt, and the others begin with what that has read.

    They begin in their turn, as rows become free; where none that has the prompt is left by then, it is read once more.
    """

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._ended: dict[int, Finished] = {}
        self._logits: Logits | None = None
        for number, row in enumerate(rows):
            row.group, row.choice = self, number

    def split(self, logits: Logits) -> list[Row]:
        """Those that wait for the prompt, once it is read. logits: `[vocabulary]`, behind it."""
        if self._logits is not None:
            return []
        self._logits = logits.copy()
        first, *others = self._rows
        for row in others:
            row.is_forgotten = first.is_forgotten
        return others

    def brother(self, row: Row, there: Iterable[Row], is_long: bool) -> Row | None:
        """One of the rows that are there whose cache has this one's prompt, with the rotary factors of such a text."""
        return next(
            (
                each
                for each in there
                if each.group is self and each.seen >= row.prompt_tokens and each.is_long == is_long
            ),
            None,
        )

    def branch(self, row: Row, brother: Row, slots: Slots, memory: Caches) -> Logits:
        """Into a slot, with a prompt that another row of its job has there; the logits behind it, to be written to."""
        assert self._logits is not None
        slots.enter(row)
        memory.copy(brother.slot, row.slot, row.prompt_tokens)
        row.seen, row.read = row.prompt_tokens, min(brother.read, row.prompt_tokens)
        row.is_long = brother.is_long
        slots.promote(row)
        return self._logits.copy()

    def ended(self, row: Row, what: Finished | Fault) -> tuple[list[Row], Finished | Fault | None]:
        """Who leaves with a row, and how the job has ended where that was the last of it: a fault is everybody's."""
        if isinstance(what, Fault):
            return [each for each in self._rows if not each.is_out], what
        self._ended[row.choice] = what
        if self._logits is None:  # it ended before there was anything for the others to begin with
            none = replace(what, completion_tokens=0, logprobs=None)
            self._ended |= {each.choice: none for each in self._rows[1:]}
        return [row], self._whole() if len(self._ended) == len(self._rows) else None

    def _whole(self) -> Finished:
        """All of them as one."""
        ends = [self._ended[number] for number in range(len(self._rows))]
        return replace(
            ends[0],
            completion_tokens=sum(each.completion_tokens for each in ends),
            decode_seconds=self._rows[0].seconds_since_first,
            logprobs=None,
            choices=[Choice(each.finish_reason, each.completion_tokens, each.logprobs) for each in ends],
        )


def alike(events: list[Event], count: int) -> list[Event]:
    """What is said of a job for several answers where all are the one of these events: a text, and its end."""
    said, end = events
    assert isinstance(said.what, str) and isinstance(end.what, Finished)  # noqa: PT018
    one = Choice(end.what.finish_reason, end.what.completion_tokens, end.what.logprobs)
    whole = replace(end.what, logprobs=None, choices=[one] * count)
    return [*(Event(said.job_id, Part(number, said.what)) for number in range(count)), Event(end.job_id, whole)]
