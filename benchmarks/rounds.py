"""Several things measured in turns: each round all of them, the order alternated, so that a busy moment hits all."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

ROUNDS = 5


def in_turns(
    measured: Mapping[str, Callable[[int], Sequence[float]]], rounds: int = ROUNDS
) -> dict[str, list[list[float]]]:
    """By name, what each round gave; a measure gets the number of its round."""
    found: dict[str, list[list[float]]] = {name: [] for name in measured}
    for number in range(rounds):
        for name in list(measured) if number % 2 else reversed(list(measured)):
            found[name].append(list(measured[name](number)))
            print(f"  round {number + 1}: {name} {[round(each, 2) for each in found[name][-1]]}", file=sys.stderr)
    return found


def ratio(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], place: int) -> float:
    """The median over the rounds of ours over theirs, of one of a measure's values."""
    return median_ratio([each[place] for each in ours], [each[place] for each in theirs])


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the rounds of ours over theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
