"""The skeleton's operators as plain ones that any provider knows, for so many tokens behind a cache of so many places.

What is not the same in every run is an input: where in the text each token is (POSITIONS) and which places of cache and
slice it may look at (MASK). What the cache is to keep of a slice goes out as `present.N.key` and `present.N.value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.errors import UnsupportedError
from export.families.base import Dimensions
from export.fixed.attention import attended
from export.fusing.nodes import node
from export.prefill import Nodes
from export.quantize import Floats

POSITIONS, MASK, EMBEDS, LAST = "position_ids", "attention_mask", "inputs_embeds", "last_token"
"""Inputs: int32 `[tokens]`; what is added to scores, `[1, 1, tokens, past + tokens]`; `[1, tokens, width]`; and which
token's logits are wanted, int32 `[1]`."""
AS_THEY_ARE = {
    "MatMul",
    "Add",
    "Mul",
    "Sigmoid",
    "Split",
    "Reshape",
    "Constant",
    "SimplifiedLayerNormalization",
    "Gelu",
}
"""Operators of skeletons that every provider has; the norm is RMSNorm, which onnxruntime has under this name."""


class Plain:
    """Makes them for one shape. tokens: of a run. past: places of the cache.

    vectors: what is constant beside matrices, by the graph's names; those that are made here are added.
    """

    def __init__(self, sizes: Dimensions, tokens: int, past: int, vectors: dict[str, Floats]) -> None:
        self.sizes, self.tokens, self.past, self.vectors = sizes, tokens, past, vectors

    def nodes(self, fused: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
        """Of the skeleton's own; UnsupportedError for an operator that there is no plain form of here."""
        for each in fused:
            if each.op_type == "GroupQueryAttention":
                yield from attended(each, self.sizes, self.tokens, self.vectors)
            elif each.op_type == "SkipSimplifiedLayerNormalization":
                yield from _sum_and_norm(each)
            elif each.op_type in AS_THEY_ARE:
                yield each
            else:
                raise UnsupportedError(f"{each.op_type} has no form of fixed shapes; export it with --provider cpu")

    def tables(self, names: Iterable[str]) -> Iterator[onnx.NodeProto]:
        """The rows of rotary tables at this run's positions, `[tokens, 1, pairs]`, under the tables' names."""
        for name in names:
            made = Nodes(f"{name}.rows")
            rows = made.add("Gather", f"{name}.table", POSITIONS, axis=0)
            shape = made.constant(TensorProto.INT64, [self.tokens, 1, self.vectors[f"{name}.table"].shape[1]], [3])
            made.add("Reshape", rows, shape, makes=name)
            yield from made


def _sum_and_norm(each: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """An Add and an RMSNorm. Source: ContribOperators.md, com.microsoft.SkipSimplifiedLayerNormalization."""
    value, skip, weight = each.input[:3]
    normed, total = each.output[0], each.output[3] if len(each.output) > 3 else f"{each.output[0]}.sum"
    yield node("Add", [value, skip], [total])
    epsilon = next(attribute.f for attribute in each.attribute if attribute.name == "epsilon")
    yield node("SimplifiedLayerNormalization", [total, weight], [normed], axis=-1, epsilon=epsilon, stash_type=1)


def needed(nodes: Iterable[onnx.NodeProto], wanted: Iterable[str]) -> list[onnx.NodeProto]:
    """Those of some nodes, in their order, that make what is wanted."""
    names, kept = set(wanted), []
    for each in reversed(list(nodes)):
        if names & set(each.output):
            kept.append(each)
            names |= set(each.input)
    return kept[::-1]


def initializer(name: str, values: Floats) -> onnx.TensorProto:
    """A constant of a graph, within it."""
    return helper.make_tensor(name, TensorProto.FLOAT, values.shape, values.astype(np.float32).tobytes(), raw=True)
