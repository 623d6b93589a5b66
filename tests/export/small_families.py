"""A small random checkpoint of each family whose layers are a Llama's with options, in a few lines of config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.plan import plan_of
from export.recipe import Recipe
from export.source.config_only import ConfigSource
from tests.export import small_model, small_phi3_small

WINDOW = 48
SLIDES = {"use_sliding_window": True, "sliding_window": WINDOW}
KINDS: dict[str, dict[str, Any]] = {
    "llama-biased": {"architectures": ["LlamaForCausalLM"], "attention_bias": True, "mlp_bias": True},
    "mistral-window": {"architectures": ["MistralForCausalLM"], "sliding_window": WINDOW},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True},
    "qwen2-window": {"architectures": ["Qwen2ForCausalLM"], "max_window_layers": 1, **SLIDES},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 32, "tie_word_embeddings": True},
    "smollm3": {"architectures": ["SmolLM3ForCausalLM"], "no_rope_layer_interval": 2, "tie_word_embeddings": False},
    "gemma2": {
        "architectures": ["Gemma2ForCausalLM"],
        "hidden_act": "gelu_pytorch_tanh",
        "head_dim": 32,
        "query_pre_attn_scalar": 24,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 5.0,
        "sliding_window": WINDOW,
        "tie_word_embeddings": True,
    },
    "phi3small": {},
}
"""What differs from a small Llama's config (small_model.py); Phi-3-small has its own (small_phi3_small.py)."""


def write(folder: Path, kind: str) -> Path:
    """The checkpoint's folder: norms around one, everything else as large as a trained model's."""
    if kind == "phi3small":
        return small_phi3_small.make(folder, gain=1.0)
    config = {**small_model.CONFIG, **KINDS[kind]}
    plan = plan_of(ConfigSource(kind, config), Recipe(licence="none", context_length=1))
    chance = np.random.default_rng(0)

    def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if "norm" in name:
            return chance.uniform(0.5, 1.5, shape).astype(np.float32)
        width = shape[1] if len(shape) == 2 else 16
        return (chance.standard_normal(shape) / np.sqrt(width)).astype(np.float32)

    weights = {name: values(name, shape) for name, shape in plan.shapes.items()}
    return small_model.write_checkpoint(folder, weights, **KINDS[kind])
