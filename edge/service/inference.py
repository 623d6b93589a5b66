"""What the daemon itself did: answers, speed, queue. Fed by the service, told with the board's own readings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from edge.service.ratings import Ratings
from edge.service.speed import Speed
from edge.wire.reply import Outcome


class Engine(Protocol):
    """What is asked of the engine."""

    def memory_bytes(self) -> int | None:
        """What it holds."""
        ...

    def counters(self) -> Mapping[str, int | float]:
        """What it did since it was started."""
        ...


class Inference:
    """Counts since start, speeds over the last answers.

    restarts: of an engine that had died. recycled: how often one was started anew because it had grown.
    """

    def __init__(
        self,
        queue_length: Callable[[], int],
        running: Callable[[], int],
        lost: Callable[[], Mapping[str, int]],
        engine: Engine,
        speed: Speed,
    ) -> None:
        """lost: answers that the broker did not take, by what became of them."""
        self._queue_length, self._running, self._lost, self._engine = queue_length, running, lost, engine
        self._codes: Counter[str] = Counter()
        self._speed = speed
        self.restarts = self.recycled = 0
        self.ratings = Ratings()
        self.elsewhere: Callable[[], Mapping[str, Any]] = dict
        """What was passed to another server."""

    def count(self, outcome: Outcome) -> None:
        """Take note of a request that has ended."""
        self._codes[str(outcome.code)] += 1

    def reading(self) -> Mapping[str, Any]:
        """Requests by code, how many wait and run, and rates in tokens a second (None before the first answer)."""
        return {
            "requests": dict(self._codes),
            "ratings": self.ratings.reading(),
            "queue_length": self._queue_length(),
            "prefill_tokens_per_second": self._speed.prefill_tokens_per_second,
            "decode_tokens_per_second": self._speed.decode_tokens_per_second,
            "joules_per_token": self._speed.joules_per_token,
            "running": self._running(),
            **self._lost(),
            "engine_memory_bytes": self._engine.memory_bytes(),
            **shares(self._engine.counters()),
            "engine_restarts": self.restarts,
            "engine_recycled": self.recycled,
            **self.elsewhere(),
        }


def shares(counters: Mapping[str, int | float]) -> dict[str, float]:
    """Of an engine that counts them: prompt tokens that were in the prefix cache, answers a run, right guesses.

    And crops of pictures, where it sees them.
    """
    pairs = {
        "prefix_hit_ratio": ("cached_tokens", "prompt_tokens"),
        "rows_per_run": ("run_rows", "runs"),
        "draft_acceptance_ratio": ("right_tokens", "guessed_tokens"),
    }
    found = {
        name: round(counters.get(part, 0) / counters[of], 4) for name, (part, of) in pairs.items() if counters.get(of)
    }
    looked = {"looked_crops": counters["looked_crops"]} if "looked_crops" in counters else {}
    return found | looked
