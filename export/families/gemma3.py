"""Gemma 3's language model: norms around attention and MLP, layers that look back on a few tokens and layers on all.

Its norms multiply by one more than their weights. Embeddings are multiplied by the root of their width, rounded to the
checkpoint's type as Transformers 4.57 and 5 round it. Layers that look back on `sliding_window` tokens turn queries and
keys by a table of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.errors import SourceError, UnsupportedError
from export.families.attention import FULL, SLIDING
from export.families.base import LAYERS_MOST, Attention, Config, Family
from export.families.keys import Key, named
from export.families.llama import ATTENTION, MLP
from export.families.rope import rope_of
from export.families.values import number, whole

LOCAL = "local"
"""The table of layers that look back on some tokens."""
ROPES = {"default": "default", "linear": "linear"}
PATTERN = 6
"""Every so manieth layer looks back on all tokens, where a config does not say."""


def own(config: Config) -> tuple[Config, Mapping[str, Any]]:
    """The config as a Llama's of the layers that look back on everything, and what differs by layer."""
    nested = _nested(config)
    local = {
        "rope_theta": config.get("rope_local_base_freq"),
        "rope_parameters": nested.get(SLIDING),
        "max_position_embeddings": config.get("max_position_embeddings"),
    }
    window = Attention(whole(config, "sliding_window"), rope=LOCAL)
    fields = {
        "attentions": tuple(window if kind == SLIDING else Attention() for kind in kinds(config, PATTERN)),
        "ropes": {LOCAL: rope_of(local, ROPES, whole(config, "head_dim"), False)},
        "query_pre_attn_scalar": number(config, "query_pre_attn_scalar"),
        "embedding_scale": rounded(math.sqrt(whole(config, "hidden_size")), config),
    }
    full = nested.get(FULL) or {}
    return {**config, "rope_parameters": full}, fields


def _nested(config: Config) -> Mapping[str, Any]:
    """Transformers 5's rotary positions, by the kind of layer; nothing in the spelling of 4."""
    found = config.get("rope_parameters") or {}
    if not isinstance(found, Mapping) or set(found) - {SLIDING, FULL}:
        raise UnsupportedError(
            f"config.json's rope_parameters should be an object of {FULL} and {SLIDING} in a Gemma 3's"
        )
    for kind, values in found.items():
        if values is not None and not isinstance(values, Mapping):
            raise SourceError(f"config.json's rope_parameters should have an object for {kind}, not {values!r}")
    return found


def kinds(config: Config, pattern: int) -> list[str]:
    """How each layer attends; where they are not listed, every so manieth sees everything."""
    count, found = whole(config, "num_hidden_layers", most=LAYERS_MOST), config.get("layer_types")
    if found is None:
        every = pattern if config.get("sliding_window_pattern") is None else whole(config, "sliding_window_pattern")
        return [SLIDING if (index + 1) % every else FULL for index in range(count)]
    if not isinstance(found, list) or len(found) != count:
        raise SourceError("config.json's layer_types should name a kind for each of its num_hidden_layers")
    if odd := [kind for kind in found if kind not in (SLIDING, FULL)]:
        raise UnsupportedError(f"config.json says layer_types: [{odd[0]!r}, …]; a Gemma has {FULL} and {SLIDING}")
    return found


def rounded(value: float, config: Config) -> float:
    """A number as the checkpoint's type has it (`Gemma3TextScaledWordEmbedding`: the scale is cast to the table's)."""
    kind = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    if kind == "float16":
        return float(np.float16(value))
    if kind == "bfloat16":
        bits = int(np.float32(value).view(np.uint32))
        return float(np.uint32((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32))
    return float(np.float32(value))


FAMILY = Family(
    name="gemma3",
    architectures=("Gemma3ForCausalLM", "gemma3"),
    attention=ATTENTION,
    linear=(*ATTENTION, "self_attn.o_proj", *MLP),
    vectors=(
        "post_attention_layernorm.weight",
        "pre_feedforward_layernorm.weight",
        "post_feedforward_layernorm.weight",
    ),
    trace_class="Gemma3ForCausalLM",
    trace_config="Gemma3TextConfig",
    genai_type="gemma3_text",
    skeleton="gemma3",
    model_type="gemma3_text",
    defaults={
        "vocab_size": 262208,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
        "query_pre_attn_scalar": 256,
    },
    keys={
        **named("it is read", "query_pre_attn_scalar rope_local_base_freq sliding_window_pattern"),
        **named("layer_types says it, and Transformers reads that", "_sliding_window_pattern"),
        **named("the MLP's gate is a GELU by its tanh", "hidden_activation hidden_act", "gelu_pytorch_tanh"),
        **named("no Gemma 3 has soft caps", "final_logit_softcapping attn_logit_softcapping", None),
        "use_bidirectional_attention": Key("a token sees those before it", (False,)),
    },
    ropes=ROPES,
    own=own,
    rope_theta=1000000.0,
    norms_heads=True,
    norm_offset=1.0,
    needs_float32=True,
)
