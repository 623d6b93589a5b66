"""A skeleton's products and attention as a bundle has them: by blocks, several at once, over an int8 cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import onnx
from onnx import TensorProto, helper

from export.fusing.nodes import CONTRIB, node
from export.tensor_file import CACHE_SCALE, TensorFile, first_of


def read_together(layer: onnx.FunctionProto) -> list[tuple[str, ...]]:
    """A layer's matrices by their module names, those together that multiply the same values."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in layer.node:
        if each.op_type == "MatMul":
            found[each.input[0]].append(each.input[1].removesuffix(".weight"))
    return [tuple(modules) for modules in found.values()]


def cache_scale(index: int, part: str) -> str:
    """The name of the steps of a layer's `key` or `value` cache, which a bundle has where these are int8."""
    return f"past_key_values.{index}.{part}{CACHE_SCALE}"


def has_int8_cache(tensors: TensorFile) -> bool:
    """Whether keys and values are remembered in int8."""
    return cache_scale(0, "key") in tensors.shapes


def quantized(nodes: Iterable[onnx.NodeProto], tensors: TensorFile, accuracy_level: int) -> list[onnx.NodeProto]:
    """Nodes with MatMulNBits for each MatMul whose weight was quantised, and attention over an int8 cache."""
    nodes = list(nodes)
    made: list[onnx.NodeProto] = []
    products: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for each in nodes:
        if _is_product(each, tensors):
            products[tensors.matrices[each.input[1]].whole].append(each)
    for each in nodes:
        if _is_product(each, tensors) and first_of(each.input[1]) in tensors.matrices:
            made += _in_two(each, tensors, accuracy_level)
        elif _is_product(each, tensors):
            made += _product(products.pop(tensors.matrices[each.input[1]].whole, []), tensors, accuracy_level)
        else:
            made.append(_over_int8_cache(each, tensors) if each.op_type == "GroupQueryAttention" else each)
    return made


def _is_product(each: onnx.NodeProto, tensors: TensorFile) -> bool:
    return each.op_type == "MatMul" and each.input[1] in tensors.matrices


def _product(together: list[onnx.NodeProto], tensors: TensorFile, accuracy_level: int) -> Iterator[onnx.NodeProto]:
    """What multiplies with matrices that are stored as one: with all of these at once, where the first stands."""
    if not together:
        return
    matrices = [tensors.matrices[each.input[1]] for each in together]
    first, rows = matrices[0], [matrix.rows for matrix in matrices]
    kinds = ("codes", "scales", "zero_points")
    there = tensors.shapes
    parts = [part for kind in kinds if (part := f"{first.whole}.{kind}") in there]
    outputs = [each.output[0] for each in together]
    product = outputs[0] if len(outputs) == 1 else "+".join(outputs)
    yield node(
        "MatMulNBits",
        [together[0].input[0], *parts],
        [product],
        CONTRIB,
        K=first.columns,
        N=sum(rows),
        bits=first.format.bits,
        block_size=first.format.block_size,
        accuracy_level=accuracy_level,
    )
    if len(outputs) > 1:
        yield node(
            "Constant", [], [f"{product}/rows"], value=helper.make_tensor("rows", TensorProto.INT64, [len(rows)], rows)
        )
        yield node("Split", [product, f"{product}/rows"], outputs, axis=-1)


def _in_two(each: onnx.NodeProto, tensors: TensorFile, accuracy_level: int) -> Iterator[onnx.NodeProto]:
    """A product with a table whose first rows have a format of their own."""
    made = each.output[0]
    names = {f"{made}/first": first_of(each.input[1]), f"{made}/others": each.input[1]}
    for output, weight in names.items():
        yield from _product([node("MatMul", [each.input[0], weight], [output])], tensors, accuracy_level)
    yield node("Concat", list(names), [made], axis=-1)


def _over_int8_cache(attention: onnx.NodeProto, tensors: TensorFile) -> onnx.NodeProto:
    """Attention that reads and writes int8 keys and values, where the bundle has their steps; else as it is.

    Source: ContribOperators.md, com.microsoft.GroupQueryAttention: past_key and past_value are inputs 3 and 4,
    k_scale and v_scale 12 and 13.
    """
    scales = [f"{past}{CACHE_SCALE}" for past in attention.input[3:5]]
    if scales[0] in tensors.shapes:
        attention.input.extend([*[""] * (12 - len(attention.input)), *scales])
        kinds = {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
        attention.attribute.extend(helper.make_attribute(name, value) for name, value in kinds.items())
    return attention
