"""What keys and values in 8 and in 4 bits lose by onnxruntime's own operator, over text of the calibrated kind and not.

No bundle has 4 bits (decision 90): here each layer's attention is given them, so that a new runtime or another way to
find the steps can be held against the bar again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from benchmarks.fidelity import standard_library
from benchmarks.figure import Figure
from benchmarks.reference import dithered
from export.calibration_text import evaluation_tokens, pieces, tokens_of
from export.fidelity import Sample, compare
from export.forward import Advance, BundleForward, SourceForward
from export.graphs import Skeleton
from export.plan import Plan, plan_of
from export.quantize import Floats
from export.recipe import Recipe
from export.runtime import open_graph
from export.source import open_source
from export.stages import Layer, Values, surroundings
from export.tensor_file import CACHE_SCALE, TensorFile
from export.weights import write_weights

TOKENS = 1536
"""Of each kind of text."""
USUAL, FOREIGN = "text", "code"
REACHES = (1.0, 0.75, 0.55)
"""How far 4 bits reach, over what the calibration text reached: shorter steps, and more that lies beyond them."""


class InFourBits(BundleForward):
    """A bundle over a cache of 4 bits in place of its own of 8. reach: of its steps, over that of the bundle's.

    Source: onnxruntime's mlas/lib/qkv_quant.cpp: steps of -8 to 7, two in a byte.
    """

    def __init__(self, plan: Plan, skeleton: Skeleton, tensors: TensorFile, folder: Path, reach: float) -> None:
        super().__init__(plan, skeleton, tensors, folder, 0)
        self._weights, self._factor, self._sizes = folder, np.float32(reach * 127 / 7), plan.sizes

    def layer(self, index: int) -> Advance:
        """What takes a text through a layer."""
        model, _ = self.layer_graph(index)
        run = open_graph(self._narrowed(model), self._weights)
        normed, residual = (f"layer.{index + 1}.{name}" for name in ("normed", "residual"))
        empty = np.zeros((1, self._sizes.num_kv_heads, 0, self._sizes.head_size // 2), np.uint8)
        past = {f"past_key_values.{index}.{part}": empty for part in ("key", "value")}

        def advance(values: Values) -> Values:
            around = surroundings(self._sizes, values["normed"].shape[1], self._sizes.attention_of(index))
            own = {f"layer.{index}.{name}": value for name, value in values.items()}
            made = run([normed, residual], {**own, **around, **past})
            return dict(zip(("normed", "residual"), made, strict=True))

        return advance

    def _narrowed(self, model: onnx.ModelProto) -> onnx.ModelProto:
        for value in model.graph.input:
            if value.name.startswith("past_key_values."):
                value.type.tensor_type.elem_type = TensorProto.UINT8
        for each in model.graph.node:
            for attribute in each.attribute:
                if attribute.name == "kv_cache_bit_width":
                    attribute.i = 4
        for entry in model.graph.initializer:
            if entry.name.endswith(CACHE_SCALE):
                steps: Floats = numpy_helper.to_array(entry, str(self._weights)) * self._factor
                entry.CopyFrom(numpy_helper.from_array(steps, entry.name))
        return model


def measure(_bundle: Path) -> list[Figure]:
    """What each width adds to the divergence of matrices in 8 bits, and its bytes over those of floats."""
    source = open_source(dithered())
    recipe = Recipe(licence="Apache-2.0", name="r", context_length=2048, method="rtn", bits=8, kv_cache="int8")
    plan = plan_of(source, recipe)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TensorFile(folder / "weights") as tensors:
            write_weights(plan, tensors, lambda *_: None)
        skeleton = plan.skeleton
        plain = BundleForward(plan, skeleton, tensors.with_float_cache(), folder, 0)
        int8 = BundleForward(plan, skeleton, tensors, folder, 0)
        int4 = [InFourBits(plan, skeleton, tensors, folder, reach) for reach in REACHES]
        first = SourceForward(plan, Layer(skeleton, plan.sizes))
        found = compare(first, [plain, int8, *int4], samples(plan), plan.sizes.num_layers, lambda *_: None)
    usual, foreign = (
        [each.losses[kind].kl_mean - found[0].losses[kind].kl_mean for each in found[1:]] for kind in (USUAL, FOREIGN)
    )
    kept = plan.kv_bytes_per_token
    best = min(range(len(REACHES)), key=lambda number: usual[1 + number])
    return [
        Figure("kl_added_by_8_bit_cache", round(usual[0], 5), "nats", "<=", 0.01),
        Figure("kl_added_by_8_bit_cache_on_code", round(foreign[0], 5), "nats", "<=", 0.01),
        Figure("kl_added_by_4_bit_cache", round(usual[1 + best], 5), "nats", "<=", 0.01),
        Figure("kl_added_by_4_bit_cache_on_code", round(foreign[1 + best], 5), "nats", "<=", 0.01),
        Figure("kv_bytes_over_float32", kept / plan.sizes.kv_bytes_per_token(), "ratio", "<=", 0.14),
    ]


def samples(plan: Plan) -> list[Sample]:
    """Text of the kind that steps are calibrated on, and code."""
    tokenizer = plan.tokenizer.files["tokenizer.json"]
    length = plan.recipe.context_length
    code = pieces(tokens_of(tokenizer, standard_library()[:400_000]), TOKENS, length, 1)
    usual = evaluation_tokens(tokenizer, TOKENS, length)
    return [*(Sample(USUAL, each) for each in usual), *(Sample(FOREIGN, each) for each in code)]
