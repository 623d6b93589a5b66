"""Whose turn it is: the more urgent first, and among equals one request of each client after the other.

Round robin by client, so that the wait of one that asks once does not grow with what another has asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass
class Level(Generic[Item]):
    """Requests of one urgency: each client's own in their order; the dictionary's order is whose turn is next."""

    clients: dict[str, deque[Item]] = field(default_factory=dict)

    def in_turn(self) -> Iterator[Item]:
        """All of them as they will come, if none is added."""
        left = [deque(items) for items in self.clients.values()]
        while left:
            for items in left:
                yield items.popleft()
            left = [items for items in left if items]


class Turns(Generic[Item]):
    """What waits."""

    def __init__(self, levels: int) -> None:
        self._levels: list[Level[Item]] = [Level() for _ in range(levels)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        """In the order in which they will come."""
        for level in self._levels:
            yield from level.in_turn()

    def of(self, client: str) -> int:
        """How many a client has waiting."""
        return sum(len(level.clients.get(client, ())) for level in self._levels)

    def put(self, item: Item, client: str, urgency: int) -> None:
        """Behind the client's others of that urgency, 0 being the most urgent."""
        self._levels[urgency].clients.setdefault(client, deque()).append(item)
        self._count += 1

    def put_first(self, item: Item, client: str) -> None:
        """Before everything else."""
        level = self._levels[0]
        own = deque([item, *level.clients.pop(client, ())])
        level.clients = {client: own, **level.clients}
        self._count += 1

    def first(self) -> Item | None:
        """Whose turn it is."""
        return next((items[0] for level in self._levels for items in level.clients.values()), None)

    def take(self) -> Item:
        """The first, out of the line; its client's next one waits until the others had theirs. IndexError if empty."""
        for level in self._levels:
            for client, items in level.clients.items():
                item = items.popleft()
                del level.clients[client]
                if items:
                    level.clients[client] = items
                self._count -= 1
                return item
        raise IndexError("nobody waits")

    def remove(self, item: Item) -> bool:
        """Take one out wherever it is; False where it does not wait."""
        for level in self._levels:
            for client, items in level.clients.items():
                if item in items:
                    items.remove(item)
                    if not items:
                        del level.clients[client]
                    self._count -= 1
                    return True
        return False

    def clear(self) -> list[Item]:
        """All of them, none left."""
        left, self._count = list(self), 0
        for level in self._levels:
            level.clients.clear()
        return left
