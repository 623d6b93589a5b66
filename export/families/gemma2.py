"""Gemma 2: a Gemma 3's layer without norms of its heads, with soft caps on scores and logits, and one theta for all.

Every second layer looks back on `sliding_window` tokens, the first of them too. Transformers bends scores towards their
cap in its eager attention alone: version 4.57 leaves that out in the one that it takes by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from export.families.attention import SLIDING
from export.families.base import Attention, Config
from export.families.gemma3 import FAMILY as GEMMA3
from export.families.gemma3 import kinds, rounded
from export.families.keys import Key, named
from export.families.values import number, whole

PATTERN = 2
CAPS = {"attention_cap": "attn_logit_softcapping", "logit_cap": "final_logit_softcapping"}
"""By the field of `Dimensions`, the config's key."""


def own(config: Config) -> tuple[Config, Mapping[str, Any]]:
    """What a Llama has not; a cap that is null is none."""
    window = Attention(whole(config, "sliding_window"))
    fields: dict[str, Any] = {
        "attentions": tuple(window if kind == SLIDING else Attention() for kind in kinds(config, PATTERN)),
        "query_pre_attn_scalar": number(config, "query_pre_attn_scalar"),
        "embedding_scale": rounded(math.sqrt(whole(config, "hidden_size")), config),
    }
    caps = {field: number(config, key) for field, key in CAPS.items() if config.get(key) is not None}
    return config, {**fields, **caps}


FAMILY = replace(
    GEMMA3,
    name="gemma2",
    architectures=("Gemma2ForCausalLM", "gemma2"),
    trace_class="Gemma2ForCausalLM",
    trace_config="Gemma2Config",
    genai_type="gemma2",
    model_type="gemma2",
    defaults={
        **GEMMA3.defaults,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "final_logit_softcapping": 30.0,
        "attn_logit_softcapping": 50.0,
    },
    keys={
        **named("it is read", "query_pre_attn_scalar final_logit_softcapping attn_logit_softcapping"),
        **named("the MLP's gate is a GELU by its tanh", "hidden_activation hidden_act", "gelu_pytorch_tanh"),
        "use_bidirectional_attention": Key("a token sees those before it", (False,)),
    },
    ropes={"default": "default"},
    own=own,
    rope_theta=10000.0,
    norms_heads=False,
)
