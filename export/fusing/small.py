"""A decoder as Phi-3-small has it: its skeleton, which Optimum cannot trace.

Transformers has no class of it, and code of a checkpoint is not run here; so these functions are written down instead
of being fused from a trace. Tests hold them to what other implementations make of the same weights.

    head, tail  as in mixture.py; embeddings are multiplied before they enter
    layer       (normed, residual, cache, weights) -> normed, residual, cache

Which blocks of a text a layer sees is options.py's. Weights are in a Llama's words (export/source/regrouped.py).
Source: the hub's modeling_phi3_small.py, `gegelu`: a gate goes through x * sigmoid(1.702 x), and opens what lies beside
it plus one; both are limited.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from export.families.base import Family
from export.fusing.decoder import sequence_lengths
from export.fusing.mixture import FIRST_NORM, attention, skip_layer_norm, tail
from export.fusing.nodes import CONTRIB, function, node, reference

GELU_ALPHA = 1.702
CACHE = ["past_key", "past_value", "seqlens_k", "total_sequence_length", "cos_cache", "sin_cache"]


def functions(family: Family) -> list[onnx.FunctionProto]:
    """The head, layer and tail."""
    return [_head(), _layer(family), tail()]


def _head() -> onnx.FunctionProto:
    weights = ["model.embed_tokens.weight", f"{FIRST_NORM}.weight", f"{FIRST_NORM}.bias"]
    scale = node("Constant", [], ["embedding_scale"])
    scale.attribute.append(reference("value_float", "FLOAT", "embedding_scale"))
    norm = node("LayerNormalization", ["residual", *weights[1:]], ["normed"], axis=-1, stash_type=1)
    norm.attribute.append(reference("epsilon", "FLOAT"))
    nodes = [
        node("Gather", [weights[0], "input_ids"], ["embedded"]),
        scale,
        node("Mul", ["embedded", "embedding_scale"], ["residual"]),
        norm,
        *sequence_lengths(),
    ]
    outputs = ["normed", "residual", "seqlens_k", "total_sequence_length"]
    return function("head", ["input_ids", "attention_mask", *weights], outputs, nodes, ["epsilon", "embedding_scale"])


def _layer(family: Family) -> onnx.FunctionProto:
    output, down = "self_attn.o_proj", "mlp.down_proj"
    nodes = [
        *attention(family),
        node("MatMul", ["attended", f"{output}.weight"], ["attention_output"]),
        skip_layer_norm("residual", "attention_output", "post_attention_layernorm", "mlp_input", "middle", bias=output),
        *_mlp(),
        node("MatMul", ["opened", f"{down}.weight"], ["mlp_output"]),
        skip_layer_norm("middle", "mlp_output", "next_layernorm", "next_normed", "next_residual", bias=down),
    ]
    inputs = ["normed", "residual", *CACHE, *(f"{name}.weight" for name in family.linear), *family.vectors]
    inputs += ["next_layernorm.weight", "next_layernorm.bias"]
    outputs = ["next_normed", "next_residual", "present_key", "present_value"]
    attributes = ["num_heads", "kv_num_heads", "scale", "epsilon", "gate_limit"]
    return function("layer", inputs, outputs, nodes, attributes)


def _mlp() -> Iterator[onnx.NodeProto]:
    """What the MLP multiplies last."""
    for name in ("gate", "up"):
        yield node("MatMul", ["mlp_input", f"mlp.{name}_proj.weight"], [f"{name}_product"])
        yield node("Add", [f"{name}_product", f"mlp.{name}_proj.bias"], [name])
    limit, one = node("Constant", [], ["limit"]), node("Constant", [], ["one"], value_float=1.0)
    limit.attribute.append(reference("value_float", "FLOAT", "gate_limit"))
    yield from (limit, one, node("Neg", ["limit"], ["lowest"]))
    yield node("Min", ["gate", "limit"], ["limited_gate"])
    yield node("Clip", ["up", "lowest", "limit"], ["limited_up"])
    yield node("QuickGelu", ["limited_gate"], ["activated"], CONTRIB, alpha=GELU_ALPHA)
    yield node("Add", ["limited_up", "one"], ["beside"])
    yield node("Mul", ["activated", "beside"], ["opened"])
