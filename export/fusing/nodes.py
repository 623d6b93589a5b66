"""Nodes and functions of a skeleton, in the operators that are fast on ARM, x86 and CUDA."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

CONTRIB = "com.microsoft"
OPSET = 21


def norm(inputs: list[str], outputs: list[str]) -> onnx.NodeProto:
    """An RMSNorm of a value and a weight."""
    # onnxruntime registers this contrib operator in the default domain.
    made = node("SimplifiedLayerNormalization", inputs, outputs, axis=-1, stash_type=1)
    made.attribute.append(reference("epsilon", "FLOAT"))
    return made


def skip_norm(value: str, skip: str, weight: str, normed: str, total: str) -> onnx.NodeProto:
    """The RMSNorm of a sum, and the sum."""
    made = node("SkipSimplifiedLayerNormalization", [value, skip, weight], [normed, "", "", total], CONTRIB)
    made.attribute.append(reference("epsilon", "FLOAT"))
    return made


def node(op: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> onnx.NodeProto:
    """A node named after what it makes."""
    return helper.make_node(op, inputs, outputs, name=outputs[0], domain=domain, **attributes)


def constant(name: str, values: list[int], shape: list[int] | None = None) -> onnx.NodeProto:
    """Whole numbers."""
    tensor = helper.make_tensor(name, onnx.TensorProto.INT64, shape or [len(values)], values)
    return node("Constant", [], [name], value=tensor)


def reference(name: str, kind: str, called: str = "") -> onnx.AttributeProto:
    """An attribute whose value the function is called with. called: the function's name for it, where it is another."""
    reference = onnx.AttributeProto(name=name, ref_attr_name=called or name)
    reference.type = onnx.AttributeProto.AttributeType.Value(kind)
    return reference


def function(
    name: str, inputs: list[str], outputs: list[str], nodes: list[onnx.NodeProto], attributes: list[str]
) -> onnx.FunctionProto:
    """A part of a skeleton."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_function("edge.skeleton", name, inputs, outputs, nodes, opsets, attributes)
