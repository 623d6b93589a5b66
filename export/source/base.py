"""What every source of weights offers, whatever its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from export.errors import SourceError
from export.quantize import Format, Quantized

Floats = NDArray[np.float32]


class Source(Protocol):
    """A checkpoint: its config, its tensors, its tokenizer and where it is from."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json, or what stands for it."""
        ...

    @property
    def chat_template(self) -> str:
        """The Jinja text; empty where there is none."""
        ...

    @property
    def stop_token_ids(self) -> list[int]:
        """The tokens that end an answer."""
        ...

    @property
    def generation(self) -> Mapping[str, Any]:
        """generation_config.json, or what stands for it; empty where there is none."""
        ...

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """The tokenizer's files by name; tokenizer.json is always among them."""
        ...

    def tensor_names(self) -> set[str]:
        """Every tensor that it holds: under Transformers' name, or its own where it has none there."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, from its header alone; SourceError where it is missing."""
        ...

    def tensor(self, name: str) -> Floats:
        """The float32 tensor of a Transformers name; SourceError where missing, truncated or not finite."""
        ...

    def stored_format(self, name: str) -> Format | None:
        """The blocks of MatMulNBits that a matrix is stored in, None where they are others or none."""
        ...

    def stored_blocks(self, name: str) -> Quantized | None:
        """A matrix with a `stored_format`, code by code; None where it has none."""
        ...

    def check_values(self, names: Iterable[str]) -> None:
        """SourceError where one of some tensors has a value that is no finite number; the files are read, not unpacked.

        What no look at a file can tell is found when the tensor is read.
        """
        ...

    def checksum(self) -> str:
        """sha256 of the weights, in hex."""
        ...


def finite(name: str, values: NDArray[Any]) -> Floats:
    """The values as float32; SourceError where one is not a number or infinite."""
    result = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(result).all():
        raise SourceError(f"the tensor {name} has values that are not finite numbers")
    return result
