"""Keys and values as graphs of fixed shapes read them: keys with their channels before their places.

So no run turns a whole cache around (export/fixed/attention.py). Whoever copies, keeps and gives back pieces of it sees
the places first, as everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine.cache.caches import Caches


class ChannelCaches(Caches):
    """`array` is one text's memory after the other; what its keys are is seen through `keys` and `values`.

    keys: `[layers, slots, kv_heads, head_size, length]`. values: `[layers, slots, kv_heads, length, head_size]`.
    """

    def __init__(self, layers: int, slots: int, heads: int, length: int, head_size: int, dtype: np.dtype[Any]) -> None:
        super().__init__(layers, slots, heads, length, head_size, dtype)
        self.values = self.array[:, 1]
        shape, strides = (layers, slots, heads, head_size, length), self.array.strides
        step = dtype.itemsize
        self.keys = np.lib.stride_tricks.as_strided(
            self.array, shape, (strides[0], strides[2], strides[3], length * step, step)
        )

    def copy(self, source: int, target: int, tokens: int, start: int = 0) -> None:
        """A slot's first tokens into another slot, but for as many as are there already."""
        self.keys[:, target, :, :, start:tokens] = self.keys[:, source, :, :, start:tokens]
        self.values[:, target, :, start:tokens] = self.values[:, source, :, start:tokens]

    def read(self, slot: int, start: int, stop: int) -> NDArray[Any]:
        """A copy of some tokens of a slot, `[layers, 2, kv_heads, tokens, head_size]`."""
        keys = self.keys[:, slot, :, :, start:stop].swapaxes(2, 3)
        return np.stack([keys, self.values[:, slot, :, start:stop]], axis=1)

    def write(self, slot: int, start: int, block: NDArray[Any]) -> None:
        """Put such a copy into a slot."""
        stop = start + block.shape[3]
        self.keys[:, slot, :, :, start:stop] = block[:, 0].swapaxes(2, 3)
        self.values[:, slot, :, start:stop] = block[:, 1]
