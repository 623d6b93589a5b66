"""A LoRA adapter merged into its base: each adapted matrix becomes W + scale · B A as it is read.

The layout is PEFT's: `adapter_config.json` and `adapter_model.safetensors`, whose names are the base's with
`base_model.model.` before and `lora_A.weight`, `lora_B.weight` after. Source: Hu et al., LoRA, arXiv:2106.09685;
PEFT's documentation of the checkpoint format.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.bundle import hash_file
from export.errors import SourceError, UnsupportedError
from export.quantize import Format, Quantized
from export.source.base import Floats, Source
from export.source.folder import read_json, read_tensor, tensor_files, tensor_shape
from export.source.wrapped import WrappedSource

PREFIX = "base_model.model."
REFUSED = ("use_dora", "fan_in_fan_out", "modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication")
"""What PEFT can put into an adapter that a plain sum does not carry."""


class AdapterSource(WrappedSource):
    """A base source with an adapter folder merged into it."""

    def __init__(self, base: Source, folder: Path) -> None:
        super().__init__(base)
        self._folder = folder
        config = read_json(folder / "adapter_config.json")
        self._scale = _scale(folder, config)
        self._files = tensor_files(folder)
        self._pairs = _pairs(folder, self._files)
        for name in self._pairs:
            self._check(name)

    def tensor(self, name: str) -> Floats:
        """The base's tensor, with what the adapter adds to it."""
        value = super().tensor(name)
        if name not in self._pairs:
            return value
        down, up = (read_tensor(self._files[part], part) for part in self._pairs[name])
        merged: Floats = value + self._scale * (up @ down)
        return merged

    def stored_format(self, name: str) -> Format | None:
        """None where the adapter changes the matrix: its blocks are the base's alone."""
        return None if name in self._pairs else super().stored_format(name)

    def stored_blocks(self, name: str) -> Quantized | None:
        """Likewise."""
        return None if name in self._pairs else super().stored_blocks(name)

    def checksum(self) -> str:
        """sha256 over the base's and the adapter's."""
        digests = [super().checksum(), *map(hash_file, sorted(set(self._files.values())))]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def _check(self, name: str) -> None:
        """The adapter's matrices fit the base's."""
        rows, columns = self.shape(name)
        down, up = (tensor_shape(self._files[part], part) for part in self._pairs[name])
        if down[1:] != (columns,) or up[:1] != (rows,) or down[0] != up[1]:
            raise SourceError(
                f"the adapter {self._folder} changes {name} by {list(up)} times {list(down)},"
                f" but the base has {[rows, columns]}; is it another model's?"
            )


def _scale(folder: Path, config: Mapping[str, Any]) -> float:
    """Alpha / r, or alpha / sqrt(r) where the adapter was trained so; refuses what a plain sum does not carry."""
    if config.get("peft_type") != "LORA":
        raise UnsupportedError(f"{folder} is a {config.get('peft_type')} adapter; LoRA adapters can be merged")
    for key in REFUSED:
        if config.get(key):
            raise UnsupportedError(f"{folder} uses {key}; merge it with PEFT's merge_and_unload() and export that")
    if config.get("bias", "none") != "none":
        raise UnsupportedError(f"{folder} trained biases, which this model has none of")
    try:
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{folder}/adapter_config.json lacks or garbles {error}") from error
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _pairs(folder: Path, files: Mapping[str, Path]) -> dict[str, tuple[str, str]]:
    """By the base tensor's name, the names of A and B."""
    pairs = {}
    for name in files:
        base, middle, rest = name.removeprefix(PREFIX).partition(".lora_")
        if not middle or rest not in ("A.weight", "B.weight"):
            raise UnsupportedError(f"{folder} holds {name}, which is no part of a LoRA pair")
        if rest == "A.weight":
            pairs[f"{base}.weight"] = (name, name.replace(".lora_A.", ".lora_B."))
    missing = {part for pair in pairs.values() for part in pair} ^ set(files)
    if missing:
        raise SourceError(f"{folder} has only one half of a LoRA pair: {min(missing)}")
    if not pairs:
        raise SourceError(f"{folder} holds no LoRA matrices")
    return pairs
