"""The governor on boards on paper (tests/thermal_model.py): what it costs, what it keeps, what it leaves alone.

Everything is reckoned, nothing is measured: the same seeds give the same figures, on any machine, without a bundle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figure import Figure
from edge.governor import PRESETS
from edge.governor.heat import DWELL_SECONDS
from tests.thermal_model import (
    BARE,
    BOARDS,
    Board,
    Run,
    balance,
    bent_boards,
    can_be_kept,
    fixed,
    governed,
    limit_of,
    nothing,
    run,
)

SEEDS = range(10)
"""Of the sensor's noise; each figure is the worst of them."""
HEADROOM_CELSIUS = 2.0
"""Of a board that has some: what its hottest moment without a governor leaves below what would be kept, noise apart."""


def measure(_bundle: Path) -> list[Figure]:
    """The bare Pi's hour, then every board in every room."""
    return [*bare_pi(), *everywhere()]


def lost_percent(ours: Run, free: Run) -> float:
    """Of tokens, against no governor."""
    return round(100 * (1 - ours.tokens / free.tokens), 2)


def bare_pi() -> Iterator[Figure]:
    """A bare Pi 5 at 22 °C for an hour: no governor, clocks, pauses alone, a duty that knows nothing."""
    board, kept = BOARDS[BARE], 80 - PRESETS[BARE].margin_celsius
    allowed = balance(board, kept)
    free = [run(board, nothing, seed=seed) for seed in SEEDS]
    clocked = [run(board, governed(board), seed=seed) for seed in SEEDS]
    pausing = [run(board, governed(board, with_clock=False), seed=seed) for seed in SEEDS]
    warm = board.bent(1, 1, 35)
    yield Figure("governor_free_seconds_above_80", min(each.seconds_above(80) for each in free), "seconds", ">=", 1)
    yield Figure("governor_clock_tokens_lost_percent", worst_loss(clocked, free), "%", "<=", 3)
    yield Figure("governor_clock_seconds_above_80", seconds_above(clocked), "seconds", "==", 0)
    yield Figure("governor_duty_tokens_lost_percent", worst_loss(pausing, free), "%", "<=", balance_loss(allowed, free))
    yield Figure("governor_duty_over_balance", least_over(pausing, allowed), "ratio", ">=", 1)
    yield Figure("governor_duty_seconds_above_80", seconds_above(pausing), "seconds", "==", 0)
    yield Figure(
        "governor_fixed_duty_seconds_above_80", run(warm, fixed(allowed)).seconds_above(80), "seconds", ">=", 1
    )
    yield Figure(
        "governor_warm_seconds_above_80", run(warm, governed(warm, False)).seconds_above(80), "seconds", "==", 0
    )


def worst_loss(ours: list[Run], free: list[Run]) -> float:
    """Over the seeds."""
    return max(lost_percent(own, none) for own, none in zip(ours, free, strict=True))


def balance_loss(duty: float, free: list[Run]) -> float:
    """What a duty for ever loses against no governor, in percent: a bar that follows from the model alone."""
    return round(100 * (1 - duty * len(free[0].celsius) / max(each.tokens for each in free)), 2)


def least_over(ours: list[Run], duty: float) -> float:
    """Tokens over those of a duty for ever, the worst seed."""
    return round(min(each.tokens / (duty * len(each.celsius)) for each in ours), 3)


def seconds_above(runs: list[Run]) -> int:
    """Of all seeds together."""
    return sum(each.seconds_above(80) for each in runs)


@dataclass
class Tally:
    """What all boards in all rooms came to."""

    with_headroom: int = 0
    altered: int = 0
    without: int = 0
    oscillations: int = 0
    too_hot_seconds: int = 0
    turns: list[int] = field(default_factory=list)

    def take(self, board: Board, seed: int) -> None:
        """An hour of it without a governor, and with one that has clocks, and one that has none."""
        free, limit = run(board, nothing, seed=seed), limit_of(board)
        kept = limit - PRESETS[board.preset].margin_celsius
        has_headroom = max(free.celsius) < kept - HEADROOM_CELSIUS
        for with_clock in (True, False):
            ours = run(board, governed(board, with_clock), seed=seed)
            if has_headroom:
                self.with_headroom += 1
                self.altered += ours.schedule() != free.schedule() or ours.celsius != free.celsius
            else:
                self.without += 1
                self._take_hot(ours, limit if can_be_kept(board, kept, with_clock) else None)

    def _take_hot(self, ours: Run, limit: float | None) -> None:
        """One that had no headroom. limit: None where no lever could have kept it."""
        turns = ours.turns()
        self.turns.append(len(turns))
        self.oscillations += sum(each < DWELL_SECONDS for each in turns)
        self.too_hot_seconds += 0 if limit is None else ours.seconds_above(limit)


def everywhere() -> Iterator[Figure]:
    """R ± 25 %, τ ± 30 %, 15, 22 and 35 °C."""
    tally = Tally()
    for seed, board in enumerate(bent_boards()):
        tally.take(board, seed)
    yield Figure("governor_headroom_runs", tally.with_headroom, "runs", ">=", 50)
    yield Figure("governor_headroom_schedules_altered", tally.altered, "runs", "==", 0)
    yield Figure("governor_hot_runs", tally.without, "runs", ">=", 50)
    yield Figure("governor_oscillations", tally.oscillations, "turns", "==", 0)
    yield Figure("governor_turns_an_hour", max(tally.turns), "turns", "<=", 12)
    yield Figure("governor_seconds_above_limit", tally.too_hot_seconds, "seconds", "==", 0)
