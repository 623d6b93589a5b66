"""What an engine opens of its bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.bundle import Bundle
from edge.engine import Options, budget
from edge.engine.batch.decoder import Decoder
from edge.engine.graph.session import SPIN_MICROSECONDS, SPIN_TOGETHER_MICROSECONDS, Graph

if TYPE_CHECKING:
    from edge.engine.pictures.vision import Vision


def opened_graph(bundle: Bundle, options: Options) -> Graph:
    """What runs the bundle's graph, with one slot more than rows."""
    spin = SPIN_TOGETHER_MICROSECONDS if options.draft else SPIN_MICROSECONDS
    return Graph(bundle, options.threads, options.rows + 1, budget.packed_folder(options), spin)


def opened_vision(bundle: Bundle, graph: Decoder) -> Vision | None:
    """What looks at pictures, where the bundle sees them; a board that only reads loads nothing for it."""
    if bundle.manifest.pictures is None:
        return None
    from edge.engine.pictures.vision import Vision

    return Vision(graph.tower(bundle))
