"""Phi-3-small made small: its published config's words, random weights, a tokenizer of one letter a token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from export.source.shards import write_tensors
from tests.export import small_model

DATA = Path(__file__).parents[1] / "data" / "phi3small"
PUBLISHED = DATA / "config.json"
SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "ff_intermediate_size": 96,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "num_hidden_layers": 3,
    "vocab_size": 96,
    "max_position_embeddings": 512,
    "blocksparse_block_size": 32,
    "blocksparse_num_local_blocks": 2,
    "blocksparse_vert_stride": 3,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
"""A token sees 64 tokens at most, and every third block of those before them."""
KINDS: dict[str, dict[str, Any]] = {
    "as published": {},
    "other numbers": {
        "num_key_value_heads": 8,
        "blocksparse_vert_stride": 5,
        "mup_use_scaling": False,
        "mup_embedding_multiplier": 3.0,
        "mup_width_multiplier": 0.7,
        "gegelu_limit": 0.5,
        "rope_embedding_base": 10000,
    },
    "its vocabulary": {"vocab_size": 100352, "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2},
}
"""What differs from that."""


def config_of(kind: str) -> dict[str, Any]:
    """A kind's config.json."""
    return {**json.loads(PUBLISHED.read_text()), **SIZES, **KINDS[kind]}


def random_weights(config: dict[str, Any], gain: float = 2.0) -> dict[str, np.ndarray]:
    """Seeded, float32, by the checkpoint's own names. gain: 1 leaves a value as large as it was; a gate needs more."""
    chance = np.random.default_rng(0)
    hidden, inner, vocabulary = config["hidden_size"], config["ff_intermediate_size"], config["vocab_size"]
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    matrices = {
        "self_attn.query_key_value": ((heads + 2 * shared) * (hidden // heads), hidden),
        "self_attn.dense": (hidden, hidden),
        "mlp.up_proj": (2 * inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    drawn = {"model.embed_tokens.weight": chance.standard_normal((vocabulary, hidden)) / 8}
    norms = ["model.final_layernorm"]
    for layer in (f"model.layers.{index}" for index in range(config["num_hidden_layers"])):
        for name, (rows, columns) in matrices.items():
            drawn[f"{layer}.{name}.weight"] = chance.standard_normal((rows, columns)) * (gain / np.sqrt(columns))
            drawn[f"{layer}.{name}.bias"] = chance.standard_normal(rows) / 4
        norms += [f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm"]
    for name in norms:
        drawn[f"{name}.weight"] = chance.uniform(0.5, 1.5, hidden)
        drawn[f"{name}.bias"] = chance.standard_normal(hidden) / 4
    return {name: values.astype(np.float32) for name, values in drawn.items()}


def text_of(config: dict[str, Any], length: int) -> list[int]:
    """Seeded tokens."""
    chance = np.random.default_rng(7)
    return [int(token) for token in chance.integers(0, min(config["vocab_size"], 100256), length)]


def make(folder: Path, kind: str = "as published", gain: float = 2.0) -> Path:
    """The checkpoint of a kind."""
    config = config_of(kind)
    return write(folder, config, random_weights(config, gain))


def write(folder: Path, config: dict[str, Any], weights: dict[str, np.ndarray]) -> Path:
    """A checkpoint with a tokenizer of one letter a token, which knows the first 96 tokens alone."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    write_tensors(folder / "model.safetensors", weights)
    return small_model.write_tokenizer(folder)
