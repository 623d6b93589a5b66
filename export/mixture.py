"""A layer's experts: in a graph, each by the tokens sent to it; and the same over arrays, one expert at a time.

In a graph the rows of an expert's tokens are gathered, go through its matrices, and are added where they came from. An
expert that nobody is sent to has no rows and costs next to nothing. onnxruntime's QMoE does the same in one operator;
why it is not used: docs/decisions/0083.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.families.base import EXPERTS
from export.fusing.nodes import node
from export.prefill import Nodes
from export.quantize import Floats

Through = Callable[[Floats, Mapping[str, Floats]], Floats]
"""What one expert makes, float32 `[1, rows, width]`, of as many rows and its matrices by its skeleton's names."""


class Lazy(Mapping[str, Floats]):
    """Tensors that are read when they are asked for, and not kept. names: by ours, those that `read` knows."""

    def __init__(self, names: Mapping[str, str], read: Callable[[str], Floats]) -> None:
        self._names, self._read = names, read

    def __getitem__(self, name: str) -> Floats:
        return self._read(self._names[name])

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def as_one(*maps: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Several as one, the first that has a name counting; nothing of them is read yet."""
    return ChainMap(*(cast("MutableMapping[str, NDArray[Any]]", each) for each in maps))


def mixed(
    values: Floats, routing: Floats, weights: Mapping[str, Floats], parts: tuple[str, ...], through: Through
) -> Floats:
    """What all experts make of `[1, tokens, width]`. routing: `[1, tokens, experts]`. parts: an expert's matrices."""
    made = np.zeros_like(values)
    for number in range(routing.shape[-1]):
        rows = np.flatnonzero(routing[0, :, number])
        if len(rows):
            own = {f"{part}.weight": weights[f"{EXPERTS}{number}.{part}.weight"] for part in parts}
            made[:, rows] += routing[:, rows, number, None] * through(values[:, rows], own)
    return made


def spread(experts: onnx.NodeProto, expert: onnx.FunctionProto, count: int, place: str) -> Iterator[onnx.NodeProto]:
    """An `Experts` node, its values named as in the graph, as operators. place: before the names of its weights."""
    nodes = Nodes(experts.output[0])
    values, routing = (nodes.add("Flatten", name, axis=2) for name in experts.input)
    sums = nodes.add(
        "ConstantOfShape", nodes.add("Shape", values), value=helper.make_tensor("0", TensorProto.FLOAT, [1], [0])
    )
    for number in range(count):
        sums = _added(nodes, expert, (values, routing, sums), number, place)
    nodes.add("Reshape", sums, nodes.add("Shape", experts.input[0]), makes=experts.output[0])
    yield from nodes


def _added(nodes: Nodes, expert: onnx.FunctionProto, names: tuple[str, str, str], number: int, place: str) -> str:
    """What is summed so far, and what one expert adds to it. names: of the values, the routing, the sum."""
    values, routing, sums = names
    shares = nodes.add("Gather", routing, nodes.constant(TensorProto.INT64, [number], [1]), axis=1)
    sent = nodes.add("NonZero", nodes.add("Squeeze", shares, nodes.constant(TensorProto.INT64, [1], [1])))
    rows = nodes.add("Transpose", sent, perm=[1, 0])
    inside = f"{nodes[-1].output[0]}/"
    known = {"expert_input": nodes.add("GatherND", values, rows)}
    known |= {name: f"{place}{EXPERTS}{number}.{name}" for name in expert.input if name != "expert_input"}
    for each in expert.node:
        inputs = [known.get(name, inside + name) for name in each.input]
        nodes.append(node(each.op_type, inputs, [inside + name for name in each.output]))
    weighted = nodes.add("Mul", inside + expert.output[0], nodes.add("GatherND", shares, rows))
    return nodes.add("ScatterND", sums, rows, weighted, reduction="add")
