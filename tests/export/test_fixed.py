"""Graphs of fixed shapes: in floats they say what the architecture says, in whole numbers nearly so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.errors import UnsupportedError
from export.families.base import EMBEDDING, HEAD
from export.fixed.attention import MASK
from export.fixed.encodings import CACHED, HEADROOM, Encoding, encodings
from export.fixed.forward import FixedForward, mask, observed
from export.fixed.graphs import LOGITS, FixedGraphs, Shape
from export.fixed.making import ends, lookup, texts
from export.fixed.plain import EMBEDS, LAST, POSITIONS
from export.fixed.tensors import ChannelFile, pairs
from export.forward import SourceForward
from export.plan import Plan, plan_of
from export.prefill import Nodes
from export.quantize import Floats, round_to_nearest
from export.recipe import Recipe
from export.runtime import open_graph
from export.source import open_source
from export.stages import Layer, Text
from export.weights import write_weights
from tests.export import small_families, small_model
from tests.export.beside import TOLERANCE
from tests.export.rounded import RoundedSource

TOKENS = [small_model.LETTERS.index(letter) for letter in "Inthegraphs"]
SLICE, CONTEXT = 4, 24
RECIPE = Recipe(licence="none", method="rtn", bits=8, provider="qnn", context_length=CONTEXT, calibration_tokens=512)


def quiet(*_: object) -> None:
    """No progress."""


def checkpoint(folder: Path, kind: str) -> Path:
    """The small Llama, or the same with its projections packed."""
    weights = small_model.llama_weights()
    if kind == "llama":
        return small_model.write_checkpoint(folder / kind, weights)
    config = {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "original_max_position_embeddings": 128}
    return small_model.write_checkpoint(folder / kind, small_model.as_phi3(weights), **config)


def written(folder: Path, plan: Plan) -> ChannelFile:
    """A plan's weights in a folder."""
    with ChannelFile(folder / "model.onnx.data", folder / "embedding.onnx.data") as tensors:
        write_weights(plan, tensors, quiet)
    return tensors


def rounded(weights: small_model.Weights) -> small_model.Weights:
    """As the recipe stores them: a step for each row, but for the embedding."""
    return {
        name: value if value.ndim == 1 else round_to_nearest(value, RECIPE.format_of(name)).dequantized()
        for name, value in weights.items()
    }


class Text16:
    """A text that grows in the cache of a pair of graphs, as an engine lets it."""

    def __init__(self, graphs: FixedGraphs, folder: Path, table: Floats) -> None:
        self._known, self._table, self._seen = graphs.known, table, 0
        parts = {size: graphs.whole(Shape(size, CONTEXT)) for size in (1, SLICE)}
        self._runs = {size: open_graph(graphs.model(*part), folder, as_written=True) for size, part in parts.items()}
        part, _ = parts[1]
        kind = np.int8 if graphs.has_steps else np.float32
        self._cache = {name: np.zeros(shape, kind) for name, shape in part.inputs.items() if name.startswith("past_")}

    def read(self, tokens: list[int]) -> Floats:
        """The logits after some more tokens, read at once."""
        size, count = 1 if len(tokens) == 1 else SLICE, len(tokens)
        ids = np.array([*tokens, *[0] * (size - count)])
        before = np.broadcast_to(np.arange(CONTEXT) < self._seen, (size, CONTEXT))
        visible = np.concatenate([before, np.tri(size, dtype=bool)], axis=1)[None, None]
        embeds = self._table[ids][None]
        feeds = {
            EMBEDS: self._known[EMBEDS].codes(embeds) if self._known else embeds,
            POSITIONS: np.arange(self._seen, self._seen + size, dtype=np.int32),
            MASK: mask(visible, self._known),
            LAST: np.array([count - 1], np.int32),
            **self._cache,
        }
        names = [name.replace("past_key_values", "present") for name in self._cache]
        logits, *added = self._runs[size]([LOGITS, *names], feeds)
        for (name, cache), part in zip(self._cache.items(), added, strict=True):
            places = (slice(None), slice(None), slice(None)) if name.endswith("key") else (slice(None), slice(None))
            cache[*places, self._seen : self._seen + count] = part[*places, :count]
        self._seen += count
        return self._known[LOGITS].values(logits)[0, 0] if self._known else logits[0, 0]


def read_in_parts(text: Text16) -> Floats:
    """The logits after two slices, a part of one and two tokens alone."""
    first, second, third = TOKENS[:SLICE], TOKENS[SLICE : 2 * SLICE], TOKENS[2 * SLICE :]
    for part in (first, second, third[:1], third[1:2]):
        text.read(part)
    return text.read(third[2:])


@pytest.mark.parametrize("kind", ["llama", "phi3"])
def test_in_floats_they_compute_the_architecture(tmp_path, kind):
    """By slices, by a slice that is not full and by tokens: what an independent forward pass over all of it says."""
    plan = plan_of(open_source(checkpoint(tmp_path, kind)), RECIPE).with_float_cache()
    graphs = FixedGraphs(plan.skeleton, plan.sizes, written(tmp_path, plan), {})
    weights = rounded(small_model.llama_weights())
    found = read_in_parts(Text16(graphs, tmp_path, weights[EMBEDDING]))
    wanted = small_model.forward(weights, TOKENS)
    assert np.abs(found - wanted).max() / np.abs(wanted).max() < TOLERANCE


@pytest.mark.parametrize("kind", ["llama-biased", "qwen3", "smollm3"])
def test_in_floats_they_compute_what_the_skeleton_does(tmp_path, kind):
    """Biases, norms of heads, layers without positions, a tied table: what enters the tail is as the source has it."""
    plan = plan_of(open_source(small_families.write(tmp_path / kind, kind)), RECIPE).with_float_cache()
    plan = replace(plan, source=RoundedSource(plan.source, plan.format_of))  # so that storing loses nothing
    tensors = written(tmp_path, plan)
    graphs = FixedGraphs(plan.skeleton, plan.sizes, tensors, {})
    models = (SourceForward(plan, Layer(plan.skeleton, plan.sizes)), FixedForward(graphs, tmp_path, lookup_of(plan)))
    ends = []
    for model in models:
        (values,) = model.enter([Text(np.array([TOKENS]))])
        for index in range(plan.sizes.num_layers):
            values = model.layer(index)(values)
        ends.append(values["normed"])
    wanted, found = ends
    assert np.abs(found - wanted).max() / np.abs(wanted).max() < TOLERANCE


def lookup_of(plan: Plan) -> Callable[[np.ndarray], Floats]:
    """The source's own embeddings."""
    table = plan.source.tensor(EMBEDDING)
    return lambda ids: table[ids[0]][None]


@pytest.fixture(scope="module")
def whole_numbers(tmp_path_factory):
    """The small Llama's graphs with everything encoded, and where its weights are."""
    folder = tmp_path_factory.mktemp("whole")
    plan = plan_of(open_source(checkpoint(folder, "llama")), RECIPE)
    tensors = written(folder, plan)
    embed = lookup(folder, plan, tensors)
    floats = FixedForward(FixedGraphs(plan.skeleton, plan.sizes, tensors, {}), folder, embed)
    known = observed(floats, texts(plan), ends(plan, embed), quiet)
    return FixedGraphs(plan.skeleton, plan.sizes, tensors, known), folder, embed


def test_in_whole_numbers_they_lose_little(whole_numbers):
    """16 bits of values and 8 of keys and values, beside floats."""
    graphs, folder, _ = whole_numbers
    weights = rounded(small_model.llama_weights())
    found = read_in_parts(Text16(graphs, folder, weights[EMBEDDING]))
    assert np.corrcoef(found, small_model.forward(weights, TOKENS))[0, 1] > 0.999


def test_it_does_not_matter_how_a_text_is_cut(whole_numbers):
    """The pair over its cache gives what a layer at a time gives of all at once, as the loss is measured."""
    graphs, folder, embed = whole_numbers
    forward = FixedForward(graphs, folder, embed)
    (values,) = forward.enter([Text(np.array([TOKENS]))])
    for index in range(graphs.sizes.num_layers):
        values = forward.layer(index)(values)
    whole = forward.logits()(values["normed"][0])[-1]
    table = embed(np.arange(96)[None])[0]
    parts = read_in_parts(Text16(graphs, folder, table))
    assert np.abs(whole - parts).max() <= 4 * graphs.known[LOGITS].scale


def test_every_value_of_the_graph_is_encoded(whole_numbers):
    """Where one were not, a provider would compute it in floats, or leave it to the processor."""
    graphs, _, _ = whole_numbers
    part, plain = graphs.whole(Shape(SLICE, CONTEXT))
    model = graphs.model(part, plain)
    floats = {name for node in part.nodes for name in node.output if node.op_type != "Constant"} - set(graphs.known)
    assert floats == set()
    kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    assert 1 not in kinds  # TensorProto.FLOAT


def test_steps_are_above_zero(whole_numbers):
    """Providers take no others."""
    graphs, _, _ = whole_numbers
    assert all(each.scale > 0 for each in graphs.known.values())
    weight = np.random.default_rng(0).standard_normal((8, 40)).astype(np.float32)
    for bits in (4, 8):
        form = RECIPE.format_of(HEAD).__class__(bits, 0, True)
        found = round_to_nearest(weight, form)
        assert found.scales.shape == (8, 1)
        assert (found.scales > 0).all()
        assert np.abs(found.dequantized() - weight).max() <= found.scales.max() * 0.51


def test_what_is_moved_keeps_its_numbers():
    """Both sides of a Concat have one range, and so has what is cut out of it."""
    nodes = Nodes("n")
    whole = nodes.add("Concat", "a", "b", axis=0)
    part = nodes.add("Reshape", whole, nodes.constant(7, [2], [1]))
    known = encodings(nodes, {"a": (-1.0, 0.5), "b": (0.0, 3.0), whole: (-1.0, 3.0)}, {})
    assert known["a"] == known["b"] == known[whole] == known[part] == Encoding.of(-1.0 * HEADROOM, 3.0 * HEADROOM)
    assert encodings(nodes, {"a": (-1.0, 1.0)}, {"b": CACHED})["a"] == CACHED


def test_two_codes_a_byte():
    """The first in the lower half; an odd one has a byte of its own."""
    assert pairs(np.array([1, 255, 7], np.uint8)).tolist() == [0xF1, 0x07]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "none"}, "whole numbers"),
        ({"kv_cache": "float"}, "without --kv-cache float"),
        ({"warm": (Path("prompt"),)}, "without --warm"),
        ({"soc": "abacus"}, "abacus is no system on a chip that is known here: SA8295"),
        ({"soc": "SM8650", "provider": "cpu"}, "cpu does not"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_what_is_refused(tmp_path, change, said):
    """Refused when the bundle is planned, with what to do."""
    source = open_source(checkpoint(tmp_path, "llama"))
    with pytest.raises(UnsupportedError, match=said):
        plan_of(source, RECIPE.model_copy(update=change))


@pytest.mark.slow
def test_a_sum_with_a_few_huge_values_stays_a_float(tmp_path):
    """Steps that reach so far would be too coarse for all others; the graphs say what they said in floats."""
    weights = small_model.llama_weights()
    weights["model.layers.0.mlp.down_proj.weight"][7] *= 3000
    plan = plan_of(open_source(small_model.write_checkpoint(tmp_path / "llama", weights)), RECIPE)
    tensors = written(tmp_path, plan)
    embed = lookup(tmp_path, plan, tensors)
    floats = FixedForward(FixedGraphs(plan.skeleton, plan.sizes, tensors, {}), tmp_path, embed)
    known = observed(floats, texts(plan), ends(plan, embed), quiet)
    assert {"layer.0.middle", "layer.1.residual", "layer.1.middle"} & set(known) == {"layer.0.middle"}
    table, whole = embed(np.arange(96)[None])[0], FixedGraphs(plan.skeleton, plan.sizes, tensors, known)
    found, wanted = (read_in_parts(Text16(graphs, tmp_path, table)) for graphs in (whole, floats.graphs))
    assert np.corrcoef(found, wanted)[0, 1] > 0.999


def test_layers_that_do_not_look_alike_are_refused(tmp_path):
    """A window, and rotary factors that change within the context."""
    with pytest.raises(UnsupportedError, match="looks back on a window"):
        plan_of(open_source(small_families.write(tmp_path / "mistral", "mistral-window")), RECIPE)
    factors = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    config = {"architectures": ["Phi3ForCausalLM"], "original_max_position_embeddings": 16, "rope_scaling": factors}
    source = small_model.write_checkpoint(tmp_path / "phi3", small_model.as_phi3(small_model.llama_weights()), **config)
    with pytest.raises(UnsupportedError, match="export it with --context 16"):
        plan_of(open_source(source), RECIPE)
