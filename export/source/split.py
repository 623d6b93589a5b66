"""A checkpoint whose packed projections are seen apart: Phi-3's query, key and value; its gate and up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from export.errors import SourceError
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

    def tensor_names(self) -> set[str]:
        """Those of the parts instead of the packed ones; SourceError where both are there."""
        names = super().tensor_names()
        apart = {part for name in names for part in self._parts_of(name)}
        if apart & names:
            raise SourceError(f"{self.path} has {min(apart & names)} beside the projection that it is a part of")
        return {name for name in names if not self._parts_of(name)} | apart

    def _parts_of(self, name: str) -> list[str]:
        """The tensors that a packed one is made of; none where it is not packed."""
        return [
            name.replace(f".{packed}.", f".{part}.")
            for part, (packed, _) in self._parts.items()
            if name.startswith("model.layers.") and name.endswith(f".{packed}.weight")
        ]

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; a part's rows as far as the packed one has them.

        Raises SourceError where the packed one has more rows than its parts, so that some would go unread.
        """
        packed, rows = self._place(name)
        height, *rest = super().shape(packed)
        if packed != name and height > (whole := self._height(packed)):
            raise SourceError(f"{packed} has {height} rows, but by the config of {self.path} it has {whole}")
        return (len(range(height)[rows]), *rest)

    def _height(self, packed: str) -> int:
        """The rows of all parts of a packed tensor."""
        return max(int(rows.stop) for whole, rows in self._parts.values() if packed.endswith(f".{whole}.weight"))

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

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number, the packed ones' looked at once."""
        super().check_values(dict.fromkeys(self._place(name)[0] for name in names))
