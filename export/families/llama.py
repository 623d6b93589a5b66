"""Llama: separate projections, SwiGLU with separate gate and up; SmolLM2 and TinyLlama are of this family."""

from export.families.base import Family

FAMILY = Family(
    name="llama",
    architectures=("LlamaForCausalLM", "llama"),
    attention=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    linear=(
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    ),
    trace_class="LlamaForCausalLM",
    trace_config="LlamaConfig",
    genai_type="llama",
    skeleton="llama",
    model_type="llama",
    defaults={"rms_norm_eps": 1e-6, "tie_word_embeddings": False, "max_position_embeddings": 2048},
)
