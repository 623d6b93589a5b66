"""Where each row's cache lies.

Answers lie side by side from slot 0 on, so that one run makes all their tokens. A prompt is read behind them, where its
answer is likely to grow: where prompts end in the order in which they came, nothing is moved. Else it is one row at a
time, to its place or into a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge.engine.batch.row import Row


class Memory(Protocol):
    """What is done with the caches; edge.engine.graph.session.Caches is the real one."""

    def copy(self, source: int, target: int, tokens: int) -> None:
        """A slot's first tokens into another slot."""

    def release(self, slot: int) -> None:
        """A slot's memory back to the system."""


class Slots:
    """The rows that have a slot. There is one slot more than rows, so that one is free to move things through.

    reading: whose prompts are being read, oldest first. writing: whose answers grow, each in the slot of its index.
    """

    def __init__(self, memory: Memory, rows: int) -> None:
        self._memory, self._rows = memory, rows
        self.reading: list[Row] = []
        self.writing: list[Row] = []

    def __iter__(self) -> Iterator[Row]:
        yield from self.reading
        yield from self.writing

    def __len__(self) -> int:
        return len(self.reading) + len(self.writing)

    def enter(self, row: Row) -> None:
        """A slot for a row whose prompt is to be read: the first behind the answers and those who came before."""
        row.slot = self._free()[0]
        self.reading.append(row)

    def promote(self, row: Row) -> None:
        """Its prompt is read: beside the other answers."""
        place = len(self.writing)
        for other in self.reading:
            if other.slot == place and other is not row:
                self._move(other, self._free()[-1])
        if row.slot != place:
            self._move(row, place)
        self.reading.remove(row)
        self.writing.append(row)

    def leave(self, row: Row) -> None:
        """Its slot is free again, and the last answer moves into the gap."""
        self._memory.release(row.slot)
        if row in self.reading:
            self.reading.remove(row)
            return
        last = self.writing.pop()
        if last is not row:
            self._move(last, row.slot)
            self.writing[row.slot] = last

    def _free(self) -> list[int]:
        """The slots that nobody has, in their order."""
        taken = {row.slot for row in self}
        return [slot for slot in range(self._rows + 1) if slot not in taken]

    def _move(self, row: Row, slot: int) -> None:
        self._memory.copy(row.slot, slot, row.seen)
        self._memory.release(row.slot)
        row.slot = slot
