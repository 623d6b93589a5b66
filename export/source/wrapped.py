"""A source seen through another: everything passes but what the wrapper changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from export.quantize import Format, Quantized
from export.source.base import Floats, Source


class WrappedSource:
    """The inner source as it is."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner

    @property
    def inner(self) -> Source:
        """What is wrapped."""
        return self._inner

    @property
    def path(self) -> Path:
        """The inner source's, as all that follows."""
        return self._inner.path

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json, or what stands for it."""
        return self._inner.config

    @property
    def chat_template(self) -> str:
        """The Jinja text."""
        return self._inner.chat_template

    @property
    def stop_token_ids(self) -> list[int]:
        """The tokens that end an answer."""
        return self._inner.stop_token_ids

    @property
    def generation(self) -> Mapping[str, Any]:
        """generation_config.json, or what stands for it."""
        return self._inner.generation

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """The tokenizer's files by name."""
        return self._inner.tokenizer_files

    def tensor_names(self) -> set[str]:
        """Every tensor that it holds."""
        return self._inner.tensor_names()

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return self._inner.shape(name)

    def tensor(self, name: str) -> Floats:
        """A tensor as float32."""
        return self._inner.tensor(name)

    def stored_format(self, name: str) -> Format | None:
        """The blocks that a matrix is stored in."""
        return self._inner.stored_format(name)

    def stored_blocks(self, name: str) -> Quantized | None:
        """A matrix code by code."""
        return self._inner.stored_blocks(name)

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number."""
        self._inner.check_values(names)

    def checksum(self) -> str:
        """sha256 of the weights."""
        return self._inner.checksum()
