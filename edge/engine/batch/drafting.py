"""Prompt lookup: an answer that repeats what was said before is guessed from it, and the guess verified in one run.

Source: Saxena, "Prompt Lookup Decoding" (2023), Transformers' `prompt_lookup_num_tokens`. A guess that is right saves
a run and a wrong one changes nothing: each token is chosen from the model's logits as ever, with the same dice, and
what was guessed beyond the first wrong token is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

GRAM = 3
"""Tokens that must be alike before a guess is made."""
GUESS_TOKENS = 7
"""Length of a guess: eight rows at once are what the kernels like."""
PATIENCE = 0.35
"""Share of guessed tokens that must be right, lately, for guessing to go on; below, it pauses."""
PAUSE_TOKENS = 64
MEMORY = 0.8


class Draft:
    """What one text has said, by its sequences of GRAM tokens, and how well guessing from it goes.

    rightness: share of guessed tokens that was right lately.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._places: dict[tuple[int, ...], int] = {}
        self._indexed = 0
        self.rightness = 1.0
        self._pause_until = 0
        self._index(tokens)

    def _index(self, tokens: Sequence[int]) -> None:
        """Note where each sequence is followed by something; the last one is what is asked for."""
        for stop in range(max(self._indexed, GRAM), len(tokens)):
            self._places[tuple(tokens[stop - GRAM : stop])] = stop
        self._indexed = len(tokens)

    def guess(self, tokens: Sequence[int], room: int) -> list[int]:
        """What may come next, at most `room` tokens; nothing where the end was not seen before."""
        self._index(tokens)
        if len(tokens) < self._pause_until or room < 1:
            return []
        place = self._places.get(tuple(tokens[-GRAM:]))
        if place is None:
            return []
        said = tokens[place : place + min(room, GUESS_TOKENS)]
        return list(takewhile(lambda token: token >= 0, said))  # a picture cannot be said again

    def learn(self, guessed: int, right: int, length: int) -> None:
        """How many of a guess were right; length: of the text by now."""
        self.rightness = MEMORY * self.rightness + (1 - MEMORY) * right / guessed
        if self.rightness < PATIENCE:
            self._pause_until, self.rightness = length + PAUSE_TOKENS, 1.0
