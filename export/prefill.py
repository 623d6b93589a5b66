"""Attention two ways, one for answers and one for prompts: a graph with an int8 cache takes either.

Over an int8 cache GroupQueryAttention reckons with one query at a time. That is right for an answer, but a slice of a
prompt has a hundred of them, and matrix products in floats take a third of the time. So attention is spelled out for
a slice: keys and values are rounded as the operator would, which gives what the cache is to hold; they are put behind
what it holds already, all of it is turned into floats, and GroupQueryAttention over floats does the rest. Steps of keys
multiply the queries and those of values the sum, since there are fewer of these. Every slice sees rounded keys, its own
too, so that it does not matter how a prompt is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from export.families.base import Dimensions
from export.fusing.nodes import CONTRIB, node
from export.fusing.options import BIAS_AT

IS_PREFILL = "is_prefill"
"""An input: whether the tokens are a slice of one prompt. False unless it is fed, for engines that do not know it.
Where it is true, `present` is not the whole cache but what the slice adds, `[1, num_kv_heads, tokens, head_size]`."""
NEVER = helper.make_tensor(IS_PREFILL, TensorProto.BOOL, [], [False])
"""Its value where it is not fed."""


class Nodes(list[onnx.NodeProto]):
    """Nodes one after the other; what each makes is named after a place, its operator and its number."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def add(self, op: str, *inputs: str, makes: str = "", domain: str = "", more: int = 0, **attributes: Any) -> str:
        """One node; the name of its output. makes: that name. more: outputs that nobody reads."""
        made = makes or f"{self._place}/{op}_{len(self)}"
        outputs = [made, *(f"{made}.{number}" for number in range(more))]
        self.append(node(op, list(inputs), outputs, domain, **attributes))
        return made

    def constant(self, kind: int, values: Sequence[float], shape: Sequence[int]) -> str:
        """A constant; its name."""
        return self.add("Constant", value=helper.make_tensor("constant", kind, shape, values))


def either_way(layers: Sequence[onnx.NodeProto], sizes: Dimensions) -> Iterator[onnx.NodeProto]:
    """The layers' nodes, attention of which is reckoned as it is or, for a slice of a prompt, spelled out."""
    outside = Nodes("slice")
    tokens = outside.add("Shape", layers[0].input[0], start=1, end=2)
    past = outside.add("Sub", "row_lengths", tokens)
    yield from outside
    for each in layers:
        yield _either(each, past, sizes) if each.op_type == "GroupQueryAttention" else each


def _either(attention: onnx.NodeProto, past: str, sizes: Dimensions) -> onnx.NodeProto:
    """One attention as the branches of an `If`."""
    made = list(attention.output)
    branches = {
        "then_branch": ("prefill", Prefill(attention, past, sizes).nodes),
        "else_branch": ("decode", [attention]),
    }
    graphs = {name: _branch(*branch, made) for name, branch in branches.items()}
    return node("If", [IS_PREFILL], made, **graphs)


def _branch(name: str, nodes: Sequence[onnx.NodeProto], made: Sequence[str]) -> onnx.GraphProto:
    """Nodes as a subgraph. All that it makes is named after it: a name is to be unique in the whole graph."""
    inside = {value for each in nodes for value in each.output if value}
    renamed = [_renamed(each, inside, name) for each in nodes]
    outputs = [onnx.ValueInfoProto(name=f"{name}/{value}") for value in made]
    return helper.make_graph(renamed, name, [], outputs)


def _renamed(each: onnx.NodeProto, inside: set[str], prefix: str) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(each)
    for field in (copy.input, copy.output):
        field[:] = [f"{prefix}/{value}" if value in inside else value for value in field]
    copy.name = f"{prefix}/{each.name}"
    return copy


class Prefill:
    """The nodes for a slice of one text. past: how many of its tokens the cache holds, `[1]`."""

    def __init__(self, attention: onnx.NodeProto, past: str, sizes: Dimensions) -> None:
        self.nodes, self._past, self._sizes = Nodes(attention.output[0]), past, sizes
        constant = self.nodes.constant
        self._start, self._axis = (constant(TensorProto.INT64, [value], [1]) for value in (0, 2))
        self._flat = constant(TensorProto.INT64, [-1], [1])
        self._one, self._zero = constant(TensorProto.FLOAT, [1], []), constant(TensorProto.INT8, [0], [])
        self._attend(attention)

    def _attend(self, attention: onnx.NodeProto) -> None:
        """GroupQueryAttention over an int8 cache, spelled out.

        Source: ContribOperators.md, com.microsoft.GroupQueryAttention and com.microsoft.RotaryEmbedding.
        """
        add, sizes = self.nodes.add, self._sizes
        kept = ("num_heads", "kv_num_heads", "scale", "local_window_size", "do_rotary", "softcap")
        attributes = {each.name: helper.get_attribute_value(each) for each in attention.attribute if each.name in kept}
        query, key, value = self._parts(attention)
        turns = (self._past, *attention.input[7:9])
        heads = (sizes.num_heads, sizes.num_kv_heads)
        if attributes.pop("do_rotary"):
            query, key = (
                add("RotaryEmbedding", each, *turns, domain=CONTRIB, **self._turned(count))
                for each, count in zip((query, key), heads, strict=True)
            )
        pasts, scales, presents = attention.input[3:5], attention.input[12:14], attention.output[1:3]
        known = [self._known(*each) for each in zip((key, value), scales, pasts, presents, strict=True)]
        key_steps, value_steps = (self._per_head(scale) for scale in scales)
        none = self.nodes.constant(TensorProto.FLOAT, [], [1, 0, sizes.num_kv_heads * sizes.head_size])
        total = add("Cast", add("Squeeze", "row_lengths"), to=TensorProto.INT32)
        bias = [*[""] * 3, attention.input[BIAS_AT]] if attention.input[BIAS_AT] else []
        reads = (add("Mul", query, key_steps), none, none, *known, "seqlens_k", total, *bias)
        summed = add("GroupQueryAttention", *reads, domain=CONTRIB, do_rotary=0, **attributes)
        add("Mul", summed, value_steps, makes=attention.output[0])

    def _turned(self, heads: int) -> dict[str, Any]:
        """What RotaryEmbedding cannot take from its tables, where these are for a part of each head."""
        size = self._sizes.rope.size
        return {} if size == self._sizes.head_size else {"rotary_embedding_dim": size, "num_heads": heads}

    def _parts(self, attention: onnx.NodeProto) -> list[str]:
        """Queries, keys and values, which may come as one."""
        if attention.input[1]:
            return list(attention.input[:3])
        sizes = self._sizes
        widths = [heads * sizes.head_size for heads in (sizes.num_heads, sizes.num_kv_heads, sizes.num_kv_heads)]
        parts = self.nodes.constant(TensorProto.INT64, widths, [3])
        query = self.nodes.add("Split", attention.input[0], parts, more=2, axis=-1)
        return [query, f"{query}.0", f"{query}.1"]

    def _known(self, value: str, scale: str, past: str, present: str) -> str:
        """All keys or values of the text as floats, in steps; those of the slice as the cache is to hold them, too."""
        add, sizes = self.nodes.add, self._sizes
        shape = self.nodes.constant(TensorProto.INT64, [1, -1, sizes.num_kv_heads, sizes.head_size], [4])
        steps = add("Div", value, add("Reshape", scale, self._flat))
        rounded = add("Reshape", add("QuantizeLinear", steps, self._one, self._zero), shape)
        new = add("Transpose", rounded, makes=present, perm=[0, 2, 1, 3])
        old = add("Slice", past, self._start, self._past, self._axis)
        return add("Cast", add("Concat", old, new, axis=2), to=TensorProto.FLOAT)

    def _per_head(self, scale: str) -> str:
        """The steps of keys or values for every query head, `[num_heads * head_size]`."""
        sizes = self._sizes
        group = sizes.num_heads // sizes.num_kv_heads
        shape = self.nodes.constant(TensorProto.INT64, [sizes.num_kv_heads, group, sizes.head_size], [3])
        return self.nodes.add("Reshape", self.nodes.add("Expand", scale, shape), self._flat)
