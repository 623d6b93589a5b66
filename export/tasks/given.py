"""What a model answers, told from its logits over a text that has the right answer: nothing is generated.

A model that chooses the likeliest token each time gives the right answer exactly where, behind each of its tokens, the
next one is the likeliest. Where it is not, the answer is told as far as the token that leaves the right one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from export.quantize import Floats
from export.tasks.texts import Place

END = -1
"""Any token that ends an answer."""
RIGHT = -2
"""In the place of a token where none leaves the right answer."""


class Given(NamedTuple):
    """An answer. at: how many of the right one's tokens it begins with. token: what it goes on with, END or RIGHT."""

    at: int
    token: int

    @property
    def is_right(self) -> bool:
        """Whether it is the right one, and ends there."""
        return self.token == RIGHT


def given(place: Place, logits: Floats, stops: Collection[int]) -> Given:
    """The answer in a place. logits: of its rows, float32 `[tokens + 1, vocabulary]`. stops: tokens that end answers.

    Of labels the likelier one is taken at each token where they part; what comes behind a label does not count.
    """
    for at, token in enumerate(place.answer):
        choices = sorted({label[at] for label in place.labels if label[:at] == place.answer[:at]})
        chosen = choices[int(logits[at, choices].argmax())] if choices else int(logits[at].argmax())
        if chosen != token:
            return Given(at, END if not choices and chosen in stops else chosen)
    if not place.labels and int(logits[-1].argmax()) not in stops:
        return Given(len(place.answer), int(logits[-1].argmax()))
    return Given(len(place.answer), RIGHT)
