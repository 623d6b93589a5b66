"""What a model answers, told from its logits over a text that has the right answer: nothing is generated.

A model that chooses the likeliest token each time gives the right answer exactly where, behind each of its tokens, the
next one is the likeliest. Where it is not, the answer is told as far as the token that leaves the right one.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from export.golden import SURE_NATS
from export.quantize import Floats
from export.tasks.texts import Place

END = -1
"""Any token that ends an answer."""
RIGHT = -2
"""In the place of a token where none leaves the right answer."""


class Given(NamedTuple):
    """An answer. at: how many of the right one's tokens it begins with. token: what it goes on with, END or RIGHT.

    ahead: by how many nats each of its tokens, as far as they are known, is ahead of the next likely one, at least.
    """

    at: int
    token: int
    ahead: float = math.inf

    @property
    def is_right(self) -> bool:
        """Whether it is the right one, and ends there."""
        return self.token == RIGHT

    @property
    def is_sure(self) -> bool:
        """Whether it is no toss-up: other sums on another processor would not change it."""
        return self.ahead >= SURE_NATS

    def is_same(self, other: Given) -> bool:
        """Whether both are one answer, as far as they are known."""
        return (self.at, self.token) == (other.at, other.token)


def given(place: Place, logits: Floats, stops: Collection[int]) -> Given:
    """The answer in a place. logits: of its rows, float32 `[tokens + 1, vocabulary]`. stops: tokens that end answers.

    Of labels the likelier one is taken at each token where they part; what comes behind a label does not count.
    """
    ahead = math.inf
    for at, token in enumerate(place.answer):
        choices = sorted({label[at] for label in place.labels if label[:at] == place.answer[:at]})
        chosen, by = _likeliest(logits[at], choices)
        ahead = min(ahead, by)
        if chosen != token:
            return Given(at, END if not choices and chosen in stops else chosen, ahead)
    if place.labels:
        return Given(len(place.answer), RIGHT, ahead)
    chosen, by = _likeliest(logits[-1], [])
    return Given(len(place.answer), RIGHT if chosen in stops else chosen, min(ahead, by))


def _likeliest(logits: Floats, choices: list[int]) -> tuple[int, float]:
    """The likeliest token, of some choices or of all where there are none, and by how many nats it is ahead."""
    if len(choices) == 1:
        return choices[0], math.inf
    values = logits[choices] if choices else logits
    second, first = (int(each) for each in np.argpartition(values, -2)[-2:])
    return choices[first] if choices else first, float(values[first] - values[second])
