"""The decoder's graph with low-rank branches: beside each product of the layers, what an adapter adds to it.

A product y = x W becomes x W + (x D) U. D `[in, rank]` and U `[rank, out]` are inputs of the graph, of rank 0 unless
they are fed, which adds nothing; onnxruntime calls such inputs overridable initializers. Of a rank above 16 D comes in
parts, each multiplied by itself: how onnxruntime cuts a longer sum hangs on the columns beside it and on the rows that
a thread has of them, so that a row would be summed in another way beside others than alone (decision 73).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, helper

from export.fusing.nodes import CONTRIB, node

DOWN, UP, ROWS = ".lora_down", ".lora_up", ".lora_rows"
"""Behind a product's name, the inputs that its branch multiplies with; further parts of D have numbers, from 1 on."""
PART_RANKS, PARTS_MAX = 16, 8
"""Columns of a part of D at the most, and parts where rows differ: a longer sum would be cut within an adapter's."""
NOBODYS = "lora_nobodys"
"""What stands in a row for the columns of others."""
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
    rows: dict[str, int] = field(hash=False)

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


def down_names(product: str, parts: int) -> list[str]:
    """The inputs that D is fed by."""
    return [product + DOWN, *(f"{product}{DOWN}.{number}" for number in range(1, parts))]


def with_branches(model: onnx.ModelProto, wanted: Mapping[Product, int], differ: bool = False) -> onnx.ModelProto:
    """A copy of a decoder with a branch at each of these products; its weights lie where the decoder's do.

    wanted: of how many parts D is, for each. differ: whether rows may have other adapters; an input says then which of
    the columns of x D are whose, bool `[rows, 1, rank]`.
    """
    branched = onnx.ModelProto()
    branched.CopyFrom(model)
    graph, by_value = branched.graph, {each.made: (each, parts) for each, parts in wanted.items()}
    nodes = [one for each in graph.node for one in _branched(each, by_value, differ)]
    del graph.node[:]
    graph.node.extend(nodes)
    for product, parts in by_value.values():
        for name in down_names(product.name, parts):
            _let_in(graph, name, (product.columns, None))
        _let_in(graph, product.name + UP, (None, product.width))
        if differ:
            _let_in(graph, product.name + ROWS, ("rows", 1, None), TensorProto.BOOL)
    if differ:
        graph.initializer.append(helper.make_tensor(NOBODYS, TensorProto.FLOAT, [], [0.0]))
    return branched


def _let_in(
    graph: onnx.GraphProto, name: str, shape: tuple[int | str | None, ...], kind: int = TensorProto.FLOAT
) -> None:
    """An input whose size None is 0 unless it is fed, and a named one 1."""
    free = [f"{name}.rank" if size is None else size for size in shape]
    empty = [size if isinstance(size, int) else int(size is not None) for size in shape]
    graph.input.append(helper.make_tensor_value_info(name, kind, free))
    graph.initializer.append(helper.make_tensor(name, kind, empty, []))


def _branched(each: onnx.NodeProto, wanted: dict[str, tuple[Product, int]], differ: bool) -> Iterator[onnx.NodeProto]:
    """A node, and behind it the branch where it is one of the products."""
    made = each.output[0] if each.output else ""
    if made not in wanted:
        yield each
        return
    product, parts = wanted[made]
    each.output[0] = each.name = f"{made}/base"
    yield each
    downs = [f"{made}/down.{number}" for number in range(parts)]
    for name, down in zip(down_names(product.name, parts), downs, strict=True):
        yield node("MatMul", [each.input[0], name], [down])
    if parts > 1:
        yield node("Concat", downs, [f"{made}/down"], axis=-1)
    down = f"{made}/down" if parts > 1 else downs[0]
    if differ:
        yield node("Where", [product.name + ROWS, down, NOBODYS], [f"{made}/own"])
        down = f"{made}/own"
    yield node("MatMul", [down, product.name + UP], [f"{made}/up"])
    yield node("Add", [each.output[0], f"{made}/up"], [made])
