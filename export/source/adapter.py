"""A LoRA adapter merged into its base: each adapted matrix becomes W + scale · B A as it is read.

The layout is PEFT's: `adapter_config.json` and `adapter_model.safetensors`, whose names are the base's with
`base_model.model.` before and `lora_A.weight`, `lora_B.weight` after. Source: Hu et al., LoRA, arXiv:2106.09685;
PEFT's documentation of the checkpoint format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edge.bundle import hash_file
from export.errors import SourceError, UnsupportedError
from export.quantize import Format, Quantized
from export.source.adapter_config import AdapterConfig
from export.source.base import Floats, Source
from export.source.shards import adapter_file, read_tensor, tensor_shape, tensors_of
from export.source.wrapped import WrappedSource

PREFIX = "base_model.model."


class AdapterSource(WrappedSource):
    """A base source with an adapter folder merged into it."""

    def __init__(self, base: Source, folder: Path) -> None:
        super().__init__(base)
        self._folder = folder
        self._config, self._file = AdapterConfig(folder), adapter_file(folder)
        names = {name for name in tensors_of([self._file]) if not self._is_bases_own(name)}
        self._pairs = pairs_of(folder, names)
        for name in self._pairs:
            self._check(name)
        self._scales = {name: self._config.scale_of(_module(name)) for name in self._pairs}

    @property
    def folder(self) -> Path:
        """Where the adapter lies."""
        return self._folder

    def tensor(self, name: str) -> Floats:
        """The base's tensor, with what the adapter adds to it."""
        value = super().tensor(name)
        if name not in self._pairs:
            return value
        down, up = (read_tensor(self._file, part) for part in self._pairs[name])
        merged: Floats = value + np.float32(self._scales[name]) * (up @ down)
        return merged

    def stored_format(self, name: str) -> Format | None:
        """None where the adapter changes the matrix: its blocks are the base's alone."""
        return None if name in self._pairs else super().stored_format(name)

    def stored_blocks(self, name: str) -> Quantized | None:
        """Likewise."""
        return None if name in self._pairs else super().stored_blocks(name)

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number, the adapter's too."""
        for part in (part for pair in self._pairs.values() for part in pair):
            read_tensor(self._file, part)
        super().check_values(names)

    def checksum(self) -> str:
        """sha256 over the base's and the adapter's."""
        digests = [super().checksum(), hash_file(self._file)]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def _is_bases_own(self, name: str) -> bool:
        """Whether it is a table of the base, unchanged: PEFT writes those along whose rows may have grown."""
        own = name.removeprefix(PREFIX).replace(".base_layer.", ".")
        if ".lora_" in name or own not in super().tensor_names():
            return False
        return tensor_shape(self._file, name) == self.shape(own) and bool(
            (read_tensor(self._file, name) == super().tensor(own)).all()
        )

    def _check(self, name: str) -> None:
        """The adapter's matrices fit the base's, and are what its config says."""
        self._config.check_target(_module(name))
        rows, columns = self.shape(name)
        down, up = (tensor_shape(self._file, part) for part in self._pairs[name])
        if down[1:] != (columns,) or up[:1] != (rows,) or down[0] != up[1]:
            raise SourceError(
                f"the adapter {self._folder} changes {name} by {list(up)} times {list(down)},"
                f" but the base has {[rows, columns]}; is it another model's?"
            )
        if (rank := self._config.rank_of(_module(name))) != down[0]:
            raise SourceError(f"the adapter {self._folder} says a rank of {rank} for {name}, but has {down[0]}")


def _module(name: str) -> str:
    return name.removesuffix(".weight")


def pairs_of(folder: Path, names: set[str]) -> dict[str, tuple[str, str]]:
    """By the base tensor's name, the names of A and B. Raises SourceError and UnsupportedError for what is no pair."""
    pairs = {}
    for name in sorted(names):
        base, middle, rest = name.removeprefix(PREFIX).partition(".lora_")
        if not (middle and name.startswith(PREFIX)) or rest not in ("A.weight", "B.weight"):
            raise UnsupportedError(f"{folder} holds {name}, which is no part of a LoRA pair")
        if rest == "A.weight":
            pairs[f"{base}.weight"] = (name, name.replace(".lora_A.", ".lora_B."))
    missing = {part for pair in pairs.values() for part in pair} ^ names
    if missing:
        raise SourceError(f"{folder} has only one half of a LoRA pair: {min(missing)}")
    if not pairs:
        raise SourceError(f"{folder} holds no LoRA matrices")
    return pairs
