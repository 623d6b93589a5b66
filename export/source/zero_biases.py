"""A checkpoint seen as if it had biases that its config says it has not: they are zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource


class ZeroBiases(WrappedSource):
    """Another source with some biases of zeros. sizes: how long each is, by its name."""

    def __init__(self, inner: Source, sizes: Mapping[str, int]) -> None:
        super().__init__(inner)
        self._sizes = sizes

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return (self._sizes[name],) if name in self._sizes else super().shape(name)

    def tensor(self, name: str) -> Floats:
        """A tensor, or zeros."""
        return np.zeros(self._sizes[name], np.float32) if name in self._sizes else super().tensor(name)

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number; zeros are."""
        super().check_values([name for name in names if name not in self._sizes])
