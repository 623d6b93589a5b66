"""Phi-3-small: layers that see a whole text and layers that see some blocks of it, in turns; a GELU gate, muP's scales.

Transformers has no class of it: the checkpoint brings code of its own, which is never run here. What is read is what
that code reads (`configuration_phi3_small.py`, `modeling_phi3_small.py`, `positional_embedding.py` of the hub's
repository).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from export.families.base import LAYERS_MOST, Attention, Blocks, Config, Family, positions
from export.families.keys import Key, named
from export.families.llama import ATTENTION, MLP
from export.families.rope import ORIGINAL
from export.families.values import number, whole

SIDES = ("short_mscale", "long_mscale")
"""What a rotary table is multiplied with, that of short texts and that of long ones."""


def own(config: Config) -> tuple[Config, Mapping[str, Any]]:
    """The config in a Llama's words, and what a Llama has not."""
    words = {
        **config,
        "rms_norm_eps": config.get("layer_norm_epsilon"),
        "intermediate_size": config.get("ff_intermediate_size"),
        "rope_theta": number(config, "rope_embedding_base"),
        "rope_scaling": _scaling(config),
    }
    head_size = whole(config, "hidden_size") // whole(config, "num_attention_heads")
    fields = {
        "attentions": _attentions(config),
        "query_pre_attn_scalar": _divisor(config, head_size) ** 2,
        "embedding_scale": multiplier(config, "mup_embedding_multiplier"),
        "gate_limit": 0.0 if config.get("gegelu_limit") is None else number(config, "gegelu_limit"),
    }
    return words, fields


def before_long_factors(config: Config) -> int:
    """Its positions, or those that short factors turn: a prompt beyond them is read at once.

    What says which blocks each of its tokens sees would take 4 GiB of 6,000 tokens then.
    """
    given = config.get("rope_scaling")
    if not isinstance(given, Mapping):
        return positions(config)
    return min(positions(config), whole(given, ORIGINAL, "config.json's rope_scaling"))


def multiplier(config: Config, key: str) -> float:
    """One of muP's, 1 where there is none: null, and 0, which the checkpoint's code takes for none."""
    return 1.0 if config.get(key) in (None, 0) else number(config, key)


def _divisor(config: Config, head_size: int) -> float:
    """What scores are divided by."""
    if not config.get("mup_use_scaling"):
        return math.sqrt(head_size)
    return head_size / number(config, "mup_attn_multiplier")


def _attentions(config: Config) -> tuple[Attention, ...]:
    """Every so manieth layer sees everything, and the others blocks; without such a number all see blocks."""
    every = config.get("dense_attention_every_n_layers") or 0
    if every:
        every = whole(config, "dense_attention_every_n_layers")
    stride, heads = whole(config, "blocksparse_vert_stride"), whole(config, "num_attention_heads")
    blocks = Blocks(
        whole(config, "blocksparse_block_size"),
        whole(config, "blocksparse_num_local_blocks"),
        stride,
        max(1, stride // heads),
    )
    layers = range(1, 1 + whole(config, "num_hidden_layers", most=LAYERS_MOST))
    return tuple(Attention(blocks=None if every and layer % every == 0 else blocks) for layer in layers)


def _scaling(config: Config) -> Any:
    """rope_scaling with both scales, as the checkpoint's code finds them: 1 for short ones, by the lengths for long."""
    given = config.get("rope_scaling")
    if not isinstance(given, Mapping):
        return given
    found = dict(given)
    for key in SIDES:
        if isinstance(given.get(key, -1), int | float) and given.get(key, -1) <= 0:
            found[key] = _usual(config, given) if key == SIDES[1] else 1.0
    return found


def _usual(config: Config, given: Mapping[str, Any]) -> float:
    """The scale of a long text's tables."""
    original = whole(given, ORIGINAL, "config.json's rope_scaling")
    ratio = whole(config, "max_position_embeddings") / original
    return math.sqrt(1 + math.log(ratio) / math.log(original)) if ratio > 1 and original > 1 else 1.0


FAMILY = Family(
    name="phi3small",
    architectures=("Phi3SmallForCausalLM",),
    attention=ATTENTION,
    linear=(*ATTENTION, "self_attn.o_proj", *MLP),
    vectors=(
        *(f"{module}.bias" for module in (*ATTENTION, "self_attn.o_proj", *MLP)),
        "post_attention_layernorm.weight",
        "post_attention_layernorm.bias",
    ),
    outside=("model.layers.0.input_layernorm.bias", "lm_head.bias"),
    trace_class="Phi3SmallForCausalLM",
    trace_config="Phi3SmallConfig",
    genai_type="phi3small",
    skeleton="phi3small",
    model_type="phi3small",
    defaults={
        "vocab_size": 100352,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "ff_intermediate_size": 14336,
        "gegelu_limit": 20.0,
        "layer_norm_epsilon": 1e-5,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "rope_embedding_base": 10**6,
        "mup_use_scaling": True,
        "mup_attn_multiplier": 1.0,
        "mup_embedding_multiplier": 10.0,
        "mup_width_multiplier": 8.0,
        "dense_attention_every_n_layers": 2,
        "blocksparse_block_size": 64,
        "blocksparse_num_local_blocks": 16,
        "blocksparse_vert_stride": 8,
    },
    keys={
        **named(
            "it is read",
            "ff_intermediate_size gegelu_limit layer_norm_epsilon rope_embedding_base dense_attention_every_n_layers"
            " blocksparse_block_size blocksparse_num_local_blocks blocksparse_vert_stride mup_use_scaling"
            " mup_attn_multiplier mup_embedding_multiplier mup_width_multiplier",
        ),
        **named("its width is ff_intermediate_size, which is given", "ff_dim_multiplier", None),
        **named("it counts in training alone", "attention_dropout_prob embedding_dropout_prob ffn_dropout_prob"),
        **named(
            "it says how the kernels of its own code run",
            "blocksparse_triton_kernel_block_size pad_sequence_to_multiple_of_64 reorder_and_upcast_attn"
            " gegelu_pad_to_256",
        ),
        "hidden_act": Key("the MLP's gate is a GELU beside what it opens", ("gegelu",)),
        "blocksparse_homo_head_pattern": Key("each head sees blocks of its own", (False,)),
        "rope_position_scale": Key("positions are counted by ones", (1, 1.0)),
        "tie_word_embeddings": Key("head and embedding are one table", (True,)),
    },
    ropes={"default": "default", "longrope": "longrope_scaled", "su": "longrope_scaled"},
    limit=before_long_factors,
    own=own,
    for_cpu=True,
    regroups=True,
)
