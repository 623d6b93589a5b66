"""Continuous batching on the CPU: answers grow together, a token each a step, and join and leave at any of them.

A step reads one slice of one prompt, then makes one token of every answer that has begun (several of an answer
that is alone and can be guessed). Which row lies where is `slots.py`'s, what a row's next token is `row.py`'s.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.bundle import Bundle, read_manifest
from edge.engine import Event, Finished, Job, Options, Part, budget
from edge.engine.batch.beam_rows import Beams
from edge.engine.batch.choices import Choices
from edge.engine.batch.decoder import Decoder
from edge.engine.batch.groups import adapter_of, groups
from edge.engine.batch.halts import Halts
from edge.engine.batch.intake import Intake
from edge.engine.batch.making import Making
from edge.engine.batch.opened import opened_graph, opened_vision
from edge.engine.batch.pairs import run_as_pair
from edge.engine.batch.row import Row
from edge.engine.batch.slots import Slots
from edge.engine.batch.tempo import Tempo
from edge.engine.cache.prefix_files import opened_prefixes
from edge.engine.draft.guesses import Guesses, opened_guesses
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.graph.io_binding import Logits
from edge.engine.graph.session import Stopped
from edge.engine.text.late_sentences import LateSentences
from edge.errors import Fault, as_fault

if TYPE_CHECKING:
    from edge.engine.pictures.vision import Seen

DECODING_SECONDS = (0.25, 0.01)
"""A step waits so long for a picture to be decoded: where it is alone, and where others are to be answered."""


class BatchedEngine:
    """One graph, several jobs."""

    def __init__(self, bundle: Path, options: Options, sentences: LateSentences | None = None) -> None:
        """sentences: the bundle's embedding model, where others use it, too."""
        self._bundle, self._options, self.rows = Bundle(bundle, read_manifest(bundle)), options, options.rows
        self._manifest = self._bundle.manifest
        self.step_seconds: float | None = None
        tokenizer = Tokenizer(bundle, self._manifest)  # first: it is the sooner opened, where one cannot be
        self._graph = self._opened_graph()
        names = ["", *(each.name for each in self._manifest.adapters)]
        self._pairs = {name for name in names if self._graph.can_tell_more and self._graph.reckons_one_otherwise(name)}
        self._budget_tokens = budget.kv_tokens(self._manifest, options.rows, options.kv_bytes)
        self._prefixes = opened_prefixes(self._bundle, options, self._graph.caches, self._graph.version)
        self._vision = opened_vision(self._bundle, self._graph)
        self._slots = Slots(self._graph.caches, options.rows)
        self._tempo = Tempo(options.prefill_slice_tokens)
        beside = (self._budget_tokens, self._graph.vocabulary, sentences)
        self._making = Making(self._bundle, options, tokenizer, *beside)
        self._intake = Intake(self._making.made)
        self._waiting: deque[Row] = deque()
        self._halts = Halts(self._graph.halt)
        self._guesses = self._opened_guesses()
        self._is_turn_of_oldest = False
        self._shortage = budget.Shortage()
        self._counters: Counter[str] = Counter()

    def _opened_graph(self) -> Decoder:
        """What runs the bundle's graph, with one slot more than rows."""
        return opened_graph(self._bundle, self._options)

    def _opened_guesses(self) -> Guesses:
        """Who guesses at what answers say next."""
        return opened_guesses(self._bundle, self._options, self._graph, self._halts)

    # --- from outside ---

    def submit(self, job: Job, tokens: list[int] | None = None) -> None:
        """Take a job, to be begun as soon as there is a row and room in the cache. tokens: in place of its messages."""
        self._intake.submit(job, tokens)

    def cancel(self, job_id: int) -> None:
        """Have a job end; the reading of its prompt stops in its middle. From any thread."""
        self._halts.cancel(job_id)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to work on."""
        return not (len(self._intake) or self._waiting or len(self._slots))

    def counters(self) -> Mapping[str, int | float]:
        """Tokens read and found, runs and their rows, guesses and those that were right; kept beginnings.

        Of a bundle that sees pictures the crops that were looked at, too.
        """
        looked = {"looked_crops": self._vision.looked} if self._vision else {}
        return {**self._counters, **self._guesses.counters, **self._prefixes.counters(), **looked}

    def ease(self) -> None:
        """Let the kept beginnings go, which those on the disk are found by again, and pictures that were looked at."""
        self._prefixes.shrink(0)
        self._guesses.forget()
        if self._vision:
            self._vision.forget()
        self._making.documents.ease()

    def forget(self, salt: str) -> None:
        """Let go of the beginnings that a salt's jobs have left, here and on disk, and of all pictures."""
        self._prefixes.forget(salt)
        self._guesses.forget(salt)
        if self._vision:
            self._vision.forget()
        self._making.documents.forget(salt)
        for row in (*self._waiting, *self._slots):
            row.is_forgotten |= row.job.cache_salt == salt

    def close(self) -> None:
        """Finish what is still to be written."""
        self._prefixes.settle()

    def step(self) -> Iterator[Event]:
        """One slice of one prompt, one token of each answer."""
        yield from self._take_in()
        yield from self._begin()
        yield from self._read()
        yield from self._write()
        self._ease()
        if self.is_idle:
            self._prefixes.flush()
        if self._vision and not any(row.is_to_look for row in (*self._waiting, *self._slots)):
            self._vision.release()

    # --- jobs come and go ---

    def _take_in(self) -> Iterator[Event]:
        """New rows; those that were cancelled out. Where nobody else is answered, what comes in is waited for."""
        cancelled = self._halts.taken()  # before the rows, so that none of these belongs to a job that is not seen yet
        for made in self._intake.made(waits=not (self._waiting or len(self._slots))):
            if isinstance(made, list):
                yield from made
            else:
                self._waiting.append(made)
        for row in [*self._waiting, *self._slots]:
            if row.job.id in cancelled and not row.is_out:
                yield from self._end(row, row.finished("cancelled"))
        self._halts.put_back({job_id for job_id in cancelled if job_id in self._intake})

    def _begin(self) -> Iterator[Event]:
        """Rows that wait, in their order, as far as the slots and the budget of the cache go."""
        while self._waiting and self._has_room(self._waiting[0]):
            row = self._waiting.popleft()
            row.begin()
            group, is_long = row.group, self._graph.is_long(row.prompt_tokens)
            brother = group.brother(row, self._slots, is_long) if isinstance(group, Choices) else None
            if isinstance(group, Choices) and brother is not None:
                yield from self._take(row, group.branch(row, brother, self._slots, self._graph.caches))
            else:
                self._enter(row)

    def _has_room(self, row: Row) -> bool:
        """Whether there is a slot, and as many more as it will want, and room in the budget of the cache."""
        taken = sum(each.places for each in (row, *self._slots))
        tokens = sum(each.places * each.tokens_at_most for each in (row, *self._slots))
        return bool(taken <= self.rows and tokens <= self._budget_tokens)

    def _enter(self, row: Row) -> None:
        """Into a slot, with what is known of its tokens already."""
        self._slots.enter(row)
        row.seen, row.is_long = 0, self._graph.is_long(len(row.tokens))
        blocks = self._prefixes.find(row.tokens, row.is_long, row.job.cache_salt, row.job.keep, row.job.adapter)
        row.read = sum(block.shape[3] for block in blocks)
        if row.job.seed is None:  # else the answer is to be what it would be if nothing were known
            blocks += self._prefixes.find_said(
                row.tokens, row.is_long, len(blocks), row.job.cache_salt, row.job.adapter
            )
        for block in blocks:
            self._graph.caches.write(row.slot, row.seen, block)
            row.seen += block.shape[3]
        if not row.completion_tokens:
            row.cached_tokens = row.seen
            self._counters.update(prompt_tokens=len(row.tokens), cached_tokens=row.seen)

    def _end(self, row: Row, what: Finished | Fault) -> Iterator[Event]:
        """A row out, with those that end with it; the end of its job, where that has one now."""
        leaving, end = row.ended(what)
        for each in leaving:
            self._let_go(each, is_worth=isinstance(what, Finished))  # what led to a fault is not worth keeping
        if end is not None:
            yield Event(row.job.id, end)

    def _let_go(self, row: Row, is_worth: bool) -> None:
        """A row out, its cache kept for texts that begin alike."""
        row.is_out = True
        if row in self._waiting:
            self._waiting.remove(row)
        elif row in (*self._slots,):
            if is_worth:
                self._keep(row)
            self._slots.leave(row)

    def _keep(self, row: Row) -> None:
        if row.is_forgotten:
            return
        tokens, read = row.tokens[: row.seen], self._graph.caches.read
        kept = (row.job.cache_salt, row.job.keep, row.job.adapter)
        self._prefixes.keep(tokens, row.is_long, lambda start, stop: read(row.slot, start, stop), row.read, *kept)

    # --- prompts ---

    def _read(self) -> Iterator[Event]:
        """The next slice of a prompt: by turns of the one that came first and of the one that is nearest its end."""
        if not self._slots.reading:
            return
        self._is_turn_of_oldest = not self._is_turn_of_oldest
        oldest, *others = self._slots.reading
        row = oldest if self._is_turn_of_oldest else min([oldest, *others], key=lambda each: each.unread)
        tokens = row.next_slice(self._tempo.slice_tokens(bool(self._slots.writing), self.step_seconds))
        if (picture := row.unseen(len(tokens))) is not None:
            yield from self._look(row, picture)
            return
        try:
            with self._tempo.reading(len(tokens)):
                logits = self._run_alone(row, tokens, is_prefill=True)
        except Stopped:
            return
        if row.unread:
            yield Event(row.job.id, "")
        else:
            self._slots.promote(row)
            if isinstance(row.group, Choices):
                self._waiting.extendleft(reversed(row.group.split(logits[0])))
            yield from self._take(row, logits[0])

    def _look(self, row: Row, picture: Seen) -> Iterator[Event]:
        """One crop of a picture that a row is about to read, once it is decoded."""
        assert self._vision
        try:
            if self._vision.is_decoded(picture, DECODING_SECONDS[len(self._slots) > 1]):
                with self._halts.halting(row.job.id) as halt:
                    self._vision.look(picture, halt)
        except Stopped:
            return
        except Exception as error:  # one row's matter alone, whatever it is
            yield from self._end(row, as_fault(error))
            return
        yield Event(row.job.id, "")

    def _run_alone(self, row: Row, tokens: list[int], positions: int = 1, is_prefill: bool = False) -> Logits:
        """Logits `[positions, vocabulary]` after these tokens of a row, which are in its cache then."""
        ids, seen = np.array([tokens], np.int64), np.array([row.seen], np.int64)
        with self._halts.halting(row.job.id) as halt:
            features = row.features(len(tokens))
            beside = (row.is_long, halt, features, is_prefill, row.job.adapter)
            logits: Logits = self._graph.run(row.slot, ids, seen, positions, *beside)[0]
        if is_prefill and row.read >= row.seen:
            row.read = row.seen + len(tokens)
        row.seen += len(tokens)
        return logits

    # --- answers ---

    def _write(self) -> Iterator[Event]:
        """One token of every answer, or several of the only one."""
        rows = list(self._slots.writing)
        if len(rows) == 1 and not self._slots.reading and (guess := self._guesses.of(rows[0])):
            yield from self._verify(rows[0], guess)
            return
        apart = groups(self._graph, rows)
        with self._guesses.without(len(rows)):
            made = self._run_apart(apart) if len(apart) > 1 else [self._run_together(each) for each in apart]
        # only now, when nothing runs over slots any more: who ends or begins anew moves others to other slots
        for row, its in zip(rows, chain.from_iterable(made), strict=True):
            if not row.is_out:  # with one of its group
                yield from self._take(row, its)

    def _run_apart(self, groups: list[list[Row]]) -> list[Logits]:
        """The logits of each group, kept: the next run writes over those of the one before."""
        return [self._run_together(group).copy() for group in groups]

    def _run_together(self, rows: list[Row]) -> Logits:
        """Logits `[rows, vocabulary]` after the last token of each; the rows lie side by side, all long or none."""
        self._counters.update(runs=1, run_rows=len(rows))
        if len(rows) == 1 and rows[0].job.seed is not None and rows[0].job.adapter in self._pairs:
            with self._tempo.writing():
                return run_as_pair(self._graph, rows[0])
        ids = np.array([row.tokens[-1:] for row in rows], np.int64)
        seen = np.array([row.seen for row in rows], np.int64)
        with self._tempo.writing():
            logits = self._graph.run(rows[0].slot, ids, seen, is_long=rows[0].is_long, adapter=adapter_of(rows))
        for row in rows:
            row.seen += 1
        return logits[:, 0]

    def _take(self, row: Row, logits: Logits) -> Iterator[Event]:
        """The next token of an answer, and its end where it is the last."""
        try:
            said = self._said(row, logits)
        except Exception as error:  # one row's matter alone, whatever it is
            row.finish_reason = "error"
            yield from self._end(row, as_fault(error))
            return
        yield from (Event(row.job.id, each) for each in said)
        if row.finish_reason:
            yield from self._end(row, row.finished(row.finish_reason))
        elif row.is_long != self._graph.is_long(len(row.tokens)):
            self._slots.leave(row)  # its keys were turned by the short factors: read once more, with the long ones
            self._enter(row)

    def _said(self, row: Row, logits: Logits) -> list[str | Part]:
        if isinstance(row.group, Beams):
            return row.group.take(row, logits, self._slots, self._graph.caches)
        return [row.told(row.take(logits))]

    # --- guesses ---

    def _verify(self, row: Row, guess: list[int]) -> Iterator[Event]:
        """As many tokens of a guess as are what the row would have said, and the one after them."""
        before = row.seen
        try:
            with self._guesses.verifying():
                logits = self._run_alone(row, [row.tokens[-1], *guess], 1 + len(guess))
        except Stopped:
            return
        right = 0
        for number, its in enumerate(logits):
            row.seen = before + number + 1
            yield from self._take(row, its)
            if row.finish_reason or number == len(guess) or row.tokens[-1] != guess[number]:
                break
            right += 1
        self._guesses.learn(row, len(guess), right)
        self._counters.update(runs=1, run_rows=1)

    # --- memory ---

    def _ease(self) -> None:
        """Let half of the kept beginnings go where the board has next to no memory left."""
        if self._shortage.is_there():
            self._prefixes.shrink(self._prefixes.bytes // 2)
            if self._vision:
                self._vision.forget()
