"""Phi-3.5-MoE: each token goes to 2 of 16 experts; LayerNorms with biases, biases on attention and on the head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.families.attention import sliding
from export.families.base import Config, Family
from export.families.keys import Key, named
from export.families.values import number, whole

EXPERTS_MOST = 1024
"""More than any layer has."""


def own(config: Config) -> tuple[Config, Mapping[str, Any]]:
    """Its experts, and how near to the best score another has to be to count; 0 lets none but ties."""
    jitter = config["router_jitter_noise"]
    experts = whole(config, "num_local_experts", most=EXPERTS_MOST)
    threshold = 0.0 if jitter == 0 else 2 * number(config, "router_jitter_noise", below=1)
    return config, {"num_experts": experts, "router_threshold": threshold}


FAMILY = Family(
    name="phimoe",
    architectures=("PhiMoEForCausalLM", "PhimoeForCausalLM", "phimoe"),
    attention=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    linear=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    vectors=(
        "self_attn.q_proj.bias",
        "self_attn.k_proj.bias",
        "self_attn.v_proj.bias",
        "self_attn.o_proj.bias",
        "post_attention_layernorm.weight",
        "post_attention_layernorm.bias",
        "block_sparse_moe.gate.weight",
    ),
    outside=("model.layers.0.input_layernorm.bias", "lm_head.bias"),
    expert=("w1", "w3", "w2"),
    missing={
        "attention_bias": tuple(f"self_attn.{name}_proj.bias" for name in "qkvo"),
        "lm_head_bias": ("lm_head.bias",),
    },
    trace_class="PhimoeForCausalLM",
    trace_config="PhimoeConfig",
    genai_type="phimoe",
    skeleton="phimoe",
    model_type="phimoe",
    defaults={
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "max_position_embeddings": 131072,
        "num_local_experts": 16,
        "num_experts_per_tok": 2,
        "router_jitter_noise": 0.01,
        "attention_bias": False,
        "lm_head_bias": False,
    },
    keys={
        **named("it is read", "num_local_experts router_jitter_noise attention_bias lm_head_bias"),
        "num_experts_per_tok": Key("its router chooses two experts, whatever is asked for", (2,)),
        **named("it counts in training alone", "input_jitter_noise router_aux_loss_coef output_router_logits"),
    },
    ropes={"default": "default", "longrope": "longrope_scaled"},
    own=own,
    rope_theta=1e6,
    attends=sliding,
)
