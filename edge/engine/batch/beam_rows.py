"""The rows of a beam search: a text in each, which goes on where it lies as far as that can be.

Of a text that goes on in two ways one stays in its row; the other takes that of a text that does not go on, whose cache
is written over from where the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edge.engine import Choice, Finished, Job, Part
from edge.engine.batch.beams import BeamSearch, Going, Scores, Text
from edge.engine.batch.row import Guide, Row, Texts
from edge.engine.graph.io_binding import Logits
from edge.engine.text.sampling import Sampler
from edge.engine.text.scorers import weighed
from edge.engine.text.stop_text import StopText
from edge.errors import EngineFailed, Fault


class Places(Protocol):
    """Where rows lie; edge.engine.batch.slots.Slots is the real one."""

    def enter(self, row: Row) -> None:
        """A slot for a row."""

    def promote(self, row: Row) -> None:
        """Its place among the answers."""


class Memory(Protocol):
    """The caches; edge.engine.cache.caches.Caches is the real one."""

    def copy(self, source: int, target: int, tokens: int, start: int = 0) -> None:
        """Tokens of a slot, from one on, into another slot."""


@dataclass
class Weigher:
    """What weighs the next tokens of one text. sampler, guide: the job's options, its grammar, as far as the text is.

    is_lost: the text only fills a place, and nothing may follow it.
    """

    sampler: Sampler
    guide: Guide | None
    is_lost: bool = False

    def weights(self, logits: Logits) -> Scores:
        """Logarithmic, `[vocabulary]`. Raises EngineFailed where they are not numbers, or the grammar gives up."""
        if self.guide is None:
            allowed = None
        else:
            allowed = np.zeros(len(logits), np.bool_) if self.is_lost else self.guide.allowed()
        try:
            return self.sampler.weights(logits, allowed)
        except ValueError as error:
            raise EngineFailed(str(error)) from error

    def take(self, token: int, is_possible: bool) -> None:
        """The text goes on with a token."""
        self.sampler.take(token)
        self.is_lost = not is_possible
        if self.guide and is_possible:
            self.guide.take(token)

    def copy(self) -> Weigher:
        """Another that goes on from here."""
        return Weigher(self.sampler.copy(), self.guide.copy() if self.guide else None, self.is_lost)


class Beams:
    """One job's rows, of which the first reads the prompt. weigher: of that one; stops: tokens that end a text."""

    def __init__(self, rows: list[Row], weigher: Weigher, texts: Texts, stops: set[int]) -> None:
        self._first, self._rows, self._texts, self._stops = rows[0], rows, texts, stops
        self._weighers = {id(rows[0]): weigher}
        self._weights: dict[int, Scores] = {}
        job = rows[0].job
        self._search = BeamSearch(
            len(rows), rows[0].room, stops, job.length_penalty, job.early_stopping, self._has_stopped
        )
        rows[0].places = len(rows)
        for row in rows:
            row.group, row.is_forgotten = self, row is not rows[0]

    @property
    def _job(self) -> Job:
        return self._first.job

    def _has_stopped(self, tokens: Sequence[int]) -> bool:
        """Whether a text has a string in it that ends it."""
        return bool(self._job.stop) and any(stop in self._texts.text(list(tokens)) for stop in self._job.stop)

    def take(self, row: Row, logits: Logits, places: Places, memory: Memory) -> list[str | Part]:
        """What is said once the logits `[vocabulary]` of every row are there: nothing, or at the end all.

        Sets the row's `finish_reason` then. Raises EngineFailed where they are not numbers, a scorer fails, or the
        grammar gives up.
        """
        self._weights[id(row)] = self._weighers[id(row)].weights(weighed(self._first.scorers, row.tokens, logits))
        is_first = self._first.places > 1
        if not is_first and len(self._weights) < len(self._rows):
            return []
        if is_first:
            self._first.begin_answer()
        given = [self._weights.get(id(each), self._weights[id(row)]) for each in self._rows]
        self._weights.clear()
        going = self._search.step(np.stack(given))
        if self._search.is_over:
            row.finish_reason = "stop"
            return self._said()
        if is_first:
            self._begin(places)
            going = [each._replace(parent=0) for each in going]  # from the prompt, those that fill places, too
        self._go_on(going, memory)
        return [""]

    def _begin(self, places: Places) -> None:
        """Rows for the others: the prompt's has kept their places."""
        self._first.places = 1
        for row in self._rows[1:]:
            row.is_long, row.tokens = self._first.is_long, []
            places.enter(row)
            places.promote(row)

    def _go_on(self, going: list[Going], memory: Memory) -> None:
        """Each text into a row: the first of those that go on from one stays in its row, others are copied."""
        rows: list[Row | None] = [None] * len(going)
        for number, (parent, *_) in enumerate(going):
            if self._rows[parent] not in rows:
                rows[number] = self._rows[parent]
        free = [row for row in self._rows if row not in rows]
        parents = list(self._rows)
        for number, (parent, *_) in enumerate(going):
            if rows[number] is None:
                rows[number] = free.pop()
                self._copy(parents[parent], rows[number], memory)
        self._rows = [row for row in rows if row is not None]
        for row, each in zip(self._rows, going, strict=True):
            row.tokens.append(each.token)
            self._weighers[id(row)].take(each.token, each.is_possible)

    def _copy(self, source: Row, target: Row | None, memory: Memory) -> None:
        """What a row has, into another one."""
        assert target
        alike = _alike(source.tokens, target.tokens, source.prompt_tokens)
        memory.copy(source.slot, target.slot, source.seen, min(alike, source.seen))
        target.tokens, target.seen = list(source.tokens), source.seen
        self._weighers[id(target)] = self._weighers[id(source)].copy()

    def _said(self) -> list[str | Part]:
        """The best answers' texts, fewer than asked for where the grammar has no more."""
        found = [self._text(each) for each in self._search.best(self._job.n)]
        return [found[0]] if self._job.n == 1 else [Part(number, text) for number, text in enumerate(found)]

    def _text(self, text: Text) -> str:
        stream, stop = self._texts.stream(), StopText(self._job.stop)
        said = [stop.push(stream.decode(token)) for token in text.tokens if token not in self._stops]
        return "".join(said) + stop.flush()

    def ended(self, row: Row, what: Finished | Fault) -> tuple[list[Row], Finished | Fault | None]:  # noqa: ARG002 - a group's
        """All leave together; how the job has ended."""
        leaving = [each for each in self._rows if not each.is_out]
        if isinstance(what, Fault) or what.finish_reason == "cancelled":
            return leaving, what
        whole = self._first.finished("stop")
        ends = [Choice(self._reason(each), len(each.tokens)) for each in self._search.best(self._job.n)]
        tokens = sum(each.completion_tokens for each in ends)
        choices = ends if self._job.n > 1 else None
        return leaving, replace(whole, finish_reason=ends[0].finish_reason, completion_tokens=tokens, choices=choices)

    def _reason(self, text: Text) -> str:
        is_done = text.tokens[-1] in self._stops or self._has_stopped(text.tokens)
        return "stop" if is_done else "length"


def _alike(one: Sequence[int], other: Sequence[int], known: int) -> int:
    """How many tokens two texts begin with alike. known: as many of them, where both have so many."""
    count = known if len(other) >= known else 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count
