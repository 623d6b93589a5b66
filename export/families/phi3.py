"""Phi-3 and Phi-3.5 mini: query, key and value in one projection, gate and up in one, long rope."""

from export.families.base import Family

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
)
