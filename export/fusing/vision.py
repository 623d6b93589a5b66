"""A traced picture tower in, its fused skeleton out: patches and arrangement as they are traced, the layer fused.

    vision_head   (pixel_values, weights)        -> hidden
    vision_layer  (hidden, weights)              -> next_hidden
    vision_tail   (hidden, image_sizes, weights) -> image_features

What is anchored on names and what is refused is as in decoder.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import onnx
from onnx import TensorProto, numpy_helper

from export.errors import FuseError
from export.fusing.nodes import CONTRIB, function, node, reference
from export.fusing.trace import Trace

TOWER = "img_processor.vision_model"
LAYER = f"{TOWER}.encoder.layers"
LINEAR = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
NORMS = ("layer_norm1", "layer_norm2")
QUICK_GELU = 1.702
"""GELU as CLIP has it: x times the sigmoid of this times x (arXiv:2103.00020's code)."""
PARTS = Counter({"MatMul": 8, "Add": 8, "Softmax": 1, "LayerNormalization": 2, "Sigmoid": 1})
"""What a layer is made of, shapes and constants aside."""


def fuse(graph: onnx.GraphProto) -> list[onnx.FunctionProto]:
    """The head, layer and tail of a tower traced with two layers that count; FuseError where it is another graph."""
    trace = Trace(graph)
    for index in (0, 1):
        _check_layer(trace, f"layers.{index}")
    nodes = trace.nodes
    first = next(place for place, each in enumerate(nodes) if each.name.startswith("/layers.0/"))
    last = max(place for place, each in enumerate(nodes) if each.name.startswith("/layers.1/"))
    weights = {entry.name for entry in graph.initializer}
    enters, leaves = _enters(trace), str(nodes[last].output[0])
    head = _copied("vision_head", nodes[:first], ["pixel_values"], enters, "hidden", weights, {})
    tail = _copied(
        "vision_tail",
        [*_named_constants(nodes[:first]), *nodes[last + 1 :]],
        ["hidden", "image_sizes", "pixel_values"],
        str(graph.output[0].name),
        "image_features",
        weights,
        {leaves: "hidden"},
    )
    return [head, _layer(), tail]


def _check_layer(trace: Trace, module: str) -> None:
    found = Counter(each.op_type for each in trace.scope(module))
    for op, count in PARTS.items():
        if found[op] != count:
            raise FuseError(f"/{module} should have {count} {op}, but the trace has {found[op]}")
    for name in LINEAR:
        kinds = [each.op_type for each in trace.scope(f"{module}/{name.replace('.', '/')}")]
        if kinds != ["MatMul", "Add"]:
            raise FuseError(f"/{module}/{name} should be a MatMul and a bias, but the trace has {', '.join(kinds)}")


def _enters(trace: Trace) -> str:
    """What the first layer reads."""
    return str(trace.scope("layers.0/layer_norm1")[0].input[0])


def _layer() -> onnx.FunctionProto:
    weights = [f"{name}.{kind}" for name in (*NORMS, *LINEAR) for kind in ("weight", "bias")]
    return function(
        "vision_layer", ["hidden", *weights], ["next_hidden"], list(_layer_nodes()), ["num_heads", "epsilon"]
    )


def _layer_nodes() -> Iterator[onnx.NodeProto]:
    """Source: ContribOperators.md, com.microsoft.MultiHeadAttention and QuickGelu."""
    yield _norm("hidden", "layer_norm1", "attention_input")
    for name in ("q", "k", "v"):
        yield from _linear("attention_input", f"self_attn.{name}_proj", name)
    attention = node("MultiHeadAttention", ["q", "k", "v"], ["attended"], CONTRIB)
    attention.attribute.append(reference("num_heads", "INT"))
    yield attention
    yield from _linear("attended", "self_attn.out_proj", "attention_output")
    yield node("Add", ["hidden", "attention_output"], ["middle"])
    yield _norm("middle", "layer_norm2", "mlp_input")
    yield from _linear("mlp_input", "mlp.fc1", "wide")
    yield node("QuickGelu", ["wide"], ["active"], CONTRIB, alpha=QUICK_GELU)
    yield from _linear("active", "mlp.fc2", "mlp_output")
    yield node("Add", ["middle", "mlp_output"], ["next_hidden"])


def _norm(value: str, module: str, made: str) -> onnx.NodeProto:
    norm = node("LayerNormalization", [value, f"{module}.weight", f"{module}.bias"], [made], axis=-1)
    norm.attribute.append(reference("epsilon", "FLOAT"))
    return norm


def _linear(value: str, module: str, made: str) -> Iterator[onnx.NodeProto]:
    yield node("MatMul", [value, f"{module}.weight"], [f"{made}.product"])
    yield node("Add", [f"{made}.product", f"{module}.bias"], [made])


def _copied(
    name: str,
    nodes: Iterable[onnx.NodeProto],
    inputs: list[str],
    traced_output: str,
    output: str,
    weights: set[str],
    names: dict[str, str],
) -> onnx.FunctionProto:
    """Traced nodes as a function, as far as its output needs them: each constant once, casts to what it is left out."""
    copier = _Copier({**names, traced_output: output})
    copied = _needed([made for each in nodes for made in copier.copy(each)], output)
    used = dict.fromkeys(value for each in copied for value in each.input)
    return function(name, [*inputs, *(value for value in used if value in weights)], [output], copied, [])


def _needed(nodes: list[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    wanted, kept = {output}, []
    for each in reversed(nodes):
        if wanted & set(each.output):
            wanted |= set(each.input)
            kept.append(each)
    return kept[::-1]


def _named_constants(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    return [each for each in nodes if each.op_type == "Constant"]


class _Copier:
    """Renames values; names: those that have one already."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._constants: dict[bytes, str] = {}

    def copy(self, traced: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """A traced node as nodes of a skeleton: none, itself, or a MatMul and an Add."""
        made = str(traced.output[0])
        if traced.op_type == "Constant":
            yield from self._constant(traced)
        elif traced.op_type == "Cast":
            if traced.attribute[0].i not in (TensorProto.INT64, TensorProto.FLOAT):
                raise FuseError(f"{traced.name} should leave a value what it is")
            self._names[made] = self._name(traced.input[0])
        elif traced.op_type == "Gemm":
            yield from _linear(self._name(traced.input[0]), traced.input[1].removesuffix(".weight"), self._name(made))
        else:
            copied = node(traced.op_type, [self._name(v) for v in traced.input], [self._name(v) for v in traced.output])
            copied.attribute.extend(traced.attribute)
            yield copied

    def _constant(self, traced: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        values = numpy_helper.to_array(traced.attribute[0].t)
        key = values.dtype.str.encode() + repr(values.shape).encode() + values.tobytes()
        is_new = key not in self._constants
        name = self._constants.setdefault(key, f"constant_{len(self._constants)}")
        self._names[str(traced.output[0])] = name
        if is_new:
            yield node("Constant", [], [name], value=numpy_helper.from_array(values, name))

    def _name(self, value: str) -> str:
        short = value.removeprefix("/").removesuffix("_output_0").replace("/", ".")
        return self._names.get(value, short)
