"""Our own engine over a pair of graphs of fixed shapes: all that it does is the same, but guess.

Each answer is a run of its own, since the graphs have room for one text; prompts are read in the slices that theirs
has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge.bundle import read_manifest
from edge.engine import Options
from edge.engine.batch.decoder import Decoder
from edge.engine.batch.engine import BatchedEngine
from edge.engine.static.graph import FixedGraph
from edge.engine.text.late_sentences import LateSentences
from edge.errors import ConfigError


class StaticEngine(BatchedEngine):
    """A bundle whose manifest has `fixed`, on the provider that it is for or on the processor."""

    def __init__(self, bundle: Path, options: Options, sentences: LateSentences | None = None) -> None:
        """sentences: the bundle's embedding model, where others use it, too. ConfigError for another kind of bundle."""
        fixed = read_manifest(bundle).fixed
        if fixed is None:
            raise ConfigError(
                f"{bundle} has no graphs of fixed shapes, which the provider {options.provider} wants: export it with"
                f" --provider {options.provider}"
            )
        super().__init__(bundle, replace(options, prefill_slice_tokens=fixed.slice_tokens), sentences)

    def _opened_graph(self) -> Decoder:
        return FixedGraph(self._bundle, self._options, self.rows + 1)
