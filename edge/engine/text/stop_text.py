"""Stop strings in a stream: what may be shown now, and what must wait because a stop may have begun."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Text goes in piece by piece; what surely lies before any stop string comes out."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def push(self, piece: str) -> str:
        """The text that may be shown; after a stop string was met, nothing more."""
        if self.stopped:
            return ""
        self._held += piece
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._held[: min(found)]
        return self._release(len(self._held) - self._undecided())

    def flush(self) -> str:
        """What was held back, once the answer has ended without a stop string."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        return shown

    def _undecided(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        return max(
            (size for stop in self._stops for size in range(1, len(stop)) if self._held.endswith(stop[:size])),
            default=0,
        )
