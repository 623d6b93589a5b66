"""Qwen 2 and 2.5: a Llama's layer with biases behind queries, keys and values; later layers may slide."""

from dataclasses import replace

from export.families.attention import by_layer
from export.families.base import positions
from export.families.llama import ATTENTION
from export.families.llama import FAMILY as LLAMA

WINDOWS = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
FAMILY = replace(
    LLAMA,
    name="qwen2",
    architectures=("Qwen2ForCausalLM", "qwen2"),
    trace_class="Qwen2ForCausalLM",
    trace_config="Qwen2Config",
    genai_type="qwen2",
    model_type="qwen2",
    defaults={
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "max_position_embeddings": 32768,
        "num_key_value_heads": 32,
        **WINDOWS,
    },
    biased=ATTENTION,
    biases={},
    attends=by_layer,
    limit=positions,
)
