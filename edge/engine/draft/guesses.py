"""Who guesses at what an answer says next: what was said before, or a small bundle, whichever brings more in the time.

A guess changes no token: each is chosen from the large bundle's logits as ever (batch/drafting.py).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from edge.bundle import Bundle, read_manifest
from edge.engine import Options, budget
from edge.engine.batch.beam_rows import Beams
from edge.engine.batch.decoder import Decoder
from edge.engine.batch.halts import Halts
from edge.engine.batch.row import Row
from edge.engine.draft.pays import GUESSED_MAX, Costs, Pays
from edge.engine.draft.same_ids import known_ids
from edge.engine.draft.small import SLOT, SmallModel
from edge.engine.graph.session import SPIN_TOGETHER_MICROSECONDS, Graph, Stopped
from edge.errors import BundleError, ConfigError

CATCH_UP_TOKENS = GUESSED_MAX + 1
"""So many that the small one has not read go into the run of its first guess; more are read by slices before."""
MEASURED_RUNS = 3
"""Of each kind, when it is opened; the quickest counts, since the first ones read weights."""
MEASURED_SLICE = 32


class Guesses:
    """One engine's. graph: its own. small: None where only what was said before guesses. pays: when small does.

    counters: guessed and right tokens, those of the small one apart, too; its runs, and tokens that it has read.
    """

    def __init__(
        self, options: Options, graph: Decoder, halts: Halts, small: SmallModel | None = None, pays: Pays | None = None
    ) -> None:
        self._looks_up, self._slice = options.drafts and graph.can_tell_more, options.prefill_slice_tokens
        self._graph, self._halts, self._small, self._pays = graph, halts, small, pays
        self._row: Row | None = None
        self._reads: bool | None = None
        self._small_seconds = self._seconds = 0.0
        self.counters: Counter[str] = Counter()

    def of(self, row: Row) -> list[int]:
        """What may come next in an answer that grows alone; nothing where guessing would not pay."""
        room = min(self._graph.tokens_until_switch(len(row.tokens)), row.room_to_guess)
        said = row.guess(room) if self._looks_up else []
        self._small_seconds = 0.0
        if self._small is None or self._pays is None or room < 1 or isinstance(row.group, Beams):
            return said
        small, pays = self._small, self._pays
        if row is not self._row:
            self._row, self._reads = row, None
            pays.begin()
        small.follow(row.tokens, row.job.cache_salt)
        count = pays.length(small.unread, min(room, small.room()))
        if not count or (said and pays.over_plain(len(said), 1 + len(said) * row.said_again) >= pays.gain):
            return said
        with suppress(Stopped), self._halts.halting(row.job.id) as halt:
            if small.unread <= CATCH_UP_TOKENS:
                self._reads = None
                return self._guessed(small, pays, count, halt) or said
            if self._reads is None:
                self._reads = pays.reading_pays(small.unread, row.room_to_guess)
            if self._reads:
                self._read(small, pays, halt)
        return said

    def _guessed(self, small: SmallModel, pays: Pays, count: int, halt: object) -> list[int]:
        started = time.perf_counter()
        guess = small.guess(count, pays.least, halt)
        seconds = time.perf_counter() - started
        self.counters.update(small_runs=small.runs)
        if guess:
            self._small_seconds = seconds
        elif small.runs:
            pays.guessed(small.runs, seconds, 0.0, 0, 0)
        return guess

    def _read(self, small: SmallModel, pays: Pays, halt: object) -> None:
        started = time.perf_counter()
        tokens = small.read(self._slice, halt)
        pays.read(tokens, time.perf_counter() - started)
        self.counters.update(small_read_tokens=tokens)

    @contextmanager
    def verifying(self) -> Iterator[None]:
        """While a guess is verified."""
        started = time.perf_counter()
        yield
        self._seconds = time.perf_counter() - started

    @contextmanager
    def without(self, rows: int) -> Iterator[None]:
        """While answers, so many, get a token each without a guess."""
        started = time.perf_counter()
        yield
        if self._pays is not None and rows == 1:
            self._pays.plain(time.perf_counter() - started)

    def learn(self, row: Row, guessed: int, right: int) -> None:
        """How many tokens of a row's guess were right."""
        self.counters.update(guessed_tokens=guessed, right_tokens=right)
        if self._pays is not None:
            self._pays.verified(guessed, right, self._seconds)
        if self._pays is None or not self._small_seconds:
            row.learn(guessed, right)
            return
        assert self._small is not None
        self._pays.guessed(self._small.runs, self._small_seconds, self._small.expected, guessed, right)
        self.counters.update(small_guessed_tokens=guessed, small_right_tokens=right)

    def forget(self, salt: str | None = None) -> None:
        """Let go of what the small one has read; salt: only where it is of this salt's text."""
        if self._small is not None and salt in (None, self._small.salt):
            self._small.forget()


def opened_guesses(bundle: Bundle, options: Options, graph: Decoder, halts: Halts) -> Guesses:
    """Those of an engine, with the bundle of `engine.draft` where there is one.

    Raises BundleError where that is none, or has other tokens; ConfigError where the engine's cannot verify guesses.
    """
    if not options.draft:
        return Guesses(options, graph, halts)
    if not graph.can_tell_more:
        raise ConfigError(f"{bundle.path} tells one token's logits at a time, so that none can draft for it")
    small = opened_small(bundle, Path(options.draft), options, graph.vocabulary)
    return Guesses(options, graph, halts, small, Pays(measured(graph, small.graph)))


def opened_small(bundle: Bundle, path: Path, options: Options, vocabulary: int) -> SmallModel:
    """A bundle that drafts for another; it is packed as that one is, in a folder of its own."""
    try:
        draft = Bundle(path, read_manifest(path))
    except BundleError as error:
        raise BundleError(f"engine.draft: {error}", passes=error.passes) from error
    if draft.manifest.engine != "batched" or draft.manifest.fixed is not None:
        raise BundleError(f"{path} cannot draft: the batched engine does not run its graph")
    known = known_ids(bundle.path, path, vocabulary)
    packed = budget.packed_folder(options)
    folder = packed and packed.with_name("packed-draft")
    graph = Graph(draft, options.threads, 1, folder, SPIN_TOGETHER_MICROSECONDS)
    return SmallModel(graph, known, draft.manifest.context_length)


def measured(graph: Decoder, small: Graph) -> Costs:
    """What runs of both take, over slots that nobody uses yet."""

    def quickest(run: Callable[[], object]) -> float:
        found = []
        for _ in range(MEASURED_RUNS):
            started = time.perf_counter()
            run()
            found.append(time.perf_counter() - started)
        return min(found)

    nothing, one, most = np.zeros(1, np.int64), np.ones((1, 1), np.int64), np.ones((1, GUESSED_MAX + 1), np.int64)
    read = np.ones((1, MEASURED_SLICE), np.int64)
    return Costs(
        quickest(lambda: graph.run(SLOT, one, nothing)),
        quickest(lambda: graph.run(SLOT, most, nothing, GUESSED_MAX + 1)),
        quickest(lambda: small.run(SLOT, one, nothing)),
        quickest(lambda: small.run(SLOT, read, nothing, is_prefill=True)) / MEASURED_SLICE,
    )
