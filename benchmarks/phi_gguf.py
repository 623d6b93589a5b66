"""Phi-3.5-mini's true shape as a GGUF file of random weights, for llama.cpp to be as fast with as it can."""

from __future__ import annotations

import json
import math
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from benchmarks.phi_shape import DATA, TEXT
from export.families.base import Dimensions
from export.families.phi3 import FAMILY

THETA = 10000.0
"""The base of Phi-3.5's rotary positions."""


def write(path: Path) -> Path:
    """The file in float16 (7.6 GB), once; it has no vocabulary, which llama-bench does not ask for."""
    if path.is_file():
        return path
    sizes = Dimensions.from_config(json.loads((DATA / "configs" / TEXT).read_text(encoding="utf-8")), FAMILY)
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "phi3")
    describe(writer, sizes)
    for name, shape in shapes(sizes).items():
        size = math.prod(shape) * (4 if len(shape) == 1 else 2)
        writer.add_tensor_info(name, shape, np.dtype(np.float32 if len(shape) == 1 else np.float16), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    chance = np.random.default_rng(0)
    for shape in shapes(sizes).values():
        writer.write_tensor_data(values(chance, shape))
    writer.close()
    partial.rename(path)
    return path


def describe(writer: gguf.GGUFWriter, sizes: Dimensions) -> None:
    """The header that llama.cpp wants of a phi3."""
    writer.add_context_length(sizes.rope.original_length)
    writer.add_rope_scaling_orig_ctx_len(sizes.rope.original_length)
    writer.add_embedding_length(sizes.hidden_size)
    writer.add_feed_forward_length(sizes.intermediate_size)
    writer.add_block_count(sizes.num_layers)
    writer.add_head_count(sizes.num_heads)
    writer.add_head_count_kv(sizes.num_kv_heads)
    writer.add_layer_norm_rms_eps(sizes.rms_norm_eps)
    writer.add_rope_dimension_count(sizes.head_size)
    writer.add_rope_freq_base(THETA)
    writer.add_vocab_size(sizes.vocab_size)
    writer.add_tokenizer_model("no_vocab")


def shapes(sizes: Dimensions) -> dict[str, tuple[int, ...]]:
    """Every tensor, by llama.cpp's names."""
    hidden, packed = sizes.hidden_size, (sizes.num_heads + 2 * sizes.num_kv_heads) * sizes.head_size
    found: dict[str, tuple[int, ...]] = {"token_embd.weight": (sizes.vocab_size, hidden)}
    found |= {"output_norm.weight": (hidden,), "output.weight": (sizes.vocab_size, hidden)}
    for index in range(sizes.num_layers):
        layer = {
            "attn_norm": (hidden,),
            "attn_qkv": (packed, hidden),
            "attn_output": (hidden, sizes.num_heads * sizes.head_size),
            "ffn_norm": (hidden,),
            "ffn_up": (2 * sizes.intermediate_size, hidden),
            "ffn_down": (hidden, sizes.intermediate_size),
        }
        found |= {f"blk.{index}.{name}.weight": shape for name, shape in layer.items()}
    return found


def values(chance: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.floating]:
    """Norms of ones, matrices of small random numbers."""
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    numbers = chance.standard_normal(shape, np.float32)
    numbers *= 0.02
    return numbers.astype(np.float16)
