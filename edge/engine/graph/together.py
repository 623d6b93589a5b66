"""Rows of several adapters in one run: their matrices as one, and for each row which of the columns count.

Each row is multiplied with the columns of all adapters, and those of others are zeros then, which add nothing to a sum:
every row has what it would have with its own alone, to the bit (decision 73).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine.graph.adapters import Feeds

DOWN, UP, ROWS = ".lora_down", ".lora_up", ".lora_rows"
"""Behind a product's name, the inputs of its branch; further parts of the first have numbers, from 1 on."""
PART_RANKS, RANKS_MAX = 16, 128
"""Columns of a part, and of all: a longer sum would be cut, and an adapter's with it."""
BYTES_MAX = 64 << 20
"""What is copied for one run: the adapters' own files are mapped."""


class Together:
    """Adapters by their names, as far as one graph takes several at once. inputs: the graph's."""

    def __init__(self, adapters: Mapping[str, Feeds], inputs: Iterable[str]) -> None:
        parts = Counter(name.partition(DOWN)[0] for name in inputs if DOWN in name)
        self._room = {product: min(RANKS_MAX, PART_RANKS * number) for product, number in parts.items()}
        self._adapters = adapters
        self._ranks = {name: _ranks(adapter) for name, adapter in adapters.items()}
        self._asked: tuple[frozenset[str], bool] = (frozenset(), True)
        self._names: tuple[str, ...] = ()
        self._matrices: Feeds = {}

    def takes(self, names: Iterable[str]) -> bool:
        """Whether one run can have all of these; an empty name is none."""
        wanted = frozenset(names) - {""}
        if wanted != self._asked[0]:
            self._asked = (wanted, self._have_room(wanted))
        return self._asked[1]

    def _have_room(self, names: frozenset[str]) -> bool:
        ranks: Counter[str] = Counter()
        for name in names:
            ranks.update(self._ranks[name])
        size = sum(values.nbytes for name in names for values in self._adapters[name].values())
        return size <= BYTES_MAX and all(rank <= self._room.get(product, 0) for product, rank in ranks.items())

    def begin(self, names: Iterable[str]) -> bool:
        """Have these adapters' matrices as one; whether what was told of before is no longer so."""
        wanted = set(names) - {""}
        if wanted <= set(self._names):
            return False
        self._names = tuple(sorted(wanted))
        self._matrices = stacked([self._adapters[name] for name in self._names])
        return True

    def feeds(self, rows: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """What the graph is fed for rows with these adapters."""
        whose: dict[str, list[str]] = {}
        for name in self._names:
            for product, rank in self._ranks[name].items():
                whose.setdefault(product, []).extend([name] * rank)
        mine = np.array(rows)[:, None, None]
        return {**self._matrices, **{product + ROWS: mine == np.array(names) for product, names in whose.items()}}


def stacked(adapters: Sequence[Feeds]) -> Feeds:
    """Side by side, cut into parts anew."""
    made: dict[str, NDArray[np.float32]] = {}
    for product in dict.fromkeys(product for each in adapters for product in _ranks(each)):
        whole = np.concatenate([part for each in adapters for part in _parts(each, product)], axis=1)
        made[product + UP] = np.concatenate([each[product + UP] for each in adapters if product + UP in each])
        for number, first in enumerate(range(0, whole.shape[1], PART_RANKS)):
            part = whole[:, first : first + PART_RANKS]
            made[product + DOWN + (f".{number}" if number else "")] = np.ascontiguousarray(part)
    return made


def _ranks(adapter: Feeds) -> dict[str, int]:
    """Columns by the products that an adapter changes."""
    return {name.removesuffix(UP): len(values) for name, values in adapter.items() if name.endswith(UP)}


def _parts(adapter: Feeds, product: str) -> list[NDArray[np.float32]]:
    """An adapter's parts for a product, in their order."""
    names = (product + DOWN + (f".{number}" if number else "") for number in count())
    return [adapter[name] for name in takewhile(adapter.__contains__, names)]
