"""Calibration texts on their way through the layers twice: as the source computes them, and as the bundle will."""

from __future__ import annotations

from collections.abc import Iterator

from export.quantize import Floats, Moments
from export.stages import Layer, Stage, Tokens, Weights


class Calibrator:
    """The texts, side by side: `wanted` through the source's weights, `seen` through the rounded ones."""

    def __init__(self, layer: Layer, texts: list[Tokens], tables: tuple[Floats, Floats], norm: Floats) -> None:
        """tables: the embedding as the source has it and as the bundle will."""
        self.layer = layer
        self._wanted, self._seen = ([layer.enter(text, table, norm) for text in texts] for table in tables)

    def moments(self, stage: Stage) -> Moments:
        """What the stage's matrices read, summed over the texts."""
        made: Moments | None = None
        for seen, wanted, drift in self._pairs(stage):
            made = made or Moments(seen.shape[-1])
            made.add(seen, wanted, drift)
        assert made is not None
        return made

    def _pairs(self, stage: Stage) -> Iterator[tuple[Floats, Floats, Floats | None]]:
        for seen, wanted in zip(self._seen, self._wanted, strict=True):
            drift = wanted[stage.adds_to][0] - seen[stage.adds_to][0] if stage.adds_to else None
            yield seen[stage.reads][0], wanted[stage.reads][0], drift

    def advance(self, stage: Stage, source: Weights, rounded: Weights) -> None:
        """Take every text through a stage, in place."""
        self._wanted = [self.layer.advance(stage, values, source) for values in self._wanted]
        self._seen = [self.layer.advance(stage, values, rounded) for values in self._seen]
