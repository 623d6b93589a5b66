"""A decoder whose MLP is a mixture of experts, as Phi-3.5-MoE has it: its skeleton, which no trace can show.

Which experts a token goes to depends on its values, and Optimum has no exporter for that; so these functions are
written down instead of being fused from a trace, and tests hold them to Transformers' own forward pass.

    head, tail                              as in decoder.py, with the biases of a LayerNorm and of the head
    layer   (normed, residual, cache, weights)  -> normed, residual, cache
    expert  (expert_input, weights)             -> expert_output

A layer holds one `Experts` node, which stands for all of them: (mlp_input, routing) -> mlp_output. The routing is each
token's weight of each expert, 0 for all but two. Source: Transformers' modeling_phimoe.py, `sparsemixer`;
arXiv:2409.12136.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from export.families.base import EXPERTS_OP, Family
from export.fusing.decoder import sequence_lengths
from export.fusing.nodes import CONTRIB, constant, function, node, reference

DOMAIN = "edge.skeleton"
FIRST_NORM, ROUTER = "model.layers.0.input_layernorm", "block_sparse_moe.gate.weight"


def functions(family: Family) -> list[onnx.FunctionProto]:
    """The head, layer, expert and tail."""
    return [_head(), _layer(family), _expert(), tail()]


def _head() -> onnx.FunctionProto:
    weights = ["model.embed_tokens.weight", f"{FIRST_NORM}.weight", f"{FIRST_NORM}.bias"]
    norm = node("LayerNormalization", ["residual", *weights[1:]], ["normed"], axis=-1, stash_type=1)
    norm.attribute.append(reference("epsilon", "FLOAT"))
    nodes = [node("Gather", [weights[0], "input_ids"], ["residual"]), norm, *sequence_lengths()]
    outputs = ["normed", "residual", "seqlens_k", "total_sequence_length"]
    return function("head", ["input_ids", "attention_mask", *weights], outputs, nodes, ["epsilon"])


def _layer(family: Family) -> onnx.FunctionProto:
    nodes = [
        *attention(family),
        node("MatMul", ["attended", "self_attn.o_proj.weight"], ["attention_output"]),
        skip_layer_norm(
            "residual", "attention_output", "post_attention_layernorm", "mlp_input", "middle", "self_attn.o_proj"
        ),
        *_routing(),
        node(EXPERTS_OP, ["mlp_input", "routing"], ["mlp_output"], DOMAIN),
        skip_layer_norm("middle", "mlp_output", "next_layernorm", "next_normed", "next_residual"),
    ]
    inputs = ["normed", "residual", "past_key", "past_value", "seqlens_k", "total_sequence_length"]
    inputs += ["cos_cache", "sin_cache", *(f"{name}.weight" for name in family.linear), *family.vectors]
    inputs += ["next_layernorm.weight", "next_layernorm.bias"]
    outputs = ["next_normed", "next_residual", "present_key", "present_value"]
    attributes = ["num_heads", "kv_num_heads", "scale", "epsilon", "router_threshold"]
    return function("layer", inputs, outputs, nodes, attributes)


def skip_layer_norm(value: str, skip: str, norm: str, normed: str, total: str, bias: str = "") -> onnx.NodeProto:
    """The LayerNorm of a sum, and the sum. bias: of the product that is added."""
    inputs = [value, skip, f"{norm}.weight", f"{norm}.bias", *([f"{bias}.bias"] if bias else [])]
    made = node("SkipLayerNormalization", inputs, [normed, "", "", total], CONTRIB)
    made.attribute.append(reference("epsilon", "FLOAT"))
    return made


def attention(family: Family) -> Iterator[onnx.NodeProto]:
    """The projections before attention with their biases, and GroupQueryAttention."""
    names = [name.rpartition(".")[2].removesuffix("_proj") for name in family.attention]
    for name, module in zip(names, family.attention, strict=True):
        yield node("MatMul", ["normed", f"{module}.weight"], [f"{name}_product"])
        yield node("Add", [f"{name}_product", f"{module}.bias"], [name])
    shared = ["past_key", "past_value", "seqlens_k", "total_sequence_length", "cos_cache", "sin_cache"]
    made = node(
        "GroupQueryAttention", [*names, *shared], ["attended", "present_key", "present_value"], CONTRIB, do_rotary=1
    )
    kinds = {"num_heads": "INT", "kv_num_heads": "INT", "scale": "FLOAT"}
    made.attribute.extend(reference(*each) for each in kinds.items())
    yield made


def _routing() -> Iterator[onnx.NodeProto]:
    """The weight of each expert for each token, `[batch, tokens, experts]`.

    The best expert's weight is its share among those whose score is near it, that of the second the same without the
    best. The router stays in floats: what is rounded there would send a token elsewhere.
    """
    yield node("FusedMatMul", ["mlp_input", ROUTER], ["scores"], CONTRIB, transB=1)
    yield constant("two", [2])
    yield node("TopK", ["scores", "two"], ["best_scores", "best"], axis=-1)
    yield node("Split", ["best_scores"], ["first_score", "second_score"], axis=-1, num_outputs=2)
    yield node("Split", ["best"], ["first", "second"], axis=-1, num_outputs=2)
    yield node("Abs", ["scores"], ["sizes"])
    threshold = node("Constant", [], ["threshold"])
    threshold.attribute.append(reference("value_float", "FLOAT", "router_threshold"))
    yield threshold
    yield node("Constant", [], ["never"], value=helper.make_tensor("never", TensorProto.FLOAT, [], [float("-inf")]))
    yield node("Add", ["first_score", "never"], ["without"])
    yield node("ScatterElements", ["scores", "first", "without"], ["others"], axis=-1)
    yield from _share("first", "scores")
    yield from _share("second", "others")
    yield node("Sub", ["scores", "scores"], ["nothing"])
    yield node("Concat", ["first_share", "second_share"], ["shares"], axis=-1)
    yield node("ScatterElements", ["nothing", "best", "shares"], ["routing"], axis=-1)


def _share(which: str, among: str) -> Iterator[onnx.NodeProto]:
    """An expert's softmax among those whose score is near its own."""
    yield node("Sub", [f"{which}_score", "scores"], [f"{which}_gap"])
    yield node("Max", ["sizes", f"{which}_score"], [f"{which}_size"])
    yield node("Div", [f"{which}_gap", f"{which}_size"], [f"{which}_distance"])
    yield node("Greater", [f"{which}_distance", "threshold"], [f"{which}_is_far"])
    yield node("Where", [f"{which}_is_far", "never", among], [f"{which}_near"])
    yield node("Softmax", [f"{which}_near"], [f"{which}_shares"], axis=-1)
    yield node("GatherElements", [f"{which}_shares", which], [f"{which}_share"], axis=-1)


def _expert() -> onnx.FunctionProto:
    nodes = [
        node("MatMul", ["expert_input", "w1.weight"], ["gate"]),
        node("MatMul", ["expert_input", "w3.weight"], ["up"]),
        node("Sigmoid", ["gate"], ["open"]),
        node("Mul", ["gate", "open"], ["activated"]),
        node("Mul", ["activated", "up"], ["hidden"]),
        node("MatMul", ["hidden", "w2.weight"], ["expert_output"]),
    ]
    inputs = ["expert_input", "w1.weight", "w3.weight", "w2.weight"]
    return function("expert", inputs, ["expert_output"], nodes, [])


def tail() -> onnx.FunctionProto:
    """The head's product and its bias."""
    nodes = [
        node("MatMul", ["normed", "lm_head.weight"], ["product"]),
        node("Add", ["product", "lm_head.bias"], ["logits"]),
    ]
    return function("tail", ["normed", "lm_head.weight", "lm_head.bias"], ["logits"], nodes, [])
