"""SmolLM3: a Llama's layer, every fourth of which knows no positions."""

from dataclasses import replace

from export.families.attention import with_some_unturned
from export.families.base import positions
from export.families.keys import named
from export.families.llama import FAMILY as LLAMA

FAMILY = replace(
    LLAMA,
    name="smollm3",
    architectures=("SmolLM3ForCausalLM", "smollm3"),
    trace_class="SmolLM3ForCausalLM",
    trace_config="SmolLM3Config",
    genai_type="smollm3",
    model_type="smollm3",
    defaults={
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        "max_position_embeddings": 32768,
        "num_key_value_heads": 4,
        "use_sliding_window": False,
        "no_rope_layer_interval": 4,
    },
    rope_theta=2000000.0,
    keys=named("it is read", "no_rope_layers no_rope_layer_interval"),
    attends=with_some_unturned,
    limit=positions,
)
