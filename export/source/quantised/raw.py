"""What a way of storing matrices reads of a folder."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray


class Raw(Protocol):
    """Tensors as they lie in the files."""

    def stored_type(self, name: str) -> tuple[str, tuple[int, ...]]:
        """A tensor's type in safetensors' words, and its shape, from its header."""
        ...

    def stored(self, name: str) -> NDArray[Any]:
        """Its values, in that type."""
        ...

    def tensor_names(self) -> set[str]:
        """All that there are."""
        ...
