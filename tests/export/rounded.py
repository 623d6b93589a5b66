"""A source as a bundle would have it: each matrix rounded to a recipe's formats as it is read."""

from __future__ import annotations

from collections.abc import Callable

from export.families.base import ROUTER
from export.quantize import Format, round_to_nearest
from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource

FormatOf = Callable[[str], Format | None]
"""By a tensor's name, what it is rounded to; None where it stays."""


class RoundedSource(WrappedSource):
    """Another source, its matrices rounded to nearest; vectors and routers as they are."""

    def __init__(self, inner: Source, format_of: FormatOf) -> None:
        super().__init__(inner)
        self._format_of = format_of

    def tensor(self, name: str) -> Floats:
        """A vector, or what a matrix's codes stand for."""
        value = super().tensor(name)
        form = None if value.ndim == 1 or name.endswith(ROUTER) else self._format_of(name)
        return round_to_nearest(value, form).dequantized() if form else value
