"""A small bundle's graph, which follows one answer of a large one's and says what may come next.

It has one text at a time in its cache. What a text has in common with the one before is not read again: of the next
token of the same answer all but what was guessed wrong, of a conversation's next turn what was said before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine.draft.pays import Least
from edge.engine.graph.io_binding import Logits
from edge.engine.graph.session import Graph

SLOT = 0
ALL = Least(0, 0)


class SmallModel:
    """graph: the small bundle's, with one slot. known: `[vocabulary of the large one]`, ids that mean the same to both.

    Ids that the small one does not know are left out of what it reads, and never guessed. salt: whose text it has.
    runs, expected: of the last guess, what it took and how many of its tokens are right by the small one's own account.
    """

    def __init__(self, graph: Graph, known: NDArray[np.bool_], context_length: int) -> None:
        self.graph, self._context = graph, context_length
        self._known = known[: graph.vocabulary]
        self._followed: Sequence[int] | None = None
        self.salt = ""
        self._taken = 0
        self._text: list[int] = []
        self._cached: list[int] = []
        self._agreed = 0
        self._is_long = False
        self.runs, self.expected = 0, 0.0

    def follow(self, tokens: Sequence[int], salt: str) -> None:
        """Have the text of an answer, prompt and all. tokens: which only grow. salt: whose text it is.

        What was read of another salt's text is let go, so that nobody's time tells what others have said.
        """
        if tokens is not self._followed:
            if salt != self.salt:
                self.forget()
            self._followed, self.salt, self._taken, self._text, self._agreed = tokens, salt, 0, [], 0
        self._text += [token for token in tokens[self._taken :] if self._knows(token)]
        self._taken = len(tokens)
        if self._is_long != self.graph.is_long(len(self._text)):  # keys in the cache were turned by other factors
            self._is_long, self._cached = not self._is_long, []
        self._agreed = min(self._agreed, len(self._cached))
        most = min(len(self._text), len(self._cached))
        while self._agreed < most and self._text[self._agreed] == self._cached[self._agreed]:
            self._agreed += 1
        del self._cached[self._agreed :]

    def _knows(self, token: int) -> bool:
        return 0 <= token < len(self._known) and bool(self._known[token])

    @property
    def unread(self) -> int:
        """Tokens of the text that it has not read."""
        return len(self._text) - self._agreed

    def room(self) -> int:
        """Tokens that it can guess at the most, for its context's sake; none behind a text that is too long for it."""
        length = len(self._text)
        return max(0, min(self._context - length, self.graph.tokens_until_switch(length))) if length else 0

    def read(self, limit: int, halt: Any = None) -> int:
        """The next slice of the text but for its last token, at most so many tokens; how many it was.

        Raises Stopped where its halt was used.
        """
        tokens = self._text[self._agreed : min(self._agreed + limit, len(self._text) - 1)]
        if tokens:
            self._run(tokens, halt, is_prefill=True)
        return len(tokens)

    def guess(self, count: int, least: Least = ALL, halt: Any = None) -> list[int]:
        """The likeliest next tokens, one after the other, so many at the most.

        Fewer where it comes to one that the large one has not, or finds the whole not likely enough. Raises Stopped
        where its halt was used.
        """
        if not self.unread:  # the last one is read anew, for what comes after it
            self._agreed -= 1
            del self._cached[self._agreed :]
        guessed: list[int] = []
        tokens, likely = self._text[self._agreed :], 1.0
        self.runs, self.expected = 0, 0.0
        while len(guessed) < count and likely >= least.to_go_on:
            logits = self._run(tokens, halt)
            token = int(np.argmax(logits))
            likely /= float(np.exp(logits - logits[token]).sum())
            self.runs += 1
            if not self._knows(token) or likely < least.taken:
                break
            guessed.append(token)
            self.expected += likely
            tokens = [token]
        return guessed

    def _run(self, tokens: list[int], halt: Any, is_prefill: bool = False) -> Logits:
        """Read some tokens; the logits `[vocabulary]` behind them."""
        ids, seen = np.array([tokens], np.int64), np.array([len(self._cached)], np.int64)
        logits: Logits = self.graph.run(SLOT, ids, seen, 1, self._is_long, halt, is_prefill=is_prefill)[0, 0]
        self._cached += tokens
        self._agreed = min(len(self._cached), len(self._text))
        return logits

    def forget(self) -> None:
        """Let go of what it has read."""
        self._followed, self._text, self._cached, self._taken, self._agreed = None, [], [], 0, 0
        self.graph.caches.release(SLOT)
