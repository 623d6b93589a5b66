"""A traced two-layer graph in, its fused skeleton out: the operators that are fast on ARM, x86 and CUDA.

Patterns are anchored on the names of modules (trace.py), and where one does not match a `FuseError` names the node.
Nothing that does not match stays behind as a slow graph.

A skeleton is three ONNX functions in ONNX's own text form:

    head   (input_ids, attention_mask, weights) -> normed, residual, seqlens_k, total_sequence_length
    layer  (normed, residual, cache, weights)   -> normed, residual, cache
    tail   (normed, weight)                     -> logits

The cut lies after each layer's first norm, so that its residual Add and the norm of the next layer fuse
(`SkipSimplifiedLayerNormalization`), and every layer is the same function.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from export.errors import FuseError
from export.families.base import Family
from export.fusing.nodes import CONTRIB, constant, function, node, norm, reference, skip_norm
from export.fusing.trace import IGNORED, Trace


def fuse(graph: onnx.GraphProto, family: Family) -> list[onnx.FunctionProto]:
    """The head, layer and tail of a two-layer causal language model traced with key-value cache.

    Raises FuseError, naming the node, where the graph is not the family's.
    """
    trace = Trace(graph)
    trace.check_scopes(2)
    layers = [_layer(trace, family, index) for index in (0, 1)]
    if layers[0].SerializeToString() != layers[1].SerializeToString():
        raise FuseError("layers 0 and 1 of the trace fuse to different graphs; one skeleton cannot stand for both")
    return [_head(trace), layers[0], _tail(trace)]


def _head(trace: Trace) -> onnx.FunctionProto:
    if trace.norm_input("model/layers.0/input_layernorm") != _embedding(trace):
        raise FuseError("the first layer should read the embedding")
    nodes = [
        node("Gather", ["model.embed_tokens.weight", "input_ids"], ["residual"]),
        norm(["residual", "model.layers.0.input_layernorm.weight"], ["normed"]),
        *sequence_lengths(),
    ]
    inputs = ["input_ids", "attention_mask", "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight"]
    outputs = ["normed", "residual", "seqlens_k", "total_sequence_length"]
    return function("head", inputs, outputs, nodes, ["epsilon"])


def _embedding(trace: Trace) -> str:
    gathers = [n for n in trace.scope("model/embed_tokens") if n.op_type == "Gather"]
    if len(gathers) != 1:
        raise FuseError(f"/model/embed_tokens should be one Gather, but the trace has {len(gathers)}")
    return str(gathers[0].output[0])


def sequence_lengths() -> Iterator[onnx.NodeProto]:
    """The mask as GroupQueryAttention takes it: the last valid position of each row, and the longest row.

    Source: onnxruntime's ContribOperators.md, com.microsoft.GroupQueryAttention, `seqlens_k`.
    """
    yield constant("one", [1])
    yield node("ReduceSum", ["attention_mask", "one"], ["row_lengths"], keepdims=0)
    yield node("Sub", ["row_lengths", "one"], ["last_positions"])
    yield node("Cast", ["last_positions"], ["seqlens_k"], to=onnx.TensorProto.INT32)
    yield node("Shape", ["attention_mask"], ["mask_length"], start=1, end=2)
    yield constant("no_axes", [], shape=[0])
    yield node("Reshape", ["mask_length", "no_axes"], ["longest"])
    yield node("Cast", ["longest"], ["total_sequence_length"], to=onnx.TensorProto.INT32)


def _layer(trace: Trace, family: Family, index: int) -> onnx.FunctionProto:
    prefix = f"model/layers.{index}"
    linear = {name: trace.projection(f"{prefix}/{name.replace('.', '/')}") for name in family.linear}
    trace.attention(f"{prefix}/self_attn", [f"{prefix}/{name.replace('.', '/')}" for name in family.linear])
    _check_residuals(trace, linear, index)
    nodes = [
        *_attention(family),
        node("MatMul", ["attended", "self_attn.o_proj.weight"], ["attention_output"]),
        skip_norm("residual", "attention_output", "post_attention_layernorm.weight", "mlp_input", "middle"),
        *_mlp(trace, prefix, linear),
        skip_norm("middle", "mlp_output", "next_layernorm.weight", "next_normed", "next_residual"),
    ]
    weights = [f"{name}.weight" for name in family.linear]
    inputs = ["normed", "residual", "past_key", "past_value", "seqlens_k", "total_sequence_length"]
    inputs += ["cos_cache", "sin_cache", *weights, "post_attention_layernorm.weight", "next_layernorm.weight"]
    outputs = ["next_normed", "next_residual", "present_key", "present_value"]
    return function("layer", inputs, outputs, nodes, ["num_heads", "kv_num_heads", "scale", "epsilon"])


def _check_residuals(trace: Trace, linear: dict[str, onnx.NodeProto], index: int) -> None:
    """Both Adds of a layer join what entered it with what the attention and the MLP made."""
    prefix = f"model/layers.{index}"
    entered = trace.norm_input(f"{prefix}/input_layernorm")
    after_attention = trace.norm_input(f"{prefix}/post_attention_layernorm")
    following = "model/norm" if index else f"model/layers.{index + 1}/input_layernorm"
    after_mlp = trace.norm_input(following)
    expected = {
        after_attention: {entered, linear["self_attn.o_proj"].output[0]},
        after_mlp: {after_attention, linear["mlp.down_proj"].output[0]},
    }
    for value, sources in expected.items():
        if set(trace.residual(value, prefix)) != sources:
            raise FuseError(f"the residual {value} of /{prefix} does not join {' and '.join(sorted(sources))}")


def _attention(family: Family) -> Iterator[onnx.NodeProto]:
    names = [name.rpartition(".")[2].removesuffix("_proj") for name in family.attention]
    for name, module in zip(names, family.attention, strict=True):
        yield node("MatMul", ["normed", f"{module}.weight"], [name])
    packed = [*names, "", ""][:3]
    shared = ["past_key", "past_value", "seqlens_k", "total_sequence_length", "cos_cache", "sin_cache"]
    attention = node(
        "GroupQueryAttention", [*packed, *shared], ["attended", "present_key", "present_value"], CONTRIB, do_rotary=1
    )
    attention.attribute.extend(
        [reference("num_heads", "INT"), reference("kv_num_heads", "INT"), reference("scale", "FLOAT")]
    )
    yield attention


def _mlp(trace: Trace, prefix: str, linear: dict[str, onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The MLP as traced, with the split of a packed gate and up made free of sizes."""
    weights = {proj.output[0]: f"{name}.weight" for name, proj in linear.items()}
    names = {trace.projection(f"{prefix}/mlp/down_proj").output[0]: "mlp_output"}
    halves = _packed_halves(trace, prefix, linear)
    source = trace.norm_input(f"{prefix}/post_attention_layernorm")
    for traced in trace.scope(f"{prefix}/mlp"):
        made = traced.output[0]
        if made in weights:
            reads = "mlp_input" if "down" not in weights[made] else _local(prefix, traced.input[0])
            yield node("MatMul", [reads, weights[made]], [names.get(made, _local(prefix, made))])
            if halves and made not in names:
                yield node("Split", [_local(prefix, made)], list(halves.values()), axis=-1, num_outputs=2)
        elif traced.op_type in ("Sigmoid", "Mul") and not _counts_sizes(trace, traced):
            yield node(traced.op_type, [halves.get(i, _local(prefix, i)) for i in traced.input], [_local(prefix, made)])
        elif not (_counts_sizes(trace, traced) or traced.op_type in IGNORED or made in halves):
            raise FuseError(f"{traced.name} ({traced.op_type}) has no place in the MLP of {source}")


def _packed_halves(trace: Trace, prefix: str, linear: dict[str, onnx.NodeProto]) -> dict[str, str]:
    """The two Slices of a packed gate-and-up projection, by what they make."""
    if "mlp.gate_up_proj" not in linear:
        return {}
    packed = linear["mlp.gate_up_proj"].output[0]
    slices = [n for n in trace.scope(f"{prefix}/mlp") if n.op_type == "Slice" and n.input[0] == packed]
    if len(slices) != 2:
        raise FuseError(f"/{prefix}/mlp should slice gate_up_proj in two, but the trace has {len(slices)} slices")
    return {cut.output[0]: name for cut, name in zip(slices, ("gate", "up"), strict=True)}


def _counts_sizes(trace: Trace, traced: onnx.NodeProto) -> bool:
    """Whether a node only computes where to slice: everything it reads comes from a Shape or a Constant."""
    if traced.op_type in ("Shape", "Constant"):
        return True
    made = [trace.producer.get(value) for value in traced.input]
    return bool(made) and all(n is not None and _counts_sizes(trace, n) for n in made)


def _local(prefix: str, value: str) -> str:
    """`/model/layers.0/mlp/act_fn/Mul_output_0` as `act_fn.Mul`."""
    short = value.removeprefix(f"/{prefix}/mlp/").removesuffix("_output_0")
    return short.replace("/MatMul", "").replace("/", ".")


def _tail(trace: Trace) -> onnx.FunctionProto:
    trace.projection("lm_head")
    nodes = [node("MatMul", ["normed", "lm_head.weight"], ["logits"])]
    return function("tail", ["normed", "lm_head.weight"], ["logits"], nodes, [])
