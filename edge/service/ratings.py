"""What askers thought of answers: how many were good and bad, of each answer the last word."""

from __future__ import annotations

from collections import Counter, OrderedDict

from edge.wire.afterwards import Rating, Verdict

RECENT = 1000
"""Answers whose rating can be changed."""
Name = tuple[str | None, str]
"""A client, and its request's id."""


class Ratings:
    """Counts since the daemon began. An answer is known by whose it is and its id, its text is not."""

    def __init__(self) -> None:
        self._counts: Counter[Verdict] = Counter()
        self._recent: OrderedDict[Name, Verdict | None] = OrderedDict()

    def answered(self, client: str | None, name: str) -> None:
        """There is an answer that may be rated; a new one of an old name is another."""
        self._recent[client, name] = None
        self._recent.move_to_end((client, name))
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def take(self, rating: Rating, is_own: bool) -> None:
        """Count it, in place of an earlier one of the same answer.

        is_own: it came to this board alone, so that one of an answer that is not known is counted, too: it may be of
        before the daemon began. What comes to a whole fleet is counted by who has answered.
        """
        name = (rating.client, rating.id)
        if name in self._recent:
            before, self._recent[name] = self._recent[name], rating.verdict
            self._counts.subtract([before] if before else [])
        elif not is_own:
            return
        self._counts[rating.verdict] += 1

    def forget(self, client: str | None) -> None:
        """Which answers were a client's is not known any more; they stay counted."""
        for name in [name for name in self._recent if name[0] == client]:
            del self._recent[name]

    def reading(self) -> dict[Verdict, int]:
        """As telemetry tells it."""
        return {"good": self._counts["good"], "bad": self._counts["bad"]}
