"""A Gemma 3's layer: norms before attention and MLP and behind them, too.

    head   embeddings are multiplied before they enter
    layer  (normed, residual, cache, weights) -> normed, residual, cache; what attention and MLP make is normed first,
           then added to the residual

Norms of every head's queries and keys are checked here and added by options.py, as windows are. Weights of norms are
those of the graph: what the family adds to a checkpoint's is in them already.
"""

from __future__ import annotations

import onnx

from export.errors import FuseError
from export.families.base import Family
from export.fusing.decoder import attention, embedding, sequence_lengths, tail
from export.fusing.nodes import function, node, norm, reference, skip_norm
from export.fusing.trace import IGNORED, Trace

GATED = ["MatMul", "Gelu", "MatMul", "Mul", "MatMul"]
"""The MLP's operators, in the order of the trace: gate, its GELU, up, their product, down."""
CACHE = ["past_key", "past_value", "seqlens_k", "total_sequence_length", "cos_cache", "sin_cache"]
OUTPUTS = ["next_normed", "next_residual", "present_key", "present_value"]
ATTRIBUTES = ["num_heads", "kv_num_heads", "scale", "epsilon"]


def fuse(graph: onnx.GraphProto, family: Family) -> list[onnx.FunctionProto]:
    """The head, layer and tail of a two-layer Gemma 3 traced with key-value cache.

    Raises FuseError, naming the node, where the graph is not the family's.
    """
    trace = Trace(graph)
    trace.check_scopes(2)
    for index, following in enumerate(("model/layers.1/input_layernorm", "model/norm")):
        _check_layer(trace, family, f"model/layers.{index}", following)
    return [_head(trace), _layer(family), tail(trace)]


def _head(trace: Trace) -> onnx.FunctionProto:
    scaled = trace.producer[trace.norm_input("model/layers.0/input_layernorm")]
    if scaled.op_type != "Mul" or embedding(trace) not in scaled.input:
        raise FuseError("the first layer should read the embedding times a number")
    scale = node("Constant", [], ["scale"])
    scale.attribute.append(reference("value_float", "FLOAT", "embedding_scale"))
    nodes = [
        node("Gather", ["model.embed_tokens.weight", "input_ids"], ["embedded"]),
        scale,
        node("CastLike", ["scale", "embedded"], ["embedding_scale"]),
        node("Mul", ["embedded", "embedding_scale"], ["residual"]),
        norm(["residual", "model.layers.0.input_layernorm.weight"], ["normed"]),
        *sequence_lengths(),
    ]
    inputs = ["input_ids", "attention_mask", "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight"]
    outputs = ["normed", "residual", "seqlens_k", "total_sequence_length"]
    return function("head", inputs, outputs, nodes, ["epsilon", "embedding_scale"])


def _check_layer(trace: Trace, family: Family, prefix: str, following: str) -> None:
    """What a traced layer reads, adds and multiplies is what `_layer` has."""
    linear = {name: f"{prefix}/{name.replace('.', '/')}" for name in family.linear}
    made = {name: trace.projection(module).output[0] for name, module in linear.items()}
    trace.attention(f"{prefix}/self_attn", linear.values())
    entered, after_attention, after_mlp = (
        trace.norm_input(module)
        for module in (f"{prefix}/input_layernorm", f"{prefix}/pre_feedforward_layernorm", following)
    )
    reads = {"post_attention_layernorm": "self_attn.o_proj", "post_feedforward_layernorm": "mlp.down_proj"}
    for name, module in reads.items():
        if trace.norm_input(f"{prefix}/{name}") != made[module]:
            raise FuseError(f"/{prefix}/{name} should read what {module} makes")
    sums = {
        after_attention: {entered, trace.norm_output(f"{prefix}/post_attention_layernorm")},
        after_mlp: {after_attention, trace.norm_output(f"{prefix}/post_feedforward_layernorm")},
    }
    for value, parts in sums.items():
        if set(trace.residual(value, prefix)) != parts:
            raise FuseError(f"the residual {value} of /{prefix} does not join {' and '.join(sorted(parts))}")
    for part in ("q", "k"):
        _check_head_norm(trace, f"{prefix}/self_attn/{part}_norm", made[f"self_attn.{part}_proj"])
    _check_mlp(trace, f"{prefix}/mlp")


def _check_head_norm(trace: Trace, module: str, projected: str) -> None:
    """A norm of queries or keys reads them head by head."""
    turned = trace.producer[trace.norm_input(module)]
    cut = trace.producer.get(turned.input[0])
    if turned.op_type != "Transpose" or cut is None or cut.op_type != "Reshape" or cut.input[0] != projected:
        raise FuseError(f"/{module} should read its projection, cut into heads")


def _check_mlp(trace: Trace, module: str) -> None:
    nodes = [each for each in trace.scope(module) if each.op_type not in IGNORED]
    if [each.op_type for each in nodes] != GATED:
        found = ", ".join(each.op_type for each in nodes)
        raise FuseError(f"/{module} should be {', '.join(GATED)}, but the trace has {found}")
    gate, gelu, up, product, down = nodes
    kinds = [each.s for each in gelu.attribute if each.name == "approximate"]
    wired = (gelu.input[0], set(product.input), down.input[0])
    if kinds != [b"tanh"] or wired != (gate.output[0], {gelu.output[0], up.output[0]}, product.output[0]):
        raise FuseError(f"/{module} should be down(gelu(gate) * up) with the tanh of GELU")


def _layer(family: Family) -> onnx.FunctionProto:
    nodes = [
        *attention(family),
        node("MatMul", ["attended", "self_attn.o_proj.weight"], ["attention_output"]),
        norm(["attention_output", "post_attention_layernorm.weight"], ["attention_normed"]),
        skip_norm("residual", "attention_normed", "pre_feedforward_layernorm.weight", "mlp_input", "middle"),
        node("MatMul", ["mlp_input", "mlp.gate_proj.weight"], ["gate"]),
        node("MatMul", ["mlp_input", "mlp.up_proj.weight"], ["up"]),
        node("Gelu", ["gate"], ["gelu"], approximate="tanh"),
        node("Mul", ["gelu", "up"], ["gated"]),
        node("MatMul", ["gated", "mlp.down_proj.weight"], ["mlp_output"]),
        norm(["mlp_output", "post_feedforward_layernorm.weight"], ["mlp_normed"]),
        skip_norm("middle", "mlp_normed", "next_layernorm.weight", "next_normed", "next_residual"),
    ]
    weights = [f"{name}.weight" for name in family.linear]
    inputs = ["normed", "residual", *CACHE, *weights, *family.vectors, "next_layernorm.weight"]
    return function("layer", inputs, OUTPUTS, nodes, ATTRIBUTES)
