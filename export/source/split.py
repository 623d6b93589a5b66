"""A checkpoint whose packed projections are seen apart: Phi-3's query, key and value; its gate and up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from export.quantize import Format, Quantized
from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource

Parts = Mapping[str, tuple[str, slice]]
"""By a part's module name, the packed module that holds it and its rows there."""


class SplitSource(WrappedSource):
    """Another source, its packed projections read by the rows of their parts."""

    def __init__(self, packed: Source, parts: Parts) -> None:
        super().__init__(packed)
        self._parts = parts
        self._last = lru_cache(maxsize=1)(packed.tensor)
        """The parts of a projection are asked for one after the other."""

    def _place(self, name: str) -> tuple[str, slice]:
        """The packed tensor and the rows of it; a tensor that is no part is its own place."""
        layer = name.split(".")[:3]
        module = name.removesuffix(".weight").removeprefix(".".join(layer) + ".")
        if module not in self._parts:
            return name, slice(None)
        packed, rows = self._parts[module]
        return ".".join([*layer, packed, "weight"]), rows

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; a part's rows as far as the packed one has them."""
        packed, rows = self._place(name)
        height, *rest = super().shape(packed)
        return (len(range(height)[rows]), *rest)

    def tensor(self, name: str) -> Floats:
        """A tensor, or a part's rows of it."""
        packed, rows = self._place(name)
        return super().tensor(name) if packed == name else self._last(packed)[rows]

    def stored_format(self, name: str) -> Format | None:
        """The packed one's."""
        return super().stored_format(self._place(name)[0])

    def stored_blocks(self, name: str) -> Quantized | None:
        """A part's rows of the packed one's."""
        packed, rows = self._place(name)
        blocks = super().stored_blocks(packed)
        return blocks and blocks.part(rows)
