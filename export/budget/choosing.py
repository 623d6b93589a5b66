"""The bytes where they save most, and the loss by size that follows.

Losses of groups are taken to add up, as small ones nearly do. Each group goes from the smallest format up to better
ones, along the lower hull of its losses by bytes; of all these steps the one that saves most a byte comes first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from export.budget.groups import Group
from export.quantize import Format

LEAST_SAVED = 0.0005
"""Nats that a hundredth more bytes have to save: each costs time with every token, so that none goes for nothing."""


@dataclass(frozen=True)
class Option:
    """A group in a format: what it takes, and what it is reckoned to lose, nats a token.

    first_rows: of a table, so many have 8 bits.
    """

    form: Format
    size_bytes: int
    loss: float
    first_rows: int = 0


@dataclass(frozen=True)
class Step:
    """A group from one option to the next. saved: nats a byte."""

    group: Group
    before: Option
    after: Option

    @property
    def size_bytes(self) -> int:
        """What it takes."""
        return self.after.size_bytes - self.before.size_bytes

    @property
    def saved(self) -> float:
        """Nats a byte."""
        return (self.before.loss - self.after.loss) / self.size_bytes


@dataclass(frozen=True)
class Point:
    """A choice: every group's option."""

    options: Mapping[Group, Option]

    @property
    def size_bytes(self) -> int:
        """Of all groups."""
        return sum(each.size_bytes for each in self.options.values())

    @property
    def loss(self) -> float:
        """Of all groups together, nats a token."""
        return math.fsum(each.loss for each in self.options.values())

    def after(self, step: Step) -> Point:
        """The choice with one step taken."""
        return Point({**self.options, step.group: step.after})


def hull(options: Sequence[Option]) -> list[Option]:
    """Those that no other, nor a mixture of two, is better than; the smallest first."""
    kept: list[Option] = []
    for each in sorted(options, key=lambda option: (option.size_bytes, option.loss)):
        if kept and each.loss >= kept[-1].loss:
            continue
        while len(kept) > 1 and _saved(kept[-2], each) >= _saved(kept[-2], kept[-1]):
            kept.pop()
        kept.append(each)
    return kept


def _saved(before: Option, after: Option) -> float:
    return (before.loss - after.loss) / (after.size_bytes - before.size_bytes)


def steps(options: Mapping[Group, Sequence[Option]]) -> tuple[Point, list[Step]]:
    """Every group in its smallest format, and the steps from there, the best first."""
    hulls = {group: hull(each) for group, each in options.items()}
    found = [Step(group, *pair) for group, each in hulls.items() for pair in itertools.pairwise(each)]
    start = Point({group: each[0] for group, each in hulls.items()})
    return start, sorted(found, key=lambda step: step.saved, reverse=True)


def curve(options: Mapping[Group, Sequence[Option]]) -> Iterator[Point]:
    """From all that is smallest to all that is best."""
    point, found = steps(options)
    yield point
    for step in found:
        point = point.after(step)
        yield point


def smallest(options: Mapping[Group, Sequence[Option]]) -> Point:
    """All in what takes least."""
    return steps(options)[0]


def chosen(options: Mapping[Group, Sequence[Option]], budget_bytes: int) -> Point:
    """What loses least within a budget for the groups; the smallest choice where even that is larger.

    Along the hulls first; then what is left goes to whatever saves most of all that fits in.
    """
    point, found = steps(options)
    for step in found:
        if point.options[step.group] == step.before and _is_worth(step, point, budget_bytes):
            point = point.after(step)
    while left := [step for step in _from(point, options) if _is_worth(step, point, budget_bytes)]:
        point = point.after(max(left, key=lambda step: step.before.loss - step.after.loss))
    return point


def _is_worth(step: Step, point: Point, budget_bytes: int) -> bool:
    fits = point.size_bytes + step.size_bytes <= budget_bytes
    return fits and step.saved * point.size_bytes / 100 >= LEAST_SAVED


def _from(point: Point, options: Mapping[Group, Sequence[Option]]) -> Iterator[Step]:
    """Each group to anything larger that loses less."""
    for group, now in point.options.items():
        for each in options[group]:
            if each.size_bytes > now.size_bytes and each.loss < now.loss:
                yield Step(group, now, each)
