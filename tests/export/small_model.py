"""A Llama checkpoint of a few kilobytes with seeded random weights, the same as a Phi-3, and its forward pass."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

HIDDEN, INNER, HEADS, KV_HEADS, LAYERS, VOCABULARY = 64, 80, 4, 2, 2, 96
HEAD = HIDDEN // HEADS
EPSILON, THETA = 1e-5, 10000.0
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "num_hidden_layers": LAYERS,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 128,
    "rms_norm_eps": EPSILON,
    "rope_theta": THETA,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LETTERS = ["Ġ", "Ċ", *map(chr, range(33, 127))]
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
Weights = dict[str, np.ndarray]
TABLES = ("model.embed_tokens.weight", "lm_head.weight")


def llama_weights() -> Weights:
    """By their Hugging Face names; an inner width that is no multiple of a block."""
    chance = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (chance.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    weights = {"model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN), "lm_head.weight": matrix(VOCABULARY, HIDDEN)}
    weights["model.norm.weight"] = chance.uniform(0.5, 1.5, HIDDEN).astype(np.float32)
    for number in range(LAYERS):
        prefix = f"model.layers.{number}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{prefix}.{name}.weight"] = chance.uniform(0.5, 1.5, HIDDEN).astype(np.float32)
        for name, rows in (("q", HIDDEN), ("k", KV_HEADS * HEAD), ("v", KV_HEADS * HEAD), ("o", HIDDEN)):
            weights[f"{prefix}.self_attn.{name}_proj.weight"] = matrix(rows, HIDDEN)
        weights[f"{prefix}.mlp.gate_proj.weight"] = matrix(INNER, HIDDEN)
        weights[f"{prefix}.mlp.up_proj.weight"] = matrix(INNER, HIDDEN)
        weights[f"{prefix}.mlp.down_proj.weight"] = matrix(HIDDEN, INNER)
    return weights


def as_phi3(weights: Weights) -> Weights:
    """The same model in Phi-3's spelling: q, k and v in one matrix, gate and up in another."""
    made = {name: value for name, value in weights.items() if not any(f"{p}_proj" in name for p in PARTS)}
    for number in range(LAYERS):
        attention, mlp = (f"model.layers.{number}.{part}" for part in ("self_attn", "mlp"))
        parts = [weights[f"{attention}.{name}_proj.weight"] for name in "qkv"]
        made[f"{attention}.qkv_proj.weight"] = np.concatenate(parts)
        made[f"{mlp}.gate_up_proj.weight"] = np.concatenate(
            [weights[f"{mlp}.{name}_proj.weight"] for name in ("gate", "up")]
        )
    return made


PARTS = ("q", "k", "v", "gate", "up")


def write_checkpoint(folder: Path, weights: Weights, **config) -> Path:
    """A Hugging Face folder in two shards, with a tokenizer of one letter a token."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    names = sorted(weights)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / file)
    index = {name: file for file, held in shards.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return write_tokenizer(folder)


def write_tokenizer(folder: Path) -> Path:
    """A tokenizer of one letter a token."""
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(LETTERS)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"chat_template": TEMPLATE, "eos_token": "!", "tokenizer_class": "GPT2Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


GGUF_SIZES = {
    "add_block_count": LAYERS,
    "add_context_length": 128,
    "add_embedding_length": HIDDEN,
    "add_feed_forward_length": INNER,
    "add_head_count": HEADS,
    "add_head_count_kv": KV_HEADS,
    "add_rope_freq_base": THETA,
    "add_layer_norm_rms_eps": EPSILON,
    "add_tokenizer_model": "gpt2",
    "add_tokenizer_pre": "smollm",
    "add_token_list": [*LETTERS, "AB"],
    "add_token_types": [1] * 96 + [3],
    "add_token_merges": ["A B"],
    "add_eos_token_id": 2,
    "add_chat_template": TEMPLATE,
}
GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.": "blk.",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.o_proj": "attn_output",
    "self_attn.": "attn_",
    "mlp.": "ffn_",
    "_proj": "",
}


def write_gguf(
    path: Path, weights: Weights, kind: gguf.GGMLQuantizationType, floats: dict[str, float] | None = None
) -> Weights:
    """A GGUF file of the same model, what can be in blocks of 32 stored as `kind`; return what the blocks stand for.

    floats: further keys of its header.
    """
    writer = gguf.GGUFWriter(path, "llama")
    for name, number in (floats or {}).items():
        writer.add_float32(name, number)
    for setter, value in GGUF_SIZES.items():
        getattr(writer, setter)(value)
    stands_for = {}
    for name, weight in weights.items():
        rows = np.concatenate([weight, weight[:1]]) if len(weight) == VOCABULARY else weight
        stored = kind if rows.ndim == 2 and rows.shape[1] % 32 == 0 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(in_pairs(name, rows), stored)
        writer.add_tensor(gguf_name(name), data, raw_dtype=stored)
        stands_for[name] = gguf.quants.dequantize(gguf.quants.quantize(rows, stored), stored)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return stands_for


def gguf_name(name: str) -> str:
    """As GGUF spells it."""
    for ours, theirs in GGUF_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def in_pairs(name: str, rows: np.ndarray) -> np.ndarray:
    """Rows of Q and K in GGUF's order, the two halves of each head interleaved."""
    if "q_proj" not in name and "k_proj" not in name:
        return rows
    return np.ascontiguousarray(rows.reshape(-1, 2, HEAD // 2, HIDDEN).swapaxes(1, 2)).reshape(rows.shape)


def forward(weights: Weights, tokens: list[int], factors: np.ndarray | float = 1.0, scale: float = 1.0) -> np.ndarray:
    """Logits `[vocabulary]` after the last token, in float64, written after the published architecture.

    factors, scale: what rotary frequencies are divided by, and cos and sin multiplied with.
    """
    state = weights["model.embed_tokens.weight"][tokens].astype(np.float64)
    for number in range(LAYERS):
        prefix = f"model.layers.{number}"
        normed = norm(state, weights[f"{prefix}.input_layernorm.weight"])
        state = state + attention(weights, f"{prefix}.self_attn", normed, factors, scale)
        inner = norm(state, weights[f"{prefix}.post_attention_layernorm.weight"])
        gate = inner @ weights[f"{prefix}.mlp.gate_proj.weight"].T
        up = inner @ weights[f"{prefix}.mlp.up_proj.weight"].T
        state = state + (gate / (1 + np.exp(-gate)) * up) @ weights[f"{prefix}.mlp.down_proj.weight"].T
    return norm(state[-1:], weights["model.norm.weight"])[0] @ weights["lm_head.weight"].T


def norm(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Root mean square normalisation."""
    return values / np.sqrt((values**2).mean(-1, keepdims=True) + EPSILON) * weight


def attention(weights: Weights, prefix: str, values: np.ndarray, factors, scale: float) -> np.ndarray:
    """Causal attention, two query heads a key head."""
    count = len(values)
    query, key, value = (
        (values @ weights[f"{prefix}.{name}_proj.weight"].T).reshape(count, -1, HEAD).swapaxes(0, 1) for name in "qkv"
    )
    query, key = rotate(query, factors, scale), rotate(key, factors, scale)
    key, value = (np.repeat(each, HEADS // KV_HEADS, axis=0) for each in (key, value))
    scores = query @ key.swapaxes(1, 2) / np.sqrt(HEAD) + np.triu(np.full((count, count), -1e9), 1)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = shares / shares.sum(-1, keepdims=True) @ value
    return mixed.swapaxes(0, 1).reshape(count, HIDDEN) @ weights[f"{prefix}.o_proj.weight"].T


def rotate(values: np.ndarray, factors, scale: float) -> np.ndarray:
    """Rotary positions, the halves of a head turned together."""
    angles = np.outer(np.arange(values.shape[1]), THETA ** (-np.arange(0, HEAD, 2) / HEAD) / factors)
    cosine, sine = np.cos(angles) * scale, np.sin(angles) * scale
    first, second = values[..., : HEAD // 2], values[..., HEAD // 2 :]
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)
