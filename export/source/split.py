"""A checkpoint whose packed projections are seen apart: Phi-3's query, key and value; its gate and up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from export.quantize import Format, Quantized
from export.source.base import Floats, Source

Parts = Mapping[str, tuple[str, slice]]
"""By a part's module name, the packed module that holds it and its rows there."""


class SplitSource:
    """Another source, its packed projections read by the rows of their parts."""

    def __init__(self, packed: Source, parts: Parts) -> None:
        self._packed, self._parts = packed, parts
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

    @property
    def path(self) -> Path:
        """The packed source's."""
        return self._packed.path

    @property
    def config(self) -> Mapping[str, Any]:
        """Likewise."""
        return self._packed.config

    @property
    def chat_template(self) -> str:
        """Likewise."""
        return self._packed.chat_template

    @property
    def stop_token_ids(self) -> list[int]:
        """Likewise."""
        return self._packed.stop_token_ids

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """Likewise."""
        return self._packed.tokenizer_files

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; a part's rows as far as the packed one has them."""
        packed, rows = self._place(name)
        height, *rest = self._packed.shape(packed)
        return (len(range(height)[rows]), *rest)

    def tensor(self, name: str) -> Floats:
        """A tensor, or a part's rows of it."""
        packed, rows = self._place(name)
        return self._packed.tensor(name) if packed == name else self._last(packed)[rows]

    def stored_format(self, name: str) -> Format | None:
        """The packed one's."""
        return self._packed.stored_format(self._place(name)[0])

    def stored_blocks(self, name: str) -> Quantized | None:
        """A part's rows of the packed one's."""
        packed, rows = self._place(name)
        blocks = self._packed.stored_blocks(packed)
        return blocks and blocks.part(rows)

    def checksum(self) -> str:
        """The packed source's."""
        return self._packed.checksum()
