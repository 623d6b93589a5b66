"""The decoder's graph with low-rank branches: beside each product of the layers, what an adapter adds to it.

A product y = x W becomes x W + (x D) U. D `[in, rank]` and U `[rank, out]` are inputs of the graph, of rank 0 unless
they are fed, which adds nothing; onnxruntime calls such inputs overridable initializers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from export.fuse import CONTRIB, node

DOWN, UP = ".lora_down", ".lora_up"
"""Behind a product's name, the inputs that its branch multiplies with."""
WEIGHT, CODES = ".weight", ".weight.codes"
LAYERS = "model.layers."


@dataclass(frozen=True)
class Product:
    """A product of a layer: one matrix, or several that are stored as one.

    made: the value in the graph that it makes. columns: of what it multiplies. rows: of each module, in their order.
    """

    name: str
    made: str
    columns: int
    rows: dict[str, int]

    @property
    def width(self) -> int:
        """Of what it makes."""
        return sum(self.rows.values())


def products(graph: onnx.GraphProto) -> list[Product]:
    """Every product of the layers, quantised or in floats."""
    shapes = {entry.name: tuple(entry.dims) for entry in graph.initializer}
    splits = {each.input[0]: each.input[1] for each in graph.node if each.op_type == "Split"}
    constants = {each.output[0]: each.attribute[0].t for each in graph.node if each.op_type == "Constant"}
    found = []
    for each in graph.node:
        if len(each.input) < 2 or not each.input[1].startswith(LAYERS):
            continue
        if each.op_type == "MatMulNBits" and each.domain == CONTRIB:
            sizes = {attribute.name: attribute.i for attribute in each.attribute}
            rows = [sizes["N"]]
            if "+" in each.input[1]:
                rows = list(constants[splits[each.output[0]]].int64_data)
            found.append(_product(each.input[1].removesuffix(CODES), each.output[0], sizes["K"], rows))
        elif each.op_type == "MatMul" and each.input[1] in shapes:
            columns, width = shapes[each.input[1]]
            found.append(_product(each.input[1].removesuffix(WEIGHT), each.output[0], columns, [width]))
    return found


def _product(name: str, made: str, columns: int, rows: list[int]) -> Product:
    """`model.layers.0.self_attn.k_proj+v_proj` holds two modules."""
    scope, _, modules = name.rpartition(".")
    return Product(
        name, made, columns, dict(zip([f"{scope}.{each}" for each in modules.split("+")], rows, strict=True))
    )


def with_branches(model: onnx.ModelProto, wanted: Iterable[Product]) -> onnx.ModelProto:
    """A copy of a decoder with a branch at each of these products; its weights lie where the decoder's do."""
    branched = onnx.ModelProto()
    branched.CopyFrom(model)
    graph, by_value = branched.graph, {each.made: each for each in wanted}
    nodes = [one for each in graph.node for one in _branched(each, by_value)]
    del graph.node[:]
    graph.node.extend(nodes)
    for product in by_value.values():
        sides = ((DOWN, (product.columns, "rank")), (UP, ("rank", product.width)))
        for name, shape in sides:
            free = [size if isinstance(size, int) else f"{product.name}.{size}" for size in shape]
            graph.input.append(helper.make_tensor_value_info(product.name + name, TensorProto.FLOAT, free))
            empty = [size if isinstance(size, int) else 0 for size in shape]
            graph.initializer.append(helper.make_tensor(product.name + name, TensorProto.FLOAT, empty, []))
    return branched


def _branched(each: onnx.NodeProto, wanted: dict[str, Product]) -> Iterator[onnx.NodeProto]:
    """A node, and behind it the branch where it is one of the products."""
    made = each.output[0] if each.output else ""
    if made not in wanted:
        yield each
        return
    name = wanted[made].name
    each.output[0] = each.name = f"{made}/base"
    yield each
    yield node("MatMul", [each.input[0], name + DOWN], [f"{made}/down"])
    yield node("MatMul", [f"{made}/down", name + UP], [f"{made}/up"])
    yield node("Add", [each.output[0], f"{made}/up"], [made])
