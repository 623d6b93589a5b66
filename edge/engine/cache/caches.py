"""Keys and values of texts, in one block of memory of ours: a *slot* a text.

onnxruntime's GroupQueryAttention writes into the cache that it reads from where past and present are one buffer
(ContribOperators.md), so that neighbouring slots decode together.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAP_NORESERVE = 0x4000
"""mmap(2): most slots are never filled, so that their sum may well be more than the board has."""


class Caches:
    """Keys and values: `[layers, 2, slots, kv_heads, length, head_size]`, of which only what is used takes memory."""

    def __init__(self, layers: int, slots: int, heads: int, length: int, head_size: int, dtype: np.dtype[Any]) -> None:
        shape = (layers, 2, slots, heads, length, head_size)
        size = int(np.prod(shape)) * dtype.itemsize
        self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        self._memory.madvise(mmap.MADV_NOHUGEPAGE)  # a huge page would hold rows that nobody has filled
        self.array = np.frombuffer(self._memory, dtype).reshape(shape)
        self.slots, self.length = slots, length

    def copy(self, source: int, target: int, tokens: int, start: int = 0) -> None:
        """A slot's first tokens into another slot, but for as many as are there already."""
        self.array[:, :, target, :, start:tokens] = self.array[:, :, source, :, start:tokens]

    def read(self, slot: int, start: int, stop: int) -> NDArray[Any]:
        """A copy of some tokens of a slot, `[layers, 2, kv_heads, tokens, head_size]`."""
        return self.array[:, :, slot, :, start:stop].copy()

    def write(self, slot: int, start: int, block: NDArray[Any]) -> None:
        """Put such a copy into a slot."""
        self.array[:, :, slot, :, start : start + block.shape[3]] = block

    def release(self, slot: int) -> None:
        """Give a slot's memory back to the system."""
        layers, size = self.array.shape[0] * 2, self.array[0, 0, 0].nbytes
        for part in range(layers):
            start = (part * self.slots + slot) * size
            first, last = -(-start // mmap.PAGESIZE), (start + size) // mmap.PAGESIZE
            if last > first:
                self._memory.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)
