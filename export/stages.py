"""A decoder layer cut where its matrices read: quantise what a stage multiplies with, run it, go on to the next.

A stage begins with the MatMuls that read one value (`normed`: query, key and value) and ends before those that
read another. Texts pass through a layer stage by stage, so that each matrix is fitted to what the matrices
before it, already quantised, will really give it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from export.blocks import block_bias
from export.families.base import EXPERTS_OP, Attention, Dimensions
from export.fusing.options import BIAS, PRODUCT, layer_nodes
from export.graphs import Skeleton, function_model, layer_attributes
from export.mixture import as_one, mixed
from export.quantize import Floats
from export.rotary import ROTARY, rotary_tables
from export.runtime import Runner, open_graph

Tokens = NDArray[np.int64]
Weights = Mapping[str, Floats]
Values = dict[str, Floats]
"""What one text is at some point of a layer: each live value by its name, float32 `[1, tokens, width]`."""

Watch = Callable[[str, Floats], None]

LEAVING = {"next_normed": "normed", "next_residual": "residual", "expert_output": "expert_output"}
"""A layer's outputs, and what the next layer calls them; an expert's."""
CACHES = ("present_key", "present_value")
"""Those that the engine remembers, float32 `[1, num_kv_heads, tokens, head_size]`."""


@dataclass(frozen=True)
class Cut:
    """A picture for the tower. crops: the whole and then its crops, float32 `[1 + rows * columns, 3, size, size]`."""

    crops: Floats
    rows: int
    columns: int

    def sizes(self) -> NDArray[np.int64]:
        """`image_sizes` of it alone."""
        size = self.crops.shape[-1]
        return np.array([[self.rows * size, self.columns * size]], np.int64)


@dataclass(frozen=True)
class Text:
    """What is read: tokens int64 `[1, n]`, below zero in the places of a picture."""

    tokens: Tokens
    picture: Cut | None = None

    def renumbered(self, used: Tokens) -> Text:
        """The same for a table that has the rows of some tokens only, in their order."""
        return Text(np.where(self.tokens < 0, self.tokens, np.searchsorted(used, self.tokens)), self.picture)


@dataclass(frozen=True)
class Stage:
    """A run of nodes of the layer.

    reads: the value that its matrices multiply. modules: those matrices, by their module names.
    adds_to: the residual that their product is added to, empty where it is not.
    makes: what it computes that later stages or the next layer need. needed_later: all that they need.
    caches: what of it the engine remembers, by the names of the layer's outputs. attention: how its layer attends.
    routing: the value that says which experts a token goes to, where the stage is these; their matrices are no modules.
    """

    reads: str
    modules: tuple[str, ...]
    adds_to: str
    makes: tuple[str, ...]
    needed_later: frozenset[str]
    caches: tuple[str, ...]
    run: Runner
    attention: Attention
    routing: str = ""

    def own(self, weights: Weights) -> dict[str, Floats]:
        """The stage's matrices, given in its order, under the names that its graph has for them."""
        return {f"{module}.weight": weight for module, weight in zip(self.modules, weights.values(), strict=True)}


class Layer:
    """The family's layer for a checkpoint's sizes, runnable with any weights; one for all that attend alike.

    part: the skeleton's function that it is.
    """

    def __init__(self, skeleton: Skeleton, sizes: Dimensions, part: str = "layer") -> None:
        self._skeleton, self._sizes, self._layer = skeleton, sizes, skeleton[part]
        self._stages: dict[Attention, list[Stage]] = {}

    def stages(self, index: int) -> list[Stage]:
        """Those of one layer, in their order."""
        attention = self._sizes.attention_of(index)
        if attention not in self._stages:
            self._stages[attention] = list(_stages(self._layer, self._sizes, attention, self._mixed))
        return self._stages[attention]

    @cached_property
    def _head(self) -> Runner:
        return open_graph(function_model(self._skeleton["head"], layer_attributes(self._sizes)))

    @cached_property
    def expert(self) -> Layer:
        """One of a layer's experts, likewise: `expert_input` to `expert_output`."""
        return Layer(self._skeleton, self._sizes, "expert")

    def _mixed(self, values: Floats, routing: Floats, weights: Weights) -> Floats:
        """What the experts of a layer make."""
        parts = tuple(module for stage in self.expert.stages(0) for module in stage.modules)

        def through(rows: Floats, own: Weights) -> Floats:
            return self.expert.through(0, {"expert_input": rows}, own)["expert_output"]

        return mixed(values, routing, weights, parts, through)

    def enter(
        self, text: Text, embedding: Floats, norm: Floats, features: Floats | None = None, more: Weights | None = None
    ) -> Values:
        """A text through the head to the first layer's door.

        features: of its picture, float32 `[places, width]`. more: what else the head has, by the tensors' names.
        """
        weights = {
            "model.embed_tokens.weight": embedding,
            "model.layers.0.input_layernorm.weight": norm,
            **(more or {}),
        }
        names = ["normed", "residual"]
        ids = np.maximum(text.tokens, 0)
        made = self._head(names, {"input_ids": ids, "attention_mask": np.ones_like(ids), **weights})
        return with_picture(dict(zip(names, made, strict=True)), text, features, norm, self._sizes.rms_norm_eps)

    def advance(self, stage: Stage, values: Values, weights: Weights, see: Watch | None = None) -> Values:
        """The text after a stage, computed with the weights that it is given: `[in, out]` matrices, and norms.

        see: called with the name and the values of what the engine remembers of the text.
        """
        around = surroundings(self._sizes, next(iter(values.values())).shape[1], stage.attention)
        names = [*stage.makes, *(stage.caches if see else ())]
        made = dict(zip(names, stage.run(names, as_one(values, around, weights)), strict=True))
        if see:
            for name in stage.caches:
                see(name, made.pop(name))
        kept = {name: value for name, value in values.items() if name in stage.needed_later}
        return kept | {LEAVING.get(name, name): value for name, value in made.items()}

    def through(self, index: int, values: Values, weights: Weights) -> Values:
        """The text after a whole layer."""
        for stage in self.stages(index):
            values = self.advance(stage, values, weights)
        return values


def with_picture(values: Values, text: Text, features: Floats | None, norm: Floats, epsilon: float) -> Values:
    """What enters the first layer, a picture's features in its places; normed anew there (arXiv:1910.07467)."""
    if features is None:
        return values
    where = text.tokens < 0
    residual, normed = values["residual"].copy(), values["normed"].copy()
    residual[where] = features
    normed[where] = features / np.sqrt(np.square(features).mean(-1, keepdims=True) + epsilon) * norm
    return {"normed": normed, "residual": residual}


def surroundings(sizes: Dimensions, length: int, attention: Attention) -> dict[str, NDArray[np.generic]]:
    """What attention wants beside a text of some tokens: an empty cache, lengths, rotary tables, blocks seen."""
    rope = sizes.ropes[attention.rope] if attention.rope else sizes.rope
    tables = rotary_tables(rope, length)
    empty = np.zeros((1, sizes.num_kv_heads, 0, sizes.head_size), np.float32)
    seen = {BIAS: block_bias(attention.blocks, sizes.num_heads, length)} if attention.blocks else {}
    return {
        **seen,
        "past_key": empty,
        "past_value": empty,
        "seqlens_k": np.array([length - 1], np.int32),
        "total_sequence_length": np.array(length, np.int32),
        **dict(zip(ROTARY, tables, strict=True)),
    }


def _cuts(layer: onnx.FunctionProto, attention: Attention) -> Iterator[list[onnx.NodeProto]]:
    """The layer's nodes in their order, a new list where a MatMul or experts read another value than those before."""
    part: list[onnx.NodeProto] = []
    reads = ""
    for node in layer_nodes(layer, attention):
        if node.op_type in ("MatMul", EXPERTS_OP) and node.input[0] != reads:
            if reads:
                yield part
                part = []
            reads = node.input[0]
        part.append(node)
    yield part


Mixed = Callable[[Floats, Floats, Weights], Floats]


def _stages(layer: onnx.FunctionProto, sizes: Dimensions, attention: Attention, mixed: Mixed) -> Iterator[Stage]:
    """Each part of the layer as a graph of its own. mixed: what makes the values of experts, which are in none."""
    parts = list(_cuts(layer, attention))
    for index, whole in enumerate(parts):
        experts = whole[0] if whole[0].op_type == EXPERTS_OP else None
        part = whole[1:] if experts else whole
        needed_later = frozenset(value for later in parts[index + 1 :] for node in later for value in node.input)
        made = [value for node in part for value in node.output if value]
        makes = [value for value in made if value in needed_later or value in LEAVING]
        read = list(dict.fromkeys(value for node in part for value in node.input if value and value not in made))
        caches = [value for value in made if value in CACHES]
        function = helper.make_function(layer.domain, layer.name, read, [*makes, *caches], part, layer.opset_import)
        run = open_graph(function_model(function, layer_attributes(sizes, attention)))
        if experts:
            run = _behind(experts, run, mixed)
        matrices = [node for node in part if node.op_type == "MatMul"]
        modules = tuple(node.input[1].removesuffix(".weight") for node in matrices)
        reads, routing = (experts or matrices[0]).input[0], experts.input[1] if experts else ""
        adds_to = _residual(part, (experts or matrices[0]).output[0])
        yield Stage(reads, modules, adds_to, tuple(makes), needed_later, tuple(caches), run, attention, routing)


def _behind(experts: onnx.NodeProto, run: Runner, mixed: Mixed) -> Runner:
    """What follows a layer's experts, behind these."""
    (values, routing), made = experts.input, experts.output[0]
    return lambda names, feeds: run(names, as_one({made: mixed(feeds[values], feeds[routing], feeds)}, feeds))


NORMS = ("SkipSimplifiedLayerNormalization", "SkipLayerNormalization")


def _residual(part: list[onnx.NodeProto], product: str) -> str:
    """What the norm at a part's end adds the part's product to, empty where the product goes elsewhere."""
    norms = [node for node in part if node.op_type in NORMS]
    product = product.removesuffix(PRODUCT)
    return str(norms[0].input[0]) if norms and norms[0].input[1] == product else ""
