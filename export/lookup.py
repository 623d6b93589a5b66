"""Rows of a table in blocks, looked up by a graph."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from export.fusing.nodes import CONTRIB, node
from export.tensor_file import TensorFile, first_of


def looked_up(name: str, tensors: TensorFile, ids: str, made: str) -> Iterator[onnx.NodeProto]:
    """Nodes that make rows of a table out of token ids.

    Source: ContribOperators.md, com.microsoft.GatherBlockQuantized.
    """
    first = first_of(name)
    if first not in tensors.matrices:
        yield from _gathered(name, tensors, ids, made)
        return
    rows, names = tensors.matrices[first].rows, [f"{made}/{part}" for part in ("first", "others")]
    yield from _rows_of_two(ids, rows, names)
    yield from _gathered(first, tensors, f"{names[0]}/ids", names[0])
    yield from _gathered(name, tensors, f"{names[1]}/ids", names[1])
    yield node("Where", [f"{names[0]}/is_there", *names], [made])


def _rows_of_two(ids: str, rows: int, names: list[str]) -> Iterator[onnx.NodeProto]:
    """Which of a table's two parts an id's row is in, and where there; a row of the other part that is not used."""
    first, others = names
    for name, shape, value in (("rows", [], rows), ("none", [], 0), ("axis", [1], -1)):
        tensor = helper.make_tensor(name, TensorProto.INT64, shape, [value])
        yield node("Constant", [], [f"{first}/{name}"], value=tensor)
    yield node("Less", [ids, f"{first}/rows"], [f"{first}/is_first"])
    yield node("Where", [f"{first}/is_first", ids, f"{first}/none"], [f"{first}/ids"])
    yield node("Sub", [ids, f"{first}/rows"], [f"{others}/from"])
    yield node("Max", [f"{others}/from", f"{first}/none"], [f"{others}/ids"])
    yield node("Unsqueeze", [f"{first}/is_first", f"{first}/axis"], [f"{first}/is_there"])


def _gathered(name: str, tensors: TensorFile, ids: str, made: str) -> Iterator[onnx.NodeProto]:
    """Rows of a table in blocks."""
    table = tensors.matrices[name]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [table.rows, -1])
    yield node("Constant", [], [f"{made}/shape"], value=shape)
    yield node("Reshape", [f"{name}.codes", f"{made}/shape"], [f"{made}/codes"])
    points = [] if table.format.is_symmetric else [f"{name}.zero_points"]
    yield node(
        "GatherBlockQuantized",
        [f"{made}/codes", ids, f"{name}.scales", *points],
        [made],
        CONTRIB,
        bits=table.format.bits,
        block_size=table.format.block_size,
        gather_axis=0,
        quantize_axis=1,
    )
