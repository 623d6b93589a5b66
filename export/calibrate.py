"""Calibration texts on their way through the layers twice: as the source computes them, and as the bundle will."""

from __future__ import annotations

import numpy as np

from export.quantize import Floats, Moments
from export.stages import CACHES, Layer, Stage, Values, Weights

INT8_MAX = 127
FEW = 64
"""Tokens that an expert has to be sent to be fitted to them; one that fewer reach is fitted to all of the texts."""


def _lacking(stage: Stage, seen: Values, wanted: Values, weight: Floats) -> Floats:
    """What a stage's products lack of those that the source makes, and of the sum that they go into."""
    lacking: Floats = (wanted[stage.reads][0] - seen[stage.reads][0]) @ weight
    if stage.adds_to:
        lacking += wanted[stage.adds_to][0] - seen[stage.adds_to][0]
    return lacking


class Calibrator:
    """The texts, side by side: `wanted` through the source's weights, `seen` through the rounded ones."""

    def __init__(self, layer: Layer, wanted: list[Values], seen: list[Values]) -> None:
        """wanted, seen: the texts at the first layer's door, with the source's embedding and with the bundle's."""
        self.layer = layer
        self._largest: dict[str, Floats] = {}
        self._wanted, self._seen = wanted, seen

    def moments(self, stage: Stage, weight: Floats | None = None) -> Moments:
        """What the stage's matrices read, summed over the texts.

        weight: all of them side by side, float32 `[K, N]`; then also what their outputs lack.
        """
        made = Moments(self._seen[0][stage.reads].shape[-1])
        for seen, wanted in zip(self._seen, self._wanted, strict=True):
            made.add(seen[stage.reads][0], None if weight is None else _lacking(stage, seen, wanted, weight))
        return made

    def behind(self) -> Moments:
        """What the last layer hands on to the head, summed over the texts, and what it lacks."""
        made = Moments(self._seen[0]["normed"].shape[-1])
        for seen, wanted in zip(self._seen, self._wanted, strict=True):
            made.add(seen["normed"][0], wanted["normed"][0] - seen["normed"][0])
        return made

    def advance(self, stage: Stage, source: Weights, rounded: Weights) -> None:
        """Take every text through a stage, in place."""
        self._wanted = [self.layer.advance(stage, values, source) for values in self._wanted]
        self._seen = [self.layer.advance(stage, values, rounded, self._see) for values in self._seen]

    def reaching(self, stage: Stage, number: int) -> Calibrator:
        """One expert's calibrator: of the tokens that the rounded layers send to it, of all where those are few."""
        rows = [np.flatnonzero(seen[stage.routing][0, :, number]) for seen in self._seen]
        if sum(map(len, rows)) < FEW:
            rows = [np.arange(seen[stage.reads].shape[1]) for seen in self._seen]
        wanted, seen = (
            [{"expert_input": each[stage.reads][:, its]} for each, its in zip(texts, rows, strict=True) if len(its)]
            for texts in (self._wanted, self._seen)
        )
        return Calibrator(self.layer.expert, wanted, seen)

    def _see(self, name: str, cached: Floats) -> None:
        largest = np.abs(cached).max((0, 2))
        self._largest[name] = np.maximum(largest, self._largest.get(name, 0))

    def cache_scales(self) -> list[Floats]:
        """The step of each channel of the layer just passed, keys and values: float32 `[num_kv_heads, 1, head_size]`.

        127 steps reach as far as the texts did. Source: ContribOperators.md, com.microsoft.GroupQueryAttention.
        """
        ranges = [self._largest.pop(name) for name in CACHES]
        tiny = np.finfo(np.float32).tiny
        return [np.maximum(each / INT8_MAX, tiny).astype(np.float32)[:, None] for each in ranges]


class SourceCalibrator(Calibrator):
    """The texts through the source's weights alone."""

    def __init__(self, layer: Layer, texts: list[Values]) -> None:
        super().__init__(layer, texts, texts)

    def pass_on(self, stage: Stage, weights: Weights) -> None:
        """Take every text through a stage, in place."""
        self._wanted = self._seen = [self.layer.advance(stage, values, weights) for values in self._seen]
