"""Head, layer, tail and the whole as models of fixed shapes, in floats or between whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import onnx
from onnx import TensorProto, helper

from export.families.base import HEAD, Dimensions
from export.fixed.attention import MASK
from export.fixed.encodings import CACHED, Encodings, encoded, groups, steps
from export.fixed.plain import EMBEDS, LAST, POSITIONS, Plain, initializer, needed
from export.fixed.tensors import PARTS, ChannelFile
from export.fusing.nodes import OPSET, node
from export.graphs import Skeleton, bound, layer_attributes, stamped_layer
from export.rotary import ROTARY, table_name
from export.tensor_file import CACHE_SCALE

IR_VERSION = 10
LOGITS = "logits"


@dataclass(frozen=True)
class Shape:
    """tokens: of a run. past: places of the cache before them."""

    tokens: int
    past: int


@dataclass(frozen=True)
class Part:
    """Plain nodes with what they read that is no constant, and what they make that is wanted."""

    nodes: list[onnx.NodeProto]
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]

    def showing(self, names: Iterable[str]) -> Part:
        """The same with more outputs, of any shape."""
        return replace(self, outputs={**self.outputs, **{name: [] for name in names if name not in self.outputs}})


class FixedGraphs:
    """Those of one checkpoint. tensors: its weights, written. known: how values are encoded; empty for floats."""

    def __init__(self, skeleton: Skeleton, sizes: Dimensions, tensors: ChannelFile, known: Encodings) -> None:
        self._skeleton, self.sizes, self._tensors, self.known = skeleton, sizes, tensors, known

    def plain(self, shape: Shape) -> Plain:
        """What makes nodes of a shape. The rotary tables go by another name than their rows at some positions."""
        vectors = dict(self._tensors.vectors)
        for name in [each for each in vectors if each.startswith(ROTARY)]:
            vectors[f"{name}.table"] = vectors.pop(name)
        return Plain(self.sizes, shape.tokens, shape.past, vectors)

    def head(self, shape: Shape) -> tuple[Part, Plain]:
        """EMBEDS to the first layer's door."""
        function, plain = self._skeleton["head"], self.plain(shape)
        looked_up = next(each.output[0] for each in function.node if each.op_type == "Gather")
        wanted = {name: f"layer.0.{name}" for name in ("normed", "residual")}
        names = {**wanted, looked_up: EMBEDS}
        attributes = layer_attributes(self.sizes)
        fused = [bound(each, attributes, names, "") for each in function.node if each.op_type != "Gather"]
        outputs = [name for name in wanted.values() if any(name in each.output for each in fused)]
        width = [1, shape.tokens, self.sizes.hidden_size]
        return self._part(plain.nodes(needed(fused, outputs)), {EMBEDS: width}, dict.fromkeys(outputs, width)), plain

    @property
    def first_residual(self) -> str:
        """What the first layer's residual is called: what is looked up, unless something is done with it."""
        function = self._skeleton["head"]
        looked_up = next(each.output[0] for each in function.node if each.op_type == "Gather")
        return EMBEDS if looked_up == "residual" else "layer.0.residual"

    def layer(self, index: int, shape: Shape) -> tuple[Part, Plain]:
        """A layer alone, from its door to the next one's; its new keys and values are outputs, too."""
        plain = self.plain(shape)
        return self._part(self._layer(plain, index), self._around(index, shape), self._after(index, shape)), plain

    def _layer(self, plain: Plain, index: int) -> Iterator[onnx.NodeProto]:
        fused = list(stamped_layer(self._skeleton, self.sizes, index))
        rope = self.sizes.attention_of(index).rope
        if any(each.op_type == "GroupQueryAttention" for each in fused):
            yield from plain.tables(table_name(name, rope) for name in ROTARY)
        for each in fused:
            if index == 0:
                each.input[:] = [self.first_residual if name == "layer.0.residual" else name for name in each.input]
            yield from plain.nodes([each])

    def _around(self, index: int, shape: Shape) -> dict[str, list[int]]:
        width = [1, shape.tokens, self.sizes.hidden_size]
        residual = self.first_residual if index == 0 else f"layer.{index}.residual"
        return {
            f"layer.{index}.normed": width,
            residual: width,
            **self._beside(shape),
            **self._cache(index, shape.past),
        }

    def _beside(self, shape: Shape) -> dict[str, list[int]]:
        return {POSITIONS: [shape.tokens], MASK: [1, 1, shape.tokens, shape.past + shape.tokens]}

    def _after(self, index: int, shape: Shape) -> dict[str, list[int]]:
        width = [1, shape.tokens, self.sizes.hidden_size]
        values = {f"layer.{index + 1}.normed": width, f"layer.{index + 1}.residual": width}
        return {**values, **self._cache(index, shape.tokens, "present")}

    def _cache(self, index: int, places: int, prefix: str = "past_key_values") -> dict[str, list[int]]:
        heads, size = self.sizes.num_kv_heads, self.sizes.head_size
        shapes = {"key": [1, heads, size, places], "value": [1, heads, places, size]}
        return {f"{prefix}.{index}.{part}": shape for part, shape in shapes.items()}

    def tail(self, shape: Shape, normed: str = "normed") -> tuple[Part, Plain]:
        """The last layer's `normed` to LOGITS, of every token."""
        plain = self.plain(shape)
        names = {"normed": normed, "lm_head.weight": HEAD}
        fused = [bound(each, {}, names, "") for each in self._skeleton["tail"].node]
        inputs = {normed: [1, shape.tokens, self.sizes.hidden_size]}
        outputs = {LOGITS: [1, shape.tokens, self.sizes.vocab_size]}
        return self._part(plain.nodes(fused), inputs, outputs), plain

    def whole(self, shape: Shape) -> tuple[Part, Plain]:
        """EMBEDS and the cache to the LOGITS of one token (LAST says which) and what the cache is to keep."""
        head, plain = self.head(shape)
        nodes, last = list(head.nodes), self.sizes.num_layers
        inputs, outputs = {**head.inputs, **self._beside(shape), LAST: [1]}, {LOGITS: [1, 1, self.sizes.vocab_size]}
        for index in range(last):
            there = {name for each in nodes for name in each.output}
            nodes += (each for each in self._layer(plain, index) if not there & set(each.output))  # tables once
            inputs |= self._cache(index, shape.past)
            outputs |= self._cache(index, shape.tokens, "present")
        nodes.append(node("Gather", [f"layer.{last}.normed", LAST], [f"{LOGITS}.normed"], axis=1))
        nodes += self.tail(Shape(1, 0), f"{LOGITS}.normed")[0].nodes
        return self._part(nodes, inputs, outputs), plain

    def _part(
        self, nodes: Iterable[onnx.NodeProto], inputs: dict[str, list[int]], outputs: dict[str, list[int]]
    ) -> Part:
        nodes = needed(nodes, outputs)
        read = {name for each in nodes for name in each.input}
        return Part(nodes, {name: shape for name, shape in inputs.items() if name in read}, outputs)

    def model(self, part: Part, plain: Plain) -> onnx.ModelProto:
        """A part as a model, whose matrices are in the tensor file; its vectors are in it."""
        known, reads = self._of(part), read_by(part.nodes)
        matrices = [name for name in reads if name in self._tensors.matrices]
        vectors = [name for name in reads if name in plain.vectors]
        given = [name for name in (*part.inputs, *vectors) if name in known]
        nodes = list(encoded(part.nodes, known, given, matrices))
        made = [name for each in part.nodes for name in each.output if name in known]
        files = {name + part for name in matrices for part in PARTS}
        external = [each for each in self._tensors.initializers if each.name in files]
        constants = [*(_constant(name, plain, known) for name in vectors), *steps(known, [*given, *made])]
        inputs, outputs = ([_port(*each, known) for each in ports.items()] for ports in (part.inputs, part.outputs))
        graph = helper.make_graph(nodes, "fixed", inputs, outputs, [*external, *constants])
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="edge-export")

    @property
    def has_steps(self) -> bool:
        """Whether keys and values are remembered in 8 bits."""
        return any(name.endswith(CACHE_SCALE) for name in self._tensors.vectors)

    def cached(self, part: Part) -> list[str]:
        """The part's values that are keys and values in steps."""
        if not self.has_steps:
            return []
        ports = [name for name in (*part.inputs, *part.outputs) if name.startswith(("past_key_values.", "present."))]
        of_group = groups(part.nodes)
        roots = {of_group.get(name, name) for name in ports}
        return list(dict.fromkeys([*ports, *(name for name, root in of_group.items() if root in roots)]))

    def _of(self, part: Part) -> Encodings:
        """How a part's values are encoded: as is known, or keys and values alone."""
        return self.known or dict.fromkeys(self.cached(part), CACHED)


def read_by(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """What nodes read, each once."""
    return list(dict.fromkeys(name for each in nodes for name in each.input))


def _constant(name: str, plain: Plain, known: Encodings) -> TensorProto:
    values = plain.vectors[name]
    if name not in known:
        return initializer(name, values)
    codes = known[name].codes(values)
    return helper.make_tensor(name, known[name].kind, codes.shape, codes.tobytes(), raw=True)


def _port(name: str, shape: list[int], known: Encodings) -> onnx.ValueInfoProto:
    kind = known[name].kind if name in known else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, TensorProto.INT32 if name in (POSITIONS, LAST) else kind, shape or None)
