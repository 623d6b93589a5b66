"""Qwen 3: a Llama's layer that norms each head's queries and keys before it turns them; heads have their own width."""

from dataclasses import replace

from export.families.attention import by_layer
from export.families.base import positions
from export.families.llama import ATTENTION
from export.families.llama import FAMILY as LLAMA
from export.families.qwen2 import WINDOWS

FAMILY = replace(
    LLAMA,
    name="qwen3",
    architectures=("Qwen3ForCausalLM", "qwen3"),
    trace_class="Qwen3ForCausalLM",
    trace_config="Qwen3Config",
    genai_type="qwen3",
    model_type="qwen3",
    defaults={
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "max_position_embeddings": 32768,
        "num_key_value_heads": 32,
        "head_dim": 128,
        **WINDOWS,
    },
    biases={"attention_bias": (*ATTENTION, "self_attn.o_proj")},
    norms_heads=True,
    attends=by_layer,
    limit=positions,
)
