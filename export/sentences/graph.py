"""The graph: token ids and a mask in, vectors of length 1 out. Every value is float32.

Attention is one operator of onnxruntime's; sums and norms stay apart, and so does GELU: its fused
SkipLayerNormalization takes 8 times as long as both on a processor with AVX-512, its BiasGelu 1.4 times.
Sources: Transformers' `BertModel`; ContribOperators.md, com.microsoft.MultiHeadAttention; sentence-transformers'
Pooling (the mean over the mask) and Normalize. A sum has the mean's direction, so that nothing is divided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.fusing.nodes import CONTRIB, OPSET, node
from export.quantize import Floats, Quantized
from export.sentences.config import Encoder
from export.sentences.weights import EMBEDDINGS, LAYERS, Weights

INPUTS, OUTPUT = ("input_ids", "attention_mask"), "sentences"


@dataclass(frozen=True)
class Linear:
    """A product and its bias. name: of the graph's own. weight: `[outputs, inputs]`; bias: `[outputs]`.

    reads_norm: whether a norm makes what it reads.
    """

    name: str
    weight: Floats
    bias: Floats
    reads_norm: bool


class Drawing:
    """A graph in the making: nodes in their order, and what they read beside each other's values."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, TensorProto] = {}

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """A tensor of the graph's own; its name."""
        self._tensors[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def add(self, op: str, inputs: list[str], made: str, domain: str = "", **attributes: Any) -> str:
        """A node of one output; its name."""
        self._nodes.append(node(op, inputs, [made], domain, **attributes))
        return made

    def split(self, value: str, made: list[str]) -> list[str]:
        """A value cut into parts of one width."""
        self._nodes.append(node("Split", [value], made, axis=-1, num_outputs=len(made)))
        return made

    def model(self, width: int, watched: list[str]) -> onnx.ModelProto:
        """The whole. watched: values that are outputs, too."""
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in INPUTS]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", width])]
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in watched]
        graph = helper.make_graph(self._nodes, OUTPUT, inputs, outputs, list(self._tensors.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="edge-export")


Product = Callable[[Drawing, str, Linear], str]
"""Draws a product of a value; the name of what comes out, `[batch, length, outputs]`."""


def in_floats(drawing: Drawing, value: str, linear: Linear) -> str:
    """A product as the checkpoint has it."""
    weight = drawing.constant(f"{linear.name}.weight", linear.weight.T)
    bias = drawing.constant(f"{linear.name}.bias", linear.bias)
    return drawing.add("Add", [drawing.add("MatMul", [value, weight], f"{linear.name}.product"), bias], linear.name)


def in_halves(drawing: Drawing, value: str, linear: Linear) -> str:
    """The same, stored in half precision; onnxruntime makes float32 of it when it loads the graph."""
    stored = drawing.constant(f"{linear.name}.halves", linear.weight.T.astype(np.float16))
    weight = drawing.add("Cast", [stored], f"{linear.name}.weight", to=TensorProto.FLOAT)
    bias = drawing.constant(f"{linear.name}.bias", linear.bias)
    return drawing.add("Add", [drawing.add("MatMul", [value, weight], f"{linear.name}.product"), bias], linear.name)


def draw(
    encoder: Encoder, weights: Weights, product: Product, table: Quantized | None = None, watched: bool = False
) -> onnx.ModelProto:
    """The model. table: of words, in blocks; None for floats. watched: what products read is an output, too."""
    drawing, reads = Drawing(), list[str]()

    def seen(drawing: Drawing, value: str, linear: Linear) -> str:
        reads.append(value)
        return product(drawing, value, linear)

    drawing.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    value = _embedded(drawing, encoder, weights, table)
    for layer in range(encoder.layers):
        value = _layer(drawing, encoder, weights, seen, value, layer)
    _pooled(drawing, value)
    return drawing.model(encoder.width, reads if watched else [])


def _embedded(drawing: Drawing, encoder: Encoder, weights: Weights, table: Quantized | None) -> str:
    """Words and places; every token is of the first type, whose row goes into the places'."""
    if table is None:
        words = drawing.constant("words", weights.tensor(f"{EMBEDDINGS}.word_embeddings.weight"))
        word = drawing.add("Gather", [words, "input_ids"], "word")
    else:
        word = _looked_up(drawing, table)
    kind = weights.tensor(f"{EMBEDDINGS}.token_type_embeddings.weight")[0]
    places = weights.tensor(f"{EMBEDDINGS}.position_embeddings.weight")[: encoder.tokens_max] + kind
    drawing.constant("places", places if table is None else places.astype(np.float16))
    drawing.constant("first", np.zeros(1, np.int64))
    drawing.add("Shape", ["input_ids"], "length", start=1, end=2)
    drawing.add("Slice", ["places", "first", "length", "first"], "here")
    drawing.add("Cast", ["here"], "place", to=TensorProto.FLOAT)
    return _norm(drawing, encoder, weights, [word, "place"], f"{EMBEDDINGS}.LayerNorm", "embedded")


def _looked_up(drawing: Drawing, table: Quantized) -> str:
    """Source: ContribOperators.md, com.microsoft.GatherBlockQuantized."""
    codes = drawing.constant("words.codes", table.packed().reshape(table.rows, -1))
    scales = drawing.constant("words.scales", table.scales)
    blocks = {"bits": table.format.bits, "block_size": table.format.block_size}
    inputs = [codes, "input_ids", scales]
    return drawing.add("GatherBlockQuantized", inputs, "word", CONTRIB, gather_axis=0, quantize_axis=1, **blocks)


def _norm(drawing: Drawing, encoder: Encoder, weights: Weights, added: list[str], module: str, made: str) -> str:
    """The norm of a sum. The operator is Sum, since onnxruntime would fuse an Add with it."""
    total = drawing.add("Sum", added, f"{made}.sum")
    gain = drawing.constant(f"{made}.gain", weights.tensor(f"{module}.weight"))
    bias = drawing.constant(f"{made}.bias", weights.tensor(f"{module}.bias"))
    return drawing.add("LayerNormalization", [total, gain, bias], made, axis=-1, epsilon=encoder.epsilon)


def _layer(drawing: Drawing, encoder: Encoder, weights: Weights, product: Product, value: str, layer: int) -> str:
    own, module = f"layer.{layer}", f"{LAYERS}.{layer}"

    def multiplied(value: str, name: str, *modules: str, reads_norm: bool = False) -> str:
        weight, bias = weights.linear(*(f"{module}.{each}" for each in modules))
        return product(drawing, value, Linear(f"{own}.{name}", weight, bias, reads_norm))

    modules = [f"attention.self.{part}" for part in ("query", "key", "value")]
    together = multiplied(value, "all", *modules, reads_norm=True)
    parts = drawing.split(together, [f"{own}.{part}" for part in ("query", "key", "value")])
    attended = drawing.add(
        "MultiHeadAttention", [*parts, "", "mask"], f"{own}.attended", CONTRIB, num_heads=encoder.heads
    )
    attended = multiplied(attended, "out", "attention.output.dense")
    middle = _norm(
        drawing, encoder, weights, [attended, value], f"{module}.attention.output.LayerNorm", f"{own}.middle"
    )
    active = drawing.add("Gelu", [multiplied(middle, "wide", "intermediate.dense", reads_norm=True)], f"{own}.active")
    narrow = multiplied(active, "narrow", "output.dense")
    return _norm(drawing, encoder, weights, [narrow, middle], f"{module}.output.LayerNorm", f"{own}.end")


def _pooled(drawing: Drawing, value: str) -> None:
    drawing.constant("second", np.ones(1, np.int64))
    drawing.add("Cast", ["attention_mask"], "shares", to=TensorProto.FLOAT)
    drawing.add("Unsqueeze", ["shares", "second"], "row")
    drawing.add("MatMul", ["row", value], "sums")
    drawing.add("Squeeze", ["sums", "second"], "sum")
    drawing.add("LpNormalization", ["sum"], OUTPUT, axis=-1, p=2)
