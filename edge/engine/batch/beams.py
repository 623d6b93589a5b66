"""Beam search: which of several texts go on, and which that have ended are the best. Nothing here knows of a model.

After `_beam_search` of Transformers, 4.57 and 5, whose options have its names: the sums are made in the order and in
the precision that it makes them in, so that the texts are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

EarlyStopping = bool | Literal["never"]
Scores = NDArray[np.float32]

NEVER = np.float32(-1e9)
"""What is added to the score of what may not come."""


class Going(NamedTuple):
    """A text that goes on. parent: the number of the one that it goes on from; token: its next.

    is_possible: False for one that only fills a place, since its next token may not come.
    """

    parent: int
    token: int
    is_possible: bool = True


@dataclass(frozen=True)
class Text:
    """An answer. tokens: without the prompt; score: the mean of their logarithmic weights, as the penalty has it."""

    tokens: tuple[int, ...]
    score: float
    is_ended: bool


class BeamSearch:
    """One search. stops: tokens that end a text. room: tokens that one may have.

    ends: whether a text has ended for another reason, such as a string in it. early_stopping: True: as soon as there
    are enough texts; "never": only where nothing better can come; False: where that is unlikely.
    """

    def __init__(
        self,
        beams: int,
        room: int,
        stops: Collection[int],
        length_penalty: float = 1.0,
        early_stopping: EarlyStopping = False,
        ends: Callable[[Sequence[int]], bool] = lambda _tokens: False,
    ) -> None:
        self._beams, self._room, self._stops, self._ends = beams, room, frozenset(stops), ends
        self._penalty, self._early = length_penalty, early_stopping
        self._going: list[tuple[int, ...]] = [()] * beams
        self._scores: Scores = np.full(beams, NEVER, np.float32)
        self._scores[0] = 0
        self._done = [Text((), float(NEVER), is_ended=False)] * beams
        self._can_improve = True
        self.is_over = False

    def step(self, weights: Scores) -> list[Going]:
        """The texts that go on, best first, by the logarithmic weights `[beams, vocabulary]` of each one's next token.

        Those of the first step are of the prompt, the same in every row. Nothing where `is_over` is so then.
        """
        sums = (weights + self._scores[:, None]).ravel()
        places = _best(sums, max(2, 1 + len(self._stops)) * self._beams)
        found = [Going(*divmod(int(place), weights.shape[1])) for place in places]
        texts = [(*self._going[each.parent], each.token) for each in found]
        hits = np.array([self._hits(text) for text in texts])
        scores = sums[places]
        running = scores + _never(hits)
        goes_on = _best(running, self._beams)
        self._finish(texts, scores, hits)
        self._going, self._scores = [texts[place] for place in goes_on], running[goes_on]
        self._look_ahead(len(texts[0]))
        is_full = self._early is True and all(each.is_ended for each in self._done)
        able = self._scores > NEVER / 2
        self.is_over = not self._can_improve or is_full or bool(hits.all()) or not able.any()
        going = [found[place]._replace(is_possible=bool(can)) for place, can in zip(goes_on, able, strict=True)]
        return [] if self.is_over else going

    def _hits(self, text: tuple[int, ...]) -> bool:
        return text[-1] in self._stops or len(text) >= self._room or self._ends(text)

    def _finish(self, texts: list[tuple[int, ...]], scores: Scores, hits: NDArray[np.bool_]) -> None:
        """Take those that have ended among the best, where they are better than what was there."""
        ended = hits & (np.arange(len(texts)) < self._beams)
        scores = scores / np.float32(len(texts[0]) ** self._penalty)
        if self._early is True and all(each.is_ended for each in self._done):
            scores = scores + NEVER
        if not self._can_improve:
            scores = scores + NEVER
        scores = scores + _never(~ended)
        merged = [*self._done, *map(Text, texts, scores.tolist(), ended.tolist())]
        best = _best(np.array([each.score for each in merged], np.float32), self._beams)
        self._done = [merged[place] for place in best]

    def _look_ahead(self, length: int) -> None:
        """Whether one that goes on may still become better than the worst that has ended."""
        if self._early == "never" and self._penalty > 0:
            length = self._room
        best = self._scores[0] / np.float32(length**self._penalty)
        worst = min(np.float32(each.score) for each in self._done)
        self._can_improve &= bool(best > worst) or not all(each.is_ended for each in self._done)

    def best(self, count: int) -> list[Text]:
        """The answers, the best first; fewer where no more can be."""
        return [each for each in self._done[:count] if each.is_ended]


def _never(which: NDArray[np.bool_]) -> Scores:
    return np.where(which, NEVER, np.float32(0))


def _best(scores: Scores, count: int) -> NDArray[np.int64]:
    """The places of the highest, from the highest down; of equal ones the first."""
    if count < len(scores):
        least = np.partition(scores, -count)[-count]
        able = np.flatnonzero(scores >= least)
    else:
        able = np.arange(len(scores))
    return able[np.argsort(-scores[able], kind="stable")][:count]
