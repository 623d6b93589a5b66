"""Mistral: a Llama's layer whose attention slides where its config has a window."""

from dataclasses import replace

from export.families.attention import sliding
from export.families.base import positions
from export.families.llama import FAMILY as LLAMA

FAMILY = replace(
    LLAMA,
    name="mistral",
    architectures=("MistralForCausalLM",),
    trace_class="MistralForCausalLM",
    trace_config="MistralConfig",
    genai_type="mistral",
    model_type="mistral",
    defaults={
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
        "num_key_value_heads": 8,
    },
    biases={},
    attends=sliding,
    limit=positions,
)
