"""A GGUF file as a source.

Q4_0 and Q8_0 are what MatMulNBits computes: blocks of 32, one scale, the zero point in the middle. They pass
through unchanged. Q4_1 has a floating offset a block, which the operator takes only on its slow path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import hash_file
from export import tokenizer
from export.errors import SourceError, UnsupportedError
from export.quantize import Codes, Format, Quantized
from export.source.base import Floats, finite

GGUF_CONFIG = {
    "num_hidden_layers": "block_count",
    "max_position_embeddings": "context_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "rope_theta": "rope.freq_base",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "head_dim": "attention.key_length",
}
GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
GGUF_SAMPLING = {
    "temperature": "temp",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}
INTERLEAVED = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}
"""GGUF keeps a Llama's query and key rows in the order of the original code's rotary pairs."""


class GgufSource:
    """A GGUF file with a byte-level BPE tokenizer."""

    def __init__(self, path: Path) -> None:
        import gguf

        self._path = path
        try:
            self._reader = gguf.GGUFReader(path)
        except (ValueError, IndexError, KeyError, OSError) as error:
            raise SourceError(f"{path} is not a whole GGUF file: {error}") from error
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    def _field(self, name: str) -> Any:
        field = self._reader.get_field(name)
        return None if field is None else field.contents()

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The header's sizes under Transformers' names."""
        architecture = self._field("general.architecture")
        config = {ours: self._field(f"{architecture}.{theirs}") for ours, theirs in GGUF_CONFIG.items()}
        config = {name: value for name, value in config.items() if value is not None}
        if self._field(f"{architecture}.rope.scaling.type") not in (None, "none"):
            raise UnsupportedError(f"{self.path} has scaled rotary positions; export it from its Hugging Face folder")
        tokens = self._field("tokenizer.ggml.tokens") or []
        tied = "output.weight" not in self._tensors
        return config | {"architectures": [architecture], "vocab_size": len(tokens), "tie_word_embeddings": tied}

    @cached_property
    def chat_template(self) -> str:
        """The Jinja text in the header, empty where there is none."""
        return self._field("tokenizer.chat_template") or ""

    @cached_property
    def stop_token_ids(self) -> list[int]:
        """The tokens that end an answer."""
        names = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
        return sorted({int(value) for name in names if (value := self._field(name)) is not None})

    @cached_property
    def generation(self) -> Mapping[str, Any]:
        """The header's sampling under Transformers' names; empty where it names no temperature."""
        found = {ours: self._field(f"general.sampling.{theirs}") for ours, theirs in GGUF_SAMPLING.items()}
        named = {name: round(value, 6) for name, value in found.items() if value is not None}
        if "temperature" not in named:
            return {}
        return {**named, "do_sample": True, "top_k": max(0, named.get("top_k", 0))}  # below 0 is off, in llama.cpp

    @cached_property
    def tokenizer_files(self) -> Mapping[str, str]:
        """tokenizer.json and tokenizer_config.json, made from the header."""
        header = {field: self._field(f"tokenizer.ggml.{field}") for field in tokenizer.HEADER}
        return tokenizer.from_gguf(header, self.chat_template)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape as Transformers has it; UnsupportedError where its type is not read."""
        stored = self._stored(name)
        _dequantized(name, stored, stored.data[:1])
        return tuple(int(size) for size in reversed(stored.shape))

    def tensor(self, name: str) -> Floats:
        """The dequantised tensor of a Transformers name."""
        stored = self._stored(name)
        return finite(name, self._in_order(name, _dequantized(name, stored, stored.data)))

    def stored_format(self, name: str) -> Format | None:
        """Of a Q4_0 or Q8_0 matrix; None for every other type."""
        form, _ = BLOCKS.get(self._stored(name).tensor_type.name, (None, None))
        return form

    def stored_blocks(self, name: str) -> Quantized | None:
        """The blocks of a Q4_0 or Q8_0 matrix, to the bit; None for every other type."""
        stored = self._stored(name)
        if stored.tensor_type.name not in BLOCKS:
            return None
        form, unpack = BLOCKS[stored.tensor_type.name]
        codes, halves = unpack(np.asarray(stored.data))
        scales = finite(name, self._in_order(name, halves))
        points = np.full(scales.shape, form.middle, np.uint8)
        return Quantized(form, int(stored.shape[0]), self._in_order(name, codes), scales, points)

    def _stored(self, name: str) -> Any:
        layer, short = _split_layer(name.removesuffix(".weight"))
        stored = self._tensors.get(f"{layer}{GGUF_NAMES.get(short, short)}.weight")
        if stored is None:
            raise SourceError(f"{self.path} has no tensor for {name}")
        return stored

    def _in_order(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows as Transformers has them, where GGUF keeps another order."""
        heads = INTERLEAVED.get(_split_layer(name.removesuffix(".weight"))[1])
        is_llama = self.config["architectures"] == ["llama"]
        return _rows_in_halves(rows, self.config[heads]) if heads and is_llama else rows

    def checksum(self) -> str:
        """sha256 of the file."""
        return hash_file(self.path)


def _dequantized(name: str, stored: Any, rows: NDArray[Any]) -> NDArray[Any]:
    """Some rows of a tensor as floats."""
    from gguf.quants import dequantize

    try:
        values: NDArray[Any] = dequantize(rows, stored.tensor_type)
    except NotImplementedError as error:
        kind = stored.tensor_type.name
        raise UnsupportedError(f"{name} is stored as {kind}, which is not read; export the original") from error
    return values


def _split_layer(module: str) -> tuple[str, str]:
    """`model.layers.3.mlp.up_proj` as `blk.3.` and `mlp.up_proj`."""
    if not module.startswith("model.layers."):
        return "", module
    index, _, short = module.removeprefix("model.layers.").partition(".")
    return f"blk.{index}.", short


def _rows_in_halves(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of rotary pairs (0, 1), (2, 3) … put back to Transformers' order: all first ones, then all second ones."""
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def _unpack_q4_0(data: Codes) -> tuple[Codes, NDArray[np.float16]]:
    """Rows of 18-byte blocks: a half-precision scale, then 16 bytes, the first 16 codes in their low nibbles."""
    blocks = data.reshape(len(data), -1, 18)
    packed = blocks[..., 2:]
    codes = np.concatenate([packed & 15, packed >> 4], axis=-1)
    return codes, _scales(blocks)


def _unpack_q8_0(data: Codes) -> tuple[Codes, NDArray[np.float16]]:
    """Rows of 34-byte blocks: a half-precision scale, then 32 signed codes."""
    blocks = data.reshape(len(data), -1, 34)
    return blocks[..., 2:] ^ np.uint8(128), _scales(blocks)


def _scales(blocks: Codes) -> NDArray[np.float16]:
    return np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0]


BLOCKS: dict[str, tuple[Format, Callable[[Codes], tuple[Codes, NDArray[np.float16]]]]] = {
    "Q4_0": (Format(4, 32, True), _unpack_q4_0),
    "Q8_0": (Format(8, 32, True), _unpack_q8_0),
}
"""Types whose blocks MatMulNBits computes as they are. Source: ggml's ggml-common.h, block_q4_0 and block_q8_0."""
