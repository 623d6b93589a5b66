"""A bundle of fixed shapes: weights, ranges, the pair of graphs, what all that lost.

What is looked up for a token comes from a graph of its own, which runs on the processor; the pair takes what that
makes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge.bundle import SLICE_GRAPH, TOKEN_GRAPH, Fixed
from export import pack
from export.calibration_text import calibration_tokens
from export.families.base import EMBEDDING, HEAD
from export.fixed.context import compile_pair
from export.fixed.encodings import Encodings, Range, steps
from export.fixed.forward import FixedForward, observed
from export.fixed.graphs import LOGITS, FixedGraphs, Shape
from export.fixed.plain import EMBEDS
from export.fixed.tensors import ChannelFile
from export.fusing.nodes import node
from export.graphs import graph_over, head_nodes
from export.plan import Plan
from export.progress import Report
from export.quantize import METHODS, Floats, quantize
from export.runtime import open_graph
from export.stages import Text, Tokens
from export.verify import check_limits, verify
from export.weights import write_weights

SLICE_TOKENS = 128
"""Of a prompt, read by one run: as many rows as an HTP multiplies at once. Less where the context is short."""
TABLE = "embedding.onnx.data"
"""What is looked up for a token, beside its graph."""
AT_ONCE = 4096
"""Words whose embeddings are looked at together."""


def make(folder: Path, plan: Plan, report: Report) -> None:
    """The bundle's files into an empty folder. Raises ExportError, also where it lost more than its recipe allows."""
    with ChannelFile(folder / pack.WEIGHTS, folder / TABLE) as tensors:
        calibration = write_weights(plan, tensors, report)
        if plan.sizes.tied_embeddings:
            table = plan.source.tensor(EMBEDDING)
            tensors.add_matrix(HEAD, quantize(table.T, plan.recipe.format_of(HEAD), METHODS["rtn"]))
    embed = lookup(folder, plan, tensors)
    floats = FixedForward(FixedGraphs(plan.skeleton, plan.sizes, tensors, {}), folder, embed)
    known = observed(floats, texts(plan), ends(plan, embed), report)
    fixed = write_graphs(folder, plan, tensors, known)
    pack.write_texts(folder, plan)
    pack.write_manifest(folder, plan, tensors, calibration, None, fixed)
    encoded = FixedForward(FixedGraphs(plan.skeleton, plan.sizes, tensors, known), folder, embed)
    forwards = {"whole numbers": encoded, "float activations": floats}
    fidelity = verify(plan, tensors, folder, report, forwards)
    check_limits(plan, fidelity)
    if plan.recipe.soc:
        compile_pair(folder, plan, report)
        fixed = fixed.model_copy(update={"soc": plan.recipe.soc})
    pack.write_manifest(folder, plan, tensors, calibration, fidelity, fixed)


def texts(plan: Plan) -> list[Text]:
    """What shows the ranges of values: the texts that the weights were fitted to."""
    tokenizer, recipe = plan.tokenizer.files["tokenizer.json"], plan.recipe
    context = min(recipe.context_length, plan.sizes.context_length)
    chosen, _ = calibration_tokens(tokenizer, recipe.calibration_tokens, context, recipe.calibration_text)
    return [Text(tokens) for tokens in chosen]


def lookup(folder: Path, plan: Plan, tensors: ChannelFile) -> Callable[[Tokens], Floats]:
    """Embeddings `[1, tokens, width]` of ids `[1, tokens]`, as the bundle has them."""
    run = open_graph(embedding_model(plan, tensors, {}), folder)
    return lambda ids: run([EMBEDS], {"input_ids": ids})[0]


def ends(plan: Plan, embed: Callable[[Tokens], Floats]) -> Range:
    """The least and the largest value of any word's embedding."""
    found = [np.inf, -np.inf]
    for start in range(0, plan.sizes.vocab_size, AT_ONCE):
        values = embed(np.arange(start, min(start + AT_ONCE, plan.sizes.vocab_size))[None])
        found = [min(found[0], float(values.min())), max(found[1], float(values.max()))]
    return found[0], found[1]


def embedding_model(plan: Plan, tensors: ChannelFile, known: Encodings) -> onnx.ModelProto:
    """`input_ids` `[1, tokens]` to EMBEDS `[1, tokens, width]`, encoded as the pair reads them."""
    made = f"{EMBEDS}.raw" if known else EMBEDS
    nodes = list(head_nodes(plan.skeleton["head"], tensors, "input_ids", made))
    constants: list[TensorProto] = []
    if known:
        nodes.append(node("QuantizeLinear", [made, f"{EMBEDS}.step", f"{EMBEDS}.zero"], [EMBEDS]))
        constants += steps(known, [EMBEDS])
    kind = known[EMBEDS].kind if known else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "sequence_length"])]
    outputs = [helper.make_tensor_value_info(EMBEDS, kind, [1, "sequence_length", plan.sizes.hidden_size])]
    return graph_over("embedding", nodes, inputs, outputs, tensors, *constants)


def write_graphs(folder: Path, plan: Plan, tensors: ChannelFile, known: Encodings) -> Fixed:
    """The lookup and the pair, and what the manifest says of them."""
    size = slice_tokens(plan.recipe.context_length)
    graphs = FixedGraphs(plan.skeleton, plan.sizes, tensors, known)
    pack.write_graph(folder / pack.EMBEDDING, embedding_model(plan, tensors, known))
    for name, tokens in ((SLICE_GRAPH, size), (TOKEN_GRAPH, 1)):
        model = graphs.model(*graphs.whole(Shape(tokens, plan.recipe.context_length)))
        pack.write_graph(folder / name, model)
    logits = known[LOGITS]
    return Fixed(slice_tokens=size, logits_scale=logits.scale, logits_zero_point=logits.zero_point)


def slice_tokens(context: int) -> int:
    """How many tokens of a prompt one run reads: a quarter of a short context."""
    return max(2, min(SLICE_TOKENS, context // 4))
