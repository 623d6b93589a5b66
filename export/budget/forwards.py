"""The source with one group rounded, for each group, side by side: a layer's weights are read and rounded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from export.budget.groups import Group
from export.budget.looking import look
from export.calibrate import SourceCalibrator
from export.families.base import EMBEDDING
from export.forward import Advance, SourceForward
from export.mixture import Lazy, as_one
from export.plan import Plan
from export.quantize import Feedback, Floats, Quantized
from export.stages import Layer, Text, Values, Weights
from export.tables import Table

Round = Callable[[str, Floats, Feedback], Quantized]
"""A matrix as it is measured, of its tensor's name, its floats and its feedback."""


class Workbench:
    """A layer at a time: the source's weights, and each matrix rounded on its own."""

    def __init__(self, plan: Plan, calibrator: SourceCalibrator, rounded: Round) -> None:
        """calibrator: texts at the first layer's door, which are behind the last one when all layers were loaded."""
        self.plan, self.layer, self.calibrator = plan, calibrator.layer, calibrator
        self.source = SourceForward(plan, calibrator.layer)
        self._round = rounded
        self._codes: dict[str, Quantized] = {}
        self.weights: Weights = {}
        self.passed: list[Values] = []

    @cached_property
    def logits(self) -> Callable[[Floats], Floats]:
        """Of the source; its table is in memory once."""
        return self.source.logits()

    def load(self, index: int) -> None:
        """A layer's weights in place of the last one's."""
        self._codes = {
            seen.name: self._round(seen.name, seen.weight, seen.feedback)
            for seen in look(self.plan, index, self.calibrator)
        }
        self.weights, self.passed = self.source.weights(index), []

    def weights_with(self, group: Group, index: int) -> Weights:
        """The layer's that is loaded, a group's matrices as their codes have them."""
        prefix = f"model.layers.{index}."
        names = {name.removeprefix(prefix): name for name in self._codes if group.has(name)}
        return as_one(Lazy(names, lambda name: self._codes[name].dequantized().T.copy()), self.weights)


class AsItIs:
    """The source itself; what its layers make of each text is kept until the next one."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def enter(self, texts: list[Text]) -> list[Values]:
        """Texts at the first layer's door."""
        return self._bench.source.enter(texts)

    def layer(self, index: int) -> Advance:
        """What takes a text through a layer, which is loaded for all others, too."""
        self._bench.load(index)

        def advance(values: Values) -> Values:
            made = self._bench.layer.through(index, values, self._bench.weights)
            self._bench.passed.append(made)
            return made

        return advance

    def logits(self) -> Callable[[Floats], Floats]:
        """What makes logits of the last layer's `normed`."""
        return self._bench.logits


class WithGroup:
    """The source with the matrices of some layers rounded; before the first of them it is the source."""

    def __init__(self, bench: Workbench, group: Group) -> None:
        self._bench, self._group = bench, group

    def enter(self, texts: list[Text]) -> list[Values]:
        """Texts at the first layer's door."""
        return self._bench.source.enter(texts)

    def layer(self, index: int) -> Advance:
        """What takes a text through a layer."""
        bench = self._bench
        if index < self._group.layers.start:
            passed = iter(bench.passed)
            return lambda _: next(passed)
        weights = bench.weights_with(self._group, index) if index in self._group.layers else bench.weights
        return lambda values: bench.layer.through(index, values, weights)

    def logits(self) -> Callable[[Floats], Floats]:
        """What makes logits of the last layer's `normed`."""
        return self._bench.logits


class WithTable:
    """The source with a table rounded. embedding: what stands for the first one, None for the source's own.

    head: what makes the other one once all layers are passed, likewise.
    """

    def __init__(self, bench: Workbench, embedding: Table | None, head: Callable[[], Table] | None) -> None:
        self._bench, self._embedding, self._head = bench, embedding, head

    def enter(self, texts: list[Text]) -> list[Values]:
        """Texts at the first layer's door."""
        if self._embedding is None:
            return self._bench.source.enter(texts)
        used = np.unique(np.concatenate([text.tokens.ravel() for text in texts]))
        renumbered = [text.renumbered(used) for text in texts]
        return doors(self._bench.plan, self._bench.layer, renumbered, self._embedding.rows(used))

    def layer(self, index: int) -> Advance:
        """What takes a text through a layer: the source's own."""
        bench = self._bench
        if self._embedding is None:
            passed = iter(bench.passed)
            return lambda _: next(passed)
        weights = bench.weights
        return lambda values: bench.layer.through(index, values, weights)

    def logits(self) -> Callable[[Floats], Floats]:
        """What makes logits of the last layer's `normed`."""
        return self._bench.logits if self._head is None else self._bench.source.logits(self._head().times)


def doors(plan: Plan, layer: Layer, texts: list[Text], table: Floats) -> list[Values]:
    """Texts at the first layer's door, by a table."""
    norm, more = plan.first_norm, plan.read_outside()
    return [layer.enter(text, table, norm, None, more) for text in texts]


def calibrator(plan: Plan, layer: Layer, texts: list[Text]) -> SourceCalibrator:
    """Texts at the source's first layer's door."""
    return SourceCalibrator(layer, doors(plan, layer, texts, plan.source.tensor(EMBEDDING)))
