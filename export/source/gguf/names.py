"""A tensor's name in GGUF and in Transformers. Source: llama.cpp's gguf-py/gguf/tensor_mapping.py."""

from __future__ import annotations

from collections.abc import Mapping

OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
IN_EVERY_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_output": "self_attn.o_proj",
    "ffn_down": "mlp.down_proj",
}
APART = {
    **IN_EVERY_LAYER,
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
}
AROUND = {
    **APART,
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
LAYER: Mapping[str, Mapping[str, str]] = {
    "llama": APART,
    "qwen2": APART,
    "qwen3": {**APART, "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"},
    "smollm3": APART,
    "gemma2": AROUND,
    "gemma3": {**AROUND, "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"},
    "phimoe": {
        **{part: module for part, module in APART.items() if not part.startswith("ffn_")},
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate_inp": "block_sparse_moe.gate",
    },
    "phi3": {**IN_EVERY_LAYER, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"},
}
FREQUENCIES, LONG, SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
FACTORS: Mapping[str, set[str]] = {
    "llama": {FREQUENCIES, LONG, SHORT},
    "phi3": {LONG, SHORT},
    "phimoe": {LONG, SHORT},
}
"""What rotary frequencies are divided by: read with the config, no tensor of the graph."""
BIASES = {"attention_bias": "blk.0.attn_output.bias", "mlp_bias": "blk.0.ffn_up.bias"}
"""By the key of a config, the tensor that tells of biases which a family need not have."""
BIASED_NORMS = ("phimoe",)
"""Architectures whose norms may have biases, and whose head."""


def in_transformers(name: str, architecture: str) -> str | None:
    """`blk.3.attn_q.weight` as `model.layers.3.self_attn.q_proj.weight`; None for what Transformers has no name for."""
    stem, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        return None
    has_biases = architecture in BIASED_NORMS
    if stem in OUTSIDE and (kind == "weight" or (has_biases and stem != "token_embd")):
        return f"{OUTSIDE[stem]}.{kind}"
    block, _, rest = stem.partition(".")
    number, _, part = rest.partition(".")
    module = LAYER.get(architecture, {}).get(part)
    if block != "blk" or not number.isascii() or not number.isdigit() or module is None:
        return None
    if kind == "bias" and not module.endswith(("_proj", "norm") if has_biases else "_proj"):
        return None
    return f"model.layers.{int(number)}.{module}.{kind}"


def module_of(name: str) -> str:
    """`model.layers.3.self_attn.q_proj.weight` as `self_attn.q_proj`; what lies in no layer without its kind."""
    stem = name.removesuffix(".weight").removesuffix(".bias")
    return stem.split(".", 3)[3] if stem.startswith("model.layers.") else stem
