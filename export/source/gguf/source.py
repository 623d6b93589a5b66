"""A GGUF file as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import hash_file
from export.errors import SourceError, UnsupportedError
from export.quantize import Format, Quantized
from export.source.base import Floats, finite
from export.source.chat import written_beside
from export.source.gguf.blocks import BLOCKS, dequantized
from export.source.gguf.config import config_of
from export.source.gguf.header import Stored
from export.source.gguf.keys import ARCHITECTURES, Keys, check_keys
from export.source.gguf.mixture import ARCHITECTURE as MIXTURE
from export.source.gguf.mixture import apart
from export.source.gguf.names import FACTORS, in_transformers, module_of
from export.source.gguf.parts import read_parts
from export.source.scan import all_of, check_stored
from export.tokenizer import header as tokenizer

GGUF_SAMPLING = {
    "temperature": "temp",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}
IN_PAIRS = ("llama", "smollm3")
"""Architectures whose rotary pairs lie side by side; llama.cpp turns those of the others in halves, as Transformers."""
INTERLEAVED = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}
"""GGUF keeps a Llama's query and key rows in the order of the original code's rotary pairs."""


class GgufSource:
    """A GGUF file, or all the parts of one that was split."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header, self._files = read_parts(path)
        self._keys = Keys(self._header)
        check_keys(self._header)
        self._tensors = self._named()

    def _named(self) -> dict[str, Stored]:
        """Every tensor by its Transformers name but rotary factors; UnsupportedError for one that has none."""
        architecture = self._keys.text("general.architecture") or ""
        if architecture not in ARCHITECTURES:
            return self._header.tensors
        found: dict[str, Stored] = {}
        for name, stored in self._header.tensors.items():
            ours, experts = in_transformers(name, architecture), self._experts(architecture, name, stored)
            if ours is None and not experts and name not in FACTORS.get(architecture, ()):
                raise UnsupportedError(
                    f"{self.path} has the tensor {name}, which no {architecture} model is read with;"
                    " export the model from its Hugging Face folder"
                )
            found |= experts or ({} if ours is None else {ours: stored})
        return found

    @staticmethod
    def _experts(architecture: str, name: str, stored: Stored) -> dict[str, Stored]:
        """By Transformers' names, what a tensor has of several experts."""
        return dict(apart(name, stored)) if architecture == MIXTURE else {}

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The header's sizes under Transformers' names."""
        tokens = self._header.keys.get("tokenizer.ggml.tokens")
        return config_of(self._header, len(tokens) if isinstance(tokens, list) else 0)

    @cached_property
    def chat_template(self) -> str:
        """The Jinja text in the header, else in chat_template.jinja beside the file; empty where there is none."""
        return self._keys.text("tokenizer.chat_template") or written_beside(self.path.parent)

    @cached_property
    def stop_token_ids(self) -> list[int]:
        """The tokens that end an answer."""
        return self._vocabulary.stop_token_ids(self.chat_template)

    @cached_property
    def generation(self) -> Mapping[str, Any]:
        """The header's sampling under Transformers' names; empty where it names no temperature."""
        found = {ours: self._keys.real(f"general.sampling.{theirs}") for ours, theirs in GGUF_SAMPLING.items()}
        named = {name: round(value, 6) for name, value in found.items() if value is not None}
        if "temperature" not in named:
            return {}
        top_k = max(0, int(named.get("top_k", 0)))  # below 0 is off, in llama.cpp
        return {**named, "do_sample": True, "top_k": top_k}

    @cached_property
    def _vocabulary(self) -> tokenizer.Vocabulary:
        header = {field: self._header.keys.get(f"tokenizer.ggml.{field}") for field in tokenizer.HEADER}
        return tokenizer.Vocabulary.from_header(header, self._keys.text("general.architecture") or "")

    @cached_property
    def tokenizer_files(self) -> Mapping[str, str]:
        """tokenizer.json and tokenizer_config.json, made from the header."""
        return tokenizer.tokenizer_files(self._vocabulary, self.chat_template)

    def tensor_names(self) -> set[str]:
        """Every tensor under its Transformers name, rotary factors aside, which the config holds."""
        return set(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape as Transformers has it; UnsupportedError where its type is not read."""
        stored = self._stored(name)
        dequantized(name, stored.kind, stored.data[:1])
        return stored.shape

    def tensor(self, name: str) -> Floats:
        """The dequantised tensor of a Transformers name."""
        stored = self._stored(name)
        values = finite(name, self._in_order(name, dequantized(name, stored.kind, stored.data)))
        return values - 1 if self._adds_one and name.endswith("norm.weight") else values

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number, told from its bits, and from the scales of blocks."""
        held = [(name, self._stored(name)) for name in names]
        all_of(partial(check_stored, name, each.kind, np.asarray(each.data).view(np.uint8)) for name, each in held)

    def stored_format(self, name: str) -> Format | None:
        """Of a Q4_0 or Q8_0 matrix; None for every other type."""
        form, _ = BLOCKS.get(self._stored(name).kind, (None, None))
        return form

    def stored_blocks(self, name: str) -> Quantized | None:
        """The blocks of a Q4_0 or Q8_0 matrix, to the bit; None for every other type."""
        stored = self._stored(name)
        if stored.kind not in BLOCKS:
            return None
        form, unpack = BLOCKS[stored.kind]
        codes, halves = unpack(np.asarray(stored.data))
        scales = finite(name, self._in_order(name, halves))
        points = np.full(scales.shape, form.middle, np.uint8)
        return Quantized(form, stored.shape[-1], self._in_order(name, codes), scales, points)

    def _stored(self, name: str) -> Stored:
        if name not in self._tensors:
            raise SourceError(f"{self.path} has no tensor for {name}")
        return self._tensors[name]

    @cached_property
    def _adds_one(self) -> bool:
        """Whether the file's norms are what Transformers' are multiplied as: one more than their weights."""
        return self.config["architectures"][0] in ("gemma2", "gemma3")

    def _in_order(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows as Transformers has them, where GGUF keeps another order."""
        heads = INTERLEAVED.get(module_of(name))
        return (
            _rows_in_halves(rows, self.config[heads]) if heads and self.config["architectures"][0] in IN_PAIRS else rows
        )

    def checksum(self) -> str:
        """sha256 of the file; of several, over their own in their order."""
        digests = [hash_file(file) for file in self._files]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _rows_in_halves(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of rotary pairs (0, 1), (2, 3) … put back to Transformers' order: all first ones, then all second ones."""
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
