"""GGUF files of small models: any keys and tensors, and twins of Hugging Face folders with real tokenizers.

What the twins' headers say is what llama.cpp's convert_hf_to_gguf.py writes for such a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.conftest import ROOT
from tests.export import small_model
from tests.export.small_model import HIDDEN, INNER, KV_HEADS, LAYERS, Weights

PHI3 = ROOT / "tests/data/phi3/tokenizer"
TYPES = {bool: gguf.GGUFValueType.BOOL, int: gguf.GGUFValueType.UINT32, str: gguf.GGUFValueType.STRING}
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
TEMPLATE = "{% for m in messages %}{{ '<|user|>\n' + m.content + '<|end|>\n<|assistant|>\n' }}{% endfor %}"
FACTORS = {"rope_factors_short.weight": np.linspace(1, 2, 8), "rope_factors_long.weight": np.linspace(1, 9, 8)}


def write(path: Path, architecture: str, keys: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Path:
    """A file of these keys and these tensors, by GGUF's names; vectors in float32, all else as it comes."""
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in keys.items():
        if isinstance(value, list):
            writer.add_array(name, value) if value else None
        else:
            writer.add_key_value(name, value, TYPES.get(type(value), gguf.GGUFValueType.FLOAT32))
    for name, value in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(value, np.float32) if value.ndim == 1 else value)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return path


def sizes(architecture: str, **more: Any) -> dict[str, Any]:
    """The keys of the small model's sizes; more: under the architecture's name, dots written as two underscores."""
    said: dict[str, Any] = {
        "block_count": LAYERS,
        "context_length": 128,
        "embedding_length": HIDDEN,
        "feed_forward_length": INNER,
        "attention.head_count": small_model.HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.layer_norm_rms_epsilon": small_model.EPSILON,
        "rope.freq_base": small_model.THETA,
        "rope.dimension_count": small_model.HEAD,
    }
    said |= {name.replace("__", "."): value for name, value in more.items()}
    return {f"{architecture}.{name}": value for name, value in said.items() if value is not None}


LETTERS: dict[str, Any] = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": [*small_model.LETTERS, "<|end|>"],
    "tokenizer.ggml.token_type": [NORMAL] * 96 + [CONTROL],
    "tokenizer.ggml.merges": ["Ġ !", "! !"],
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": small_model.TEMPLATE,
}
LETTERS["tokenizer.ggml.tokens"][3:5] = ["Ġ!", "!!"]
"""A tokenizer of one letter a token and two merges."""


def tensors(weights: Weights, architecture: str) -> dict[str, np.ndarray]:
    """A checkpoint's tensors under GGUF's names, a Llama's rows of Q and K in pairs."""
    if architecture == "llama":
        return {small_model.gguf_name(name): small_model.in_pairs(name, value) for name, value in weights.items()}
    renamed = {"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
    found = {}
    for name, value in small_model.as_phi3(weights).items():
        for ours, theirs in renamed.items():
            name = name.replace(ours, theirs)
        found[small_model.gguf_name(name)] = value
    return found


def small(path: Path, architecture: str = "llama", add: Mapping[str, Any] | None = None, **more: Any) -> Path:
    """The small model with its letters; add: tensors; more: keys of the architecture, or whole names with a dot."""
    own = {name: value for name, value in more.items() if "." not in name}
    keys = sizes(architecture, **own) | LETTERS | {name: value for name, value in more.items() if "." in name}
    weights = widened(small_model.llama_weights(), 97)
    held = tensors(weights, architecture) | dict(add or {})
    return write(path, architecture, {name: value for name, value in keys.items() if value is not None}, held)


def widened(weights: Weights, vocabulary: int) -> Weights:
    """The weights with tables of another height."""
    chance = np.random.default_rng(1)
    made = {name: chance.standard_normal((vocabulary, HIDDEN)).astype(np.float32) / 8 for name in small_model.TABLES}
    return weights | made


def pieces(names: Iterable[str]) -> dict[str, Any]:
    """The real pieces of Llama 2 and Phi-3 as a header, after the merges published for them; names: tokens added."""
    model = json.loads((PHI3 / "tokenizer.json").read_text())["model"]
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(model["merges"]):
        ranks.setdefault(merge.replace(" ", ""), rank)
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    kinds = [BYTE if 3 <= number < 259 else NORMAL for number in range(len(tokens))]
    kinds[:3] = [UNKNOWN, CONTROL, CONTROL]
    more = list(names)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [*tokens, *more],
        "tokenizer.ggml.scores": [*(-float(ranks.get(token, 1e6)) for token in tokens), *([-1000.0] * len(more))],
        "tokenizer.ggml.token_type": [*kinds, *([CONTROL] * len(more))],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": TEMPLATE,
    }
