"""A Llama's layer as a checkpoint has it: with biases, normed heads, windows, blocks, soft caps, without positions.

What a skeleton says is traced; these are the nodes that a config adds to it, the same for every family. Tests hold each
to Transformers (tests/export/test_held.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from export.families.base import HEAD_NORMS, Attention, Dimensions, Family
from export.fusing.nodes import node, norm, reference

PRODUCT = ".product"
"""Behind the name of a value, that value before its bias is added."""
BIAS, BIAS_AT = "attention_bias", 10
"""What is added to the scores of a layer that does not see every block, and GroupQueryAttention's input for it."""


def with_options(layer: onnx.FunctionProto, family: Family, sizes: Dimensions) -> onnx.FunctionProto:
    """A copy of a skeleton's layer for one checkpoint; its vectors are among its inputs."""
    made = onnx.FunctionProto()
    made.CopyFrom(layer)
    del made.node[:]
    for each in layer.node:
        made.node.extend(_with_bias(each, family) if each.op_type == "MatMul" else _attending(each, family, sizes))
    made.input.extend(name for name in family.vectors if name not in layer.input)
    made.input.extend([BIAS] if sizes.blocks else [])
    return made


def with_cap(tail: onnx.FunctionProto, sizes: Dimensions) -> onnx.FunctionProto:
    """A skeleton's tail whose logits are bent towards their cap, where they have one."""
    if not sizes.logit_cap:
        return tail
    made = onnx.FunctionProto()
    made.CopyFrom(tail)
    last = made.node[-1]
    last.output[0] = last.output[0] + PRODUCT
    cap = helper.make_tensor("cap", TensorProto.FLOAT, [], [sizes.logit_cap])
    made.node.extend(
        [
            node("Constant", [], ["logit_cap"], value=cap),
            node("Div", [last.output[0], "logit_cap"], ["logits.share"]),
            node("Tanh", ["logits.share"], ["logits.bent"]),
            node("Mul", ["logits.bent", "logit_cap"], ["logits"]),
        ]
    )
    return made


def layer_nodes(layer: onnx.FunctionProto, attention: Attention) -> Iterator[onnx.NodeProto]:
    """The nodes of a layer that attends in one of the ways that its model knows."""
    for each in layer.node:
        if each.op_type == "GroupQueryAttention" and BIAS in each.input and not attention.blocks:
            made = onnx.NodeProto()
            made.CopyFrom(each)
            del made.input[BIAS_AT - 1 :]
            yield made
        else:
            yield each


def _with_bias(each: onnx.NodeProto, family: Family) -> Iterator[onnx.NodeProto]:
    module, value = each.input[1].removesuffix(".weight"), each.output[0]
    if module not in family.biased:
        yield each
        return
    product = node("MatMul", list(each.input), [value + PRODUCT])
    yield product
    yield node("Add", [product.output[0], f"{module}.bias"], [value])


def _attending(each: onnx.NodeProto, family: Family, sizes: Dimensions) -> Iterator[onnx.NodeProto]:
    """Attention as its layer attends, behind the norms of its heads."""
    if each.op_type != "GroupQueryAttention":
        yield each
        return
    made = onnx.NodeProto()
    made.CopyFrom(each)
    if family.norms_heads:
        for place, module in enumerate(HEAD_NORMS):
            yield from _normed_heads(each.input[place], f"{module}.weight", sizes)
            made.input[place] = f"{each.input[place]}.normed"
    if sizes.attention_cap:
        made.attribute.append(helper.make_attribute("softcap", sizes.attention_cap))
    if sizes.blocks:
        made.input.extend([*[""] * (BIAS_AT - len(made.input)), BIAS])
    if any(attention.window for attention in sizes.attentions):
        made.attribute.append(reference("local_window_size", "INT"))
    if not all(attention.turns for attention in sizes.attentions):
        kept = [attribute for attribute in made.attribute if attribute.name != "do_rotary"]
        del made.attribute[:]
        made.attribute.extend([*kept, reference("do_rotary", "INT")])
    yield made


def _normed_heads(value: str, weight: str, sizes: Dimensions) -> Iterator[onnx.NodeProto]:
    """Each head's channels normed alone: `[1, tokens, heads * head_size]` as it was, by way of four dimensions."""
    for name, shape in (("apart", [0, 0, -1, sizes.head_size]), ("flat", [0, 0, -1])):
        constant = helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape)
        yield node("Constant", [], [f"{value}.{name}_shape"], value=constant)
    yield node("Reshape", [value, f"{value}.apart_shape"], [f"{value}.heads"])
    yield norm([f"{value}.heads", weight], [f"{value}.normed_heads"])
    yield node("Reshape", [f"{value}.normed_heads", f"{value}.flat_shape"], [f"{value}.normed"])
