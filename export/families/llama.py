"""Llama: separate projections, SwiGLU with separate gate and up; SmolLM2 and TinyLlama are of this family.

The layer of Mistral, Qwen and SmolLM3 is this one with other options.
"""

from export.families.attention import before_a_window, ending_at_a_window
from export.families.base import Family

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
FAMILY = Family(
    name="llama",
    architectures=("LlamaForCausalLM", "llama"),
    attention=ATTENTION,
    linear=(*ATTENTION, "self_attn.o_proj", *MLP),
    trace_class="LlamaForCausalLM",
    trace_config="LlamaConfig",
    genai_type="llama",
    skeleton="llama",
    model_type="llama",
    defaults={"rms_norm_eps": 1e-6, "tie_word_embeddings": False, "max_position_embeddings": 2048},
    biases={"attention_bias": (*ATTENTION, "self_attn.o_proj"), "mlp_bias": MLP},
    attends=ending_at_a_window,
    limit=before_a_window,
)
