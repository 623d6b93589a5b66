"""A checkpoint seen as if it had but a few of its layers: enough to try everything on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from export.quantize import Format, Quantized
from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource

LAYERS = "model.layers."


class FewLayers(WrappedSource):
    """Another source with some of its layers, numbered anew. kept: their numbers there."""

    def __init__(self, inner: Source, kept: Sequence[int]) -> None:
        super().__init__(inner)
        self._kept = kept

    def _there(self, name: str) -> str:
        """`model.layers.1.mlp.up_proj.weight` as the inner source calls it."""
        if not name.startswith(LAYERS):
            return name
        index, _, rest = name.removeprefix(LAYERS).partition(".")
        return f"{LAYERS}{self._kept[int(index)]}.{rest}"

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, as all that follows of the layer that it really is of."""
        return super().shape(self._there(name))

    def tensor(self, name: str) -> Floats:
        """A tensor as float32."""
        return super().tensor(self._there(name))

    def stored_format(self, name: str) -> Format | None:
        """The blocks that a matrix is stored in."""
        return super().stored_format(self._there(name))

    def stored_blocks(self, name: str) -> Quantized | None:
        """A matrix code by code."""
        return super().stored_blocks(self._there(name))

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number."""
        super().check_values([self._there(name) for name in names])

    def checksum(self) -> str:
        """Zeros: to read gigabytes for the sum of a few layers is not worth it."""
        return "0" * 64
