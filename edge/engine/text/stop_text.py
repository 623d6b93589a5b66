"""Stop strings in a stream: what may be shown now, and what must wait because a stop may have begun."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Text goes in piece by piece; what surely lies before any stop string comes out."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._searches = [_Search(stop) for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def push(self, piece: str) -> str:
        """The text that may be shown; after a stop string was met, nothing more."""
        if self.stopped:
            return ""
        found = [search.take(piece) for search in self._searches]
        starts = [len(self._held) + start for start in found if start is not None]
        self._held += piece
        if starts:
            self.stopped = True
            return self._held[: min(starts)]
        return self._release(len(self._held) - max((each.matched for each in self._searches), default=0))

    def flush(self) -> str:
        """What was held back, once the answer has ended without a stop string."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        return shown


class _Search:
    """A string looked for in a stream, each character once: Knuth, Morris and Pratt (1977).

    matched: how many of its characters the stream ends with.
    """

    def __init__(self, string: str) -> None:
        self._string, self.matched = string, 0
        self._shorter = [0]
        """After so many characters and one, how many it ends with that it begins with."""
        for character in string[1:]:
            self._shorter.append(self._next(self._shorter[-1], character))

    def _next(self, matched: int, character: str) -> int:
        while matched and self._string[matched] != character:
            matched = self._shorter[matched - 1]
        return matched + (self._string[matched] == character)

    def take(self, piece: str) -> int | None:
        """Go on by a piece; where in it the string begins, below zero where that was before it. None: not yet."""
        for place, character in enumerate(piece, 1):
            self.matched = self._next(self.matched, character)
            if self.matched == len(self._string):
                return place - self.matched
        return None
