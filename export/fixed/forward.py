"""Texts through graphs of fixed shapes, a layer at a time and each text as one slice.

A slice sees its own keys and values as the cache is to hold them, so that nothing hangs on how a text is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.fixed.attention import MASK
from export.fixed.encodings import CACHED, HIDDEN_NATS, TOP, Codes, Encoding, Encodings, Range, encodings
from export.fixed.graphs import LOGITS, FixedGraphs, Part, Shape
from export.fixed.plain import EMBEDS, POSITIONS, Plain
from export.progress import Report
from export.quantize import Floats
from export.runtime import Runner, open_graph
from export.stages import Text, Tokens, Values

COARSE = 1 / 32
"""A step this large beside what is usual of a sum is too large for it."""
FAR = -1e4
"""Added to the score of a place that may not be looked at, where scores are floats."""
Found = dict[str, Range]
"""The least and the largest value by name."""
Usual = dict[str, float]


class FixedForward:
    """A bundle of fixed shapes as `export/fidelity.py` asks it. embed: what is looked up for ids."""

    def __init__(self, graphs: FixedGraphs, folder: Path, embed: Callable[[Tokens], Floats]) -> None:
        self.graphs, self._folder, self._embed = graphs, folder, embed
        self._last: tuple[tuple[object, ...], Runner] | None = None

    def enter(self, texts: list[Text]) -> list[Values]:
        """Texts at the first layer's door."""
        return [self._entered(text) for text in texts]

    def _entered(self, text: Text) -> Values:
        embeds = self._embed(text.tokens)
        part, plain = self.graphs.head(Shape(text.tokens.shape[1], 0))
        made = self.run(part, plain, {EMBEDS: embeds}, list(part.outputs))
        return {"residual": embeds, **{name.removeprefix("layer.0."): values for name, values in made.items()}}

    def layer(self, index: int) -> Callable[[Values], Values]:
        """What takes a text through a layer."""

        def advance(values: Values) -> Values:
            part, plain = self.graphs.layer(index, Shape(values["normed"].shape[1], 0))
            made = self.run(part, plain, self.entering(index, values), leaving(index))
            return {name.removeprefix(f"layer.{index + 1}."): each for name, each in made.items()}

        return advance

    def entering(self, index: int, values: Values) -> Mapping[str, Floats]:
        """A text's values by the names that they have at a layer's door."""
        first = self.graphs.first_residual if index == 0 else f"layer.{index}.residual"
        return {f"layer.{index}.normed": values["normed"], first: values["residual"]}

    def logits(self) -> Callable[[Floats], Floats]:
        """What makes logits `[tokens, vocabulary]` of the last layer's `normed`."""
        last = f"layer.{self.graphs.sizes.num_layers}.normed"

        def made(normed: Floats) -> Floats:
            part, plain = self.graphs.tail(Shape(len(normed), 0), last)
            logits: Floats = self.run(part, plain, {last: normed[None]}, [LOGITS])[LOGITS][0]
            return logits

        return made

    def run(self, part: Part, plain: Plain, values: Mapping[str, Floats], wanted: list[str]) -> dict[str, Floats]:
        """A part once, floats in and floats out, whatever is in between."""
        run, known = self._opened(part, plain), self.graphs.known
        tokens = plain.tokens
        feeds: dict[str, NDArray[np.generic]] = {POSITIONS: np.arange(tokens, dtype=np.int32)}
        feeds[MASK] = mask(np.tri(tokens, dtype=np.bool_)[None, None], known)
        feeds |= {name: known[name].codes(each) if name in known else each for name, each in values.items()}
        feeds |= {name: np.zeros(shape, np.float32) for name, shape in part.inputs.items() if name.startswith("past_")}
        made = run(wanted, {name: self._typed(name, each) for name, each in feeds.items()})
        return {
            name: known[name].values(each) if name in known else each for name, each in zip(wanted, made, strict=True)
        }

    def _typed(self, name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        return values.astype(np.int8) if name.startswith("past_") and self.graphs.has_steps else values

    def _opened(self, part: Part, plain: Plain) -> Runner:
        """A session over a part; the last one is kept, since texts are as long as each other mostly."""
        key = (*part.inputs, *part.outputs, plain.tokens)
        if self._last is None or self._last[0] != key:
            self._last = None  # before the next is opened: two may not fit
            run = open_graph(self.graphs.model(part, plain), self._folder, as_written=True)
            self._last = key, run
        return self._last[1]


def mask(visible: NDArray[np.bool_], known: Encodings) -> Codes:
    """What is fed for places that may be looked at, and for those that may not."""
    if MASK in known:
        return np.where(visible, np.uint16(TOP), np.uint16(0))
    return np.where(visible, np.float32(0), np.float32(FAR))


def leaving(index: int) -> list[str]:
    """The outputs that the next layer begins with."""
    return [f"layer.{index + 1}.{name}" for name in ("normed", "residual")]


def observed(floats: FixedForward, texts: list[Text], table: Range, report: Report) -> dict[str, Encoding]:
    """How every value of the graphs is to be encoded, by the ranges that it has on texts.

    Sums that go from layer to layer stay floats, which a provider has in 16 bits, where a few of their values are so
    large that steps for them would be too coarse for all others (arXiv:2402.17762, massive activations).
    floats: with nothing encoded yet. table: the range of what is looked up for all ids.
    """
    graphs, found, scores, usual = floats.graphs, Found({EMBEDS: table}), Found(), Usual()
    streams = floats.enter(texts)
    shape = Shape(1, 1)
    for index in range(graphs.sizes.num_layers):
        report("ranges", index, graphs.sizes.num_layers, f"layer {index}")
        for number, values in enumerate(streams):
            streams[number] = _seen(floats, index, values, found, usual)
        part, _ = graphs.layer(index, shape)
        for each in part.nodes:
            if MASK in each.input:
                scores[each.output[0]] = found[each.input[0]]
    for values in streams:
        part, plain = graphs.tail(Shape(values["normed"].shape[1], 0), f"layer.{graphs.sizes.num_layers}.normed")
        _widen(found, floats.run(part, plain, {next(iter(part.inputs)): values["normed"]}, [LOGITS]))
    known = _known(graphs, found, scores)
    return {name: each for name, each in known.items() if name not in usual or each.scale < COARSE * usual[name]}


def _seen(floats: FixedForward, index: int, values: Values, found: Found, usual: Usual) -> Values:
    """A text through a layer, every value of which is looked at. usual: how large most of each sum is."""
    part, plain = floats.graphs.layer(index, Shape(values["normed"].shape[1], 0))
    names = [name for each in part.nodes for name in each.output if each.op_type != "Constant"]
    names = [name for name in names if name not in floats.graphs.cached(part)]
    entering = floats.entering(index, values)
    made = floats.run(part.showing(names), plain, entering, list(dict.fromkeys([*leaving(index), *names])))
    _widen(found, {**entering, **made})
    sums = [each.output[0] for each in part.nodes if each.op_type == "Add" and each.output[0] in residuals(part)]
    usual |= {name: max(usual.get(name, 0.0), float(np.median(np.abs(made[name])))) for name in sums}
    return {name.removeprefix(f"layer.{index + 1}."): made[name] for name in leaving(index)}


def residuals(part: Part) -> set[str]:
    """What the norms of a layer read."""
    return {each.input[0] for each in part.nodes if each.op_type == "SimplifiedLayerNormalization"}


def _widen(found: Found, values: Mapping[str, Floats]) -> None:
    for name, each in values.items():
        low, high = found.get(name, (np.inf, -np.inf))
        found[name] = min(low, float(each.min())), max(high, float(each.max()))


def _known(graphs: FixedGraphs, found: Found, scores: Found) -> dict[str, Encoding]:
    """Encodings of all values of the whole graph, by their ranges. scores: of what is masked, before it is."""
    part, plain = graphs.whole(Shape(1, 1))
    read = {name for each in part.nodes for name in each.input}
    vectors = {name: (float(each.min()), float(each.max())) for name, each in plain.vectors.items() if name in read}
    reach = max(high - low for low, high in scores.values()) + HIDDEN_NATS
    given = {MASK: Encoding.of(-reach, 0.0), **dict.fromkeys(graphs.cached(part), CACHED)}
    masked = {name: (low - HIDDEN_NATS, high) for name, (low, high) in scores.items()}
    return encodings(part.nodes, {**found, **vectors, **masked}, given)
