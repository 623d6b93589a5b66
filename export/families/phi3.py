"""Phi-3, Phi-3.5 mini and Phi-4-mini: query, key and value in one projection, gate and up in one, long rope."""

from export.families.attention import sliding
from export.families.base import Family
from export.families.keys import named

FAMILY = Family(
    name="phi3",
    architectures=("Phi3ForCausalLM", "phi3"),
    attention=("self_attn.qkv_proj",),
    linear=("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"),
    trace_class="Phi3ForCausalLM",
    trace_config="Phi3Config",
    genai_type="phi3",
    skeleton="phi3",
    packed={
        "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
    },
    model_type="phi3",
    defaults={
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096,
    },
    keys=named("Phi-4-mini has it at 1, where it changes nothing", "full_attn_mod interpolate_factor", 1),
    ropes={"default": "default", "longrope": "longrope", "su": "longrope", "yarn": "longrope"},
    turns_part=True,
    attends=sliding,
)
