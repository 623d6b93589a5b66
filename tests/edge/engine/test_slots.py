"""Slots by all sequences of joins, promotions and leaves that hypothesis thinks of, against a plain model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import data, integers

from edge.engine.batch.slots import Slots

ROWS = 5


class Text:
    """As much of a row as slots look at."""

    def __init__(self, name: int) -> None:
        self.name, self.slot, self.seen = name, -1, 1


class Shelf:
    """A memory that knows whose cache lies where."""

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.copies = 0

    def copy(self, source: int, target: int, tokens: int) -> None:
        assert target not in self.slots
        self.slots[target] = self.slots[source]
        self.copies += 1

    def release(self, slot: int) -> None:
        del self.slots[slot]


class Machine(RuleBasedStateMachine):
    """Whatever happens, each row's cache is where its slot says, and answers lie side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()
        self.slots = Slots(self.shelf, ROWS)
        self.count = 0

    @precondition(lambda self: len(self.slots) < ROWS)
    @rule()
    def enter(self) -> None:
        """A new row; its cache is filled at once."""
        text = Text(self.count)
        self.count += 1
        self.slots.enter(text)
        assert text.slot not in self.shelf.slots
        self.shelf.slots[text.slot] = text.name

    @precondition(lambda self: self.slots.reading)
    @rule(choice=data())
    def promote(self, choice) -> None:
        """A prompt is read: two copies at the most."""
        before = self.shelf.copies
        self.slots.promote(self.slots.reading[choice.draw(integers(0, len(self.slots.reading) - 1))])
        assert self.shelf.copies - before <= 2

    @precondition(lambda self: len(self.slots))
    @rule(choice=data())
    def leave(self, choice) -> None:
        """Any row goes: one copy at the most."""
        before = self.shelf.copies
        rows = list(self.slots)
        self.slots.leave(rows[choice.draw(integers(0, len(rows) - 1))])
        assert self.shelf.copies - before <= 1

    @invariant()
    def all_in_place(self) -> None:
        """What the module promises."""
        assert [row.slot for row in self.slots.writing] == list(range(len(self.slots.writing)))
        assert {row.slot: row.name for row in self.slots} == self.shelf.slots
        assert all(0 <= slot <= ROWS for slot in self.shelf.slots)


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, derandomize=True)
TestSlots = Machine.TestCase
