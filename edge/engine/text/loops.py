"""Answers that have fallen into a loop: the same words again and again, until their length ends them.

A small model that takes the likeliest token each time may never find its way out of what it has just said twice. The
rule, over the tokens of an answer: it is in a loop when its end has been said three times running and is being said on
for `MORE_TOKENS` tokens, all equal to the token. Where what repeats has no word in it, as in tables, number grids and
rules of dashes, and where a schema asks for what is said, `PATIENT_TOKENS` must repeat; lines without any letter or
digit, though, may be said `BARE_TIMES` times and no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MORE_TOKENS = 56
PATIENT_TOKENS = 256
BARE_TIMES = 16
PERIOD_TOKENS_MAX = 256
"""The longest part whose repetition is seen."""
WORD = re.compile(r"[^\W\d_]{3}|\b[^\W\d_]\b|[\U0001f000-\U0001faff]")
"""Three letters running of any script, a letter by itself, a pictograph; `0x00` and `<td>` are none."""

PERIODS = np.arange(1, PERIOD_TOKENS_MAX + 1)
NEEDED = 2 * PERIODS + MORE_TOKENS
"""Tokens that must equal the one a period before, by period."""


class LoopGuard:
    """One answer, token by token. text: what some token ids stand for. is_guided: whether it is held to a schema."""

    def __init__(self, text: Callable[[list[int]], str], is_guided: bool = False) -> None:
        self._text, self._is_guided = text, is_guided
        self._said: NDArray[np.int64] = np.full(2 * PERIOD_TOKENS_MAX, -1, np.int64)
        self._latest = PERIOD_TOKENS_MAX
        """Where the latest token is; those before it lie behind it."""
        self._repeated: NDArray[np.int64] = np.zeros(PERIOD_TOKENS_MAX, np.int64)
        """By period, how many tokens running equalled the one so long before them."""

    def take(self, token: int) -> bool:
        """Go on by a token; True where the answer is in a loop."""
        self._repeated += 1
        self._repeated *= self._last(PERIOD_TOKENS_MAX) == token
        self._add(token)
        found = np.flatnonzero(self._repeated >= NEEDED)
        return bool(found.size) and self._is_loop(int(found[0]) + 1)

    def _last(self, count: int) -> NDArray[np.int64]:
        """The last tokens, the latest first; -1 where there were none yet."""
        return self._said[self._latest : self._latest + count]

    def _add(self, token: int) -> None:
        if self._latest == 0:
            self._said[PERIOD_TOKENS_MAX:] = self._said[:PERIOD_TOKENS_MAX]
            self._latest = PERIOD_TOKENS_MAX
        self._latest -= 1
        self._said[self._latest] = token

    def _is_loop(self, period: int) -> bool:
        """Whether a repetition is long enough for what it says."""
        repeated = int(self._repeated[period - 1])
        if repeated >= PATIENT_TOKENS or self._is_guided:
            return repeated >= PATIENT_TOKENS
        said: list[int] = self._last(period)[::-1].tolist()
        text = self._text(said * 2)
        is_bare_line = "\n" in text and not any(map(str.isalnum, text))
        return WORD.search(text) is not None or (is_bare_line and repeated >= (BARE_TIMES - 1) * period)
