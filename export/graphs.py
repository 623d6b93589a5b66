"""A family's skeleton to a whole graph: stamp the layer as often as the checkpoint has it, name every weight.

Weights do not pass through here: a `TensorFile` takes them, and keeps what the graph needs to find them again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, helper

from export.blocks import bias_nodes
from export.families.base import EMBEDDING, EVERYWHERE, EXPERTS_OP, Attention, Dimensions, Family
from export.fusing.nodes import CONTRIB, OPSET, node
from export.fusing.options import BIAS, layer_nodes, with_cap, with_options
from export.lookup import looked_up
from export.mixture import spread
from export.operators import has_int8_cache, quantized
from export.prefill import IS_PREFILL, NEVER, either_way
from export.rotary import ROTARY, table_name
from export.tensor_file import TensorFile

SKELETONS = Path(__file__).parent / "skeletons"

VALUES = ("normed", "residual")
"""What passes from layer to layer."""
INTEGERS = dict.fromkeys(("input_ids", "attention_mask", "image_sizes"), TensorProto.INT64)
INTEGERS |= dict.fromkeys(("seqlens_k", "total_sequence_length"), TensorProto.INT32)
"""The values of a skeleton that are no floats."""

LOGITS_FROM, MORE_LOGITS = "logits_from", "more_logits"
"""An input for the first position, counted from the end, whose logits are made (-1 unless it is fed), and their output.
onnxruntime-genai knows neither and reads `logits`, the last of them."""
UNLIMITED = float(np.finfo(np.float32).max)
Attributes = Mapping[str, int | float]
Skeleton = Mapping[str, onnx.FunctionProto]


@cache
def load_skeleton(name: str) -> Skeleton:
    """The committed head, layer and tail of a family, by those names; read once, and only ever copied from."""
    text = (SKELETONS / f"{name}.onnxtxt").read_text(encoding="utf-8")
    functions = [onnx.parser.parse_function(part) for part in re.split(r"\n\n(?=<\n)", text)]
    return {function.name: function for function in functions}


def skeleton_of(family: Family, sizes: Dimensions) -> Skeleton:
    """A family's skeleton with layer and tail as a checkpoint has them."""
    traced = load_skeleton(family.skeleton)
    layer, tail = with_options(traced["layer"], family, sizes), with_cap(traced["tail"], sizes)
    return {**traced, "layer": layer, "tail": tail}


def layer_attributes(sizes: Dimensions, attention: Attention = EVERYWHERE) -> dict[str, int | float]:
    """What the skeleton's functions are called with."""
    return {
        "do_rotary": int(attention.turns),
        "local_window_size": attention.window or -1,
        "num_heads": sizes.num_heads,
        "kv_num_heads": sizes.num_kv_heads,
        "scale": (sizes.query_pre_attn_scalar or sizes.head_size) ** -0.5,
        "epsilon": sizes.rms_norm_eps,
        "embedding_scale": sizes.embedding_scale,
        "router_threshold": sizes.router_threshold,
        "gate_limit": sizes.gate_limit or UNLIMITED,
    }


def stamp(
    skeleton: Skeleton, sizes: Dimensions, tensors: TensorFile, accuracy_level: int, reads_embeddings: bool = False
) -> onnx.ModelProto:
    """The whole model: its graph here, its weights in the tensor file.

    Inputs and outputs carry onnxruntime-genai's names. Logits are those of the last position only, unless
    LOGITS_FROM says otherwise. reads_embeddings: what it is fed are no ids, but what another graph made of them.
    """
    attributes = layer_attributes(sizes)
    head = [*_head(skeleton["head"], attributes, tensors, reads_embeddings), *_choose_rope(sizes, tensors)]
    two_ways = has_int8_cache(tensors) and tensors.activations == TensorProto.FLOAT
    head += bias_nodes(sizes.blocks, sizes, "layer.0.normed", two_ways) if sizes.blocks else []
    layers = [
        each
        for index in range(sizes.num_layers)
        for each in quantized(stamped_layer(skeleton, sizes, index), tensors, accuracy_level)
    ]
    tail = quantized(_tail(skeleton["tail"], sizes, tensors), tensors, accuracy_level)
    inputs, outputs = _inputs(sizes, tensors, reads_embeddings), _outputs(sizes, tensors)
    defaults = [helper.make_tensor(LOGITS_FROM, TensorProto.INT64, [1], [-1])]
    if two_ways:
        layers = list(either_way(layers, sizes))
        inputs.append(helper.make_tensor_value_info(IS_PREFILL, TensorProto.BOOL, []))
        defaults.append(NEVER)
    return graph_over("decoder", [*head, *layers, *tail], inputs, outputs, tensors, *defaults)


def graph_over(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    tensors: TensorFile,
    *more: TensorProto,
) -> onnx.ModelProto:
    """Nodes as a model with those of the file's tensors that they use, and with some more."""
    used = set(_read(nodes))
    initializers = [entry for entry in tensors.initializers if entry.name in used]
    return _model(helper.make_graph(nodes, name, inputs, outputs, [*initializers, *more]))


def _read(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """What nodes read, those in their branches, too."""
    for each in nodes:
        yield from each.input
        for attribute in each.attribute:
            yield from _read(attribute.g.node)


def head_model(skeleton: Skeleton, sizes: Dimensions, tensors: TensorFile) -> onnx.ModelProto:
    """The bundle's head alone: `input_ids`, `attention_mask` to the first layer's `normed` and `residual`."""
    nodes = list(_head(skeleton["head"], layer_attributes(sizes), tensors))
    outputs = ("layer.0.normed", "layer.0.residual")
    return _part(nodes, ("input_ids", "attention_mask"), outputs, tensors)


def layer_model(
    skeleton: Skeleton, sizes: Dimensions, tensors: TensorFile, accuracy_level: int, index: int
) -> onnx.ModelProto:
    """One layer of the bundle alone, its weights where the whole graph has them."""
    nodes = [*_choose_rope(sizes, tensors), *stamped_layer(skeleton, sizes, index)]
    here, after = (tuple(f"layer.{number}.{value}" for value in VALUES) for number in (index, index + 1))
    cache = (f"past_key_values.{index}.key", f"past_key_values.{index}.value")
    inputs = (
        *here,
        *cache,
        "seqlens_k",
        "total_sequence_length",
        *([BIAS] if sizes.attention_of(index).blocks else []),
    )
    return _part(quantized(nodes, tensors, accuracy_level), inputs, after, tensors)


def tail_model(skeleton: Skeleton, sizes: Dimensions, tensors: TensorFile, accuracy_level: int) -> onnx.ModelProto:
    """The bundle's tail alone, for every position: `normed` to `logits`."""
    names = {"lm_head.weight": _head_weight(sizes, tensors)}
    nodes = [bound(each, {}, names, "") for each in skeleton["tail"].node]
    return _part(quantized(nodes, tensors, accuracy_level), ("normed",), ("logits",), tensors)


def _cache_type(tensors: TensorFile) -> int:
    return int(TensorProto.INT8 if has_int8_cache(tensors) else tensors.activations)


def _part(
    nodes: list[onnx.NodeProto], inputs: tuple[str, ...], outputs: tuple[str, ...], tensors: TensorFile
) -> onnx.ModelProto:
    """Some nodes as a model, with those weights that they use."""
    free = [[_free(name, _type_of(name, tensors)) for name in names] for names in (inputs, outputs)]
    return graph_over("part", nodes, free[0], free[1], tensors)


def _type_of(name: str, tensors: TensorFile) -> int:
    is_cache = name.startswith("past_key_values.")
    return INTEGERS.get(name, _cache_type(tensors) if is_cache else tensors.activations)


def _free(name: str, kind: int) -> onnx.ValueInfoProto:
    """A value of any shape."""
    return helper.make_tensor_value_info(name, kind, None)


def function_model(function: onnx.FunctionProto, attributes: Attributes) -> onnx.ModelProto:
    """One function of a skeleton as a model of its own, weights among its inputs."""
    nodes = [bound(each, attributes, {}, "") for each in function.node]
    inputs, outputs = (
        [_free(name, INTEGERS.get(name, TensorProto.FLOAT)) for name in names]
        for names in (function.input, function.output)
    )
    return _model(helper.make_graph(nodes, function.name, inputs, outputs))


def _choose_rope(sizes: Dimensions, tensors: TensorFile) -> Iterator[onnx.NodeProto]:
    """Cos and sin of the short factors or the long ones, by the length of the longest text."""
    if f"{ROTARY[0]}s" not in tensors.shapes:
        return
    limit = helper.make_tensor("limit", TensorProto.INT32, [], [sizes.rope.original_length])
    yield node("Constant", [], ["original_length"], value=limit)
    yield node("Greater", ["total_sequence_length", "original_length"], ["is_long"])
    yield node("Cast", ["is_long"], ["rope"], to=TensorProto.INT32)
    for name in ROTARY:
        yield node("Gather", [f"{name}s", "rope"], [name])


def _head(
    function: onnx.FunctionProto, attributes: Attributes, tensors: TensorFile, reads_embeddings: bool = False
) -> Iterator[onnx.NodeProto]:
    """The head, its embeddings looked up or given."""
    names = {"normed": "layer.0.normed", "residual": "layer.0.residual"}
    if reads_embeddings:
        yield node("Identity", ["inputs_embeds"], [names["residual"]])
    else:
        embedded = next(each.output[0] for each in function.node if each.op_type == "Gather")
        yield from head_nodes(function, tensors, "input_ids", names.get(embedded, embedded))
    for each in function.node:
        if each.op_type != "Gather":
            yield bound(each, attributes, names, "")


def head_nodes(function: onnx.FunctionProto, tensors: TensorFile, ids: str, made: str) -> Iterator[onnx.NodeProto]:
    """The head's embedding alone, read from the table that the tail's matrix is, where it is quantised."""
    if EMBEDDING not in tensors.matrices:
        gather = next(each for each in function.node if each.op_type == "Gather")
        yield bound(gather, {}, {"input_ids": ids, gather.output[0]: made}, "")
        return
    yield from looked_up(EMBEDDING, tensors, ids, made)


def stamped_layer(skeleton: Skeleton, sizes: Dimensions, index: int) -> Iterator[onnx.NodeProto]:
    """A layer's nodes, its values named after its number and its weights as the tensor file has them."""
    function = skeleton["layer"]
    last = index + 1 == sizes.num_layers
    following = "model.norm.weight" if last else f"model.layers.{index + 1}.input_layernorm.weight"
    attention = sizes.attention_of(index)
    tables = {name: table_name(name, attention.rope) for name in ROTARY}
    names = (
        {name: name for name in ("seqlens_k", "total_sequence_length", BIAS)}
        | tables
        | {
            "normed": f"layer.{index}.normed",
            "residual": f"layer.{index}.residual",
            "next_normed": f"layer.{index + 1}.normed",
            "next_residual": f"layer.{index + 1}.residual",
            "next_layernorm.weight": following,
            "next_layernorm.bias": f"{following.removesuffix('.weight')}.bias",
            "past_key": f"past_key_values.{index}.key",
            "past_value": f"past_key_values.{index}.value",
            "present_key": f"present.{index}.key",
            "present_value": f"present.{index}.value",
        }
    )
    weights = [name for name in function.input if name.endswith((".weight", ".bias")) and name not in names]
    names |= {name: f"model.layers.{index}.{name}" for name in weights}
    for each in layer_nodes(function, attention):
        made = bound(each, layer_attributes(sizes, attention), names, f"layer.{index}.")
        if each.op_type == EXPERTS_OP:
            yield from spread(made, skeleton["expert"], sizes.num_experts, f"model.layers.{index}.")
        else:
            yield made


def _tail(function: onnx.FunctionProto, sizes: Dimensions, tensors: TensorFile) -> Iterator[onnx.NodeProto]:
    """The tail, fed with each row's last position: an answer needs no other, and the head is a fifth of a prefill.

    An engine that verifies guesses wants more of them, and says from where on (`LOGITS_FROM`).
    """
    for name, value in (("minus_one", -1), ("last", np.iinfo(np.int64).max), ("sequence_axis", 1)):
        tensor = helper.make_tensor(name, TensorProto.INT64, [1], [value])
        yield node("Constant", [], [name], value=tensor)
    yield node("Slice", [f"layer.{sizes.num_layers}.normed", LOGITS_FROM, "last", "sequence_axis"], ["wanted"])
    names = {"normed": "wanted", "lm_head.weight": _head_weight(sizes, tensors), "logits": MORE_LOGITS}
    for each in function.node:
        yield bound(each, {}, names, "")
    yield node("Slice", [MORE_LOGITS, "minus_one", "last", "sequence_axis"], ["logits"])


def _head_weight(sizes: Dimensions, tensors: TensorFile) -> str:
    """The table that makes logits: the embedding's where both are one and stored in blocks."""
    is_shared = sizes.tied_embeddings and "model.embed_tokens.weight" in tensors.matrices
    return "model.embed_tokens.weight" if is_shared else "lm_head.weight"


def bound(each: onnx.NodeProto, attributes: Attributes, names: Mapping[str, str], prefix: str) -> onnx.NodeProto:
    """A node of a function with its attribute references filled in and its values renamed."""
    bound = onnx.NodeProto()
    bound.CopyFrom(each)
    for field in (bound.input, bound.output):
        field[:] = [names.get(value, prefix + value) if value else "" for value in field]
    bound.name = bound.output[0]
    for attribute in bound.attribute:
        if attribute.ref_attr_name:
            attribute.CopyFrom(helper.make_attribute(attribute.name, attributes[attribute.ref_attr_name]))
    return bound


def _cache(sizes: Dimensions, tensors: TensorFile, prefix: str, length: str) -> Iterator[onnx.ValueInfoProto]:
    shape: list[int | str | None] = ["batch_size", sizes.num_kv_heads, length, sizes.head_size]
    for index in range(sizes.num_layers):
        for part in ("key", "value"):
            yield helper.make_tensor_value_info(f"{prefix}.{index}.{part}", _cache_type(tensors), shape)


def _inputs(sizes: Dimensions, tensors: TensorFile, reads_embeddings: bool) -> list[onnx.ValueInfoProto]:
    shape: list[int | str] = ["batch_size", "sequence_length"]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape)
    if reads_embeddings:
        ids = helper.make_tensor_value_info("inputs_embeds", tensors.activations, [*shape, sizes.hidden_size])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"])
    where = helper.make_tensor_value_info(LOGITS_FROM, TensorProto.INT64, [1])
    return [ids, mask, *_cache(sizes, tensors, "past_key_values", "past_sequence_length"), where]


def _outputs(sizes: Dimensions, tensors: TensorFile) -> list[onnx.ValueInfoProto]:
    logits = [
        helper.make_tensor_value_info(name, tensors.activations, ["batch_size", count, sizes.vocab_size])
        for name, count in (("logits", 1), (MORE_LOGITS, "logits_count"))
    ]
    return [*logits, *_cache(sizes, tensors, "present", "present_sequence_length")]


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="edge-export")
