"""What runs on the emulated board: the graph both ways, one prompt cut in several ways; findings as JSON.

`python3 checks.py BUNDLE`. It imports nothing but what a board has.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, read_manifest
from edge.engine.graph.session import Graph

TOKENS = 24
CUTS = ((24,), (10, 14), (22, 2), (7, 7, 7, 3))


def main(folder: Path) -> dict[str, object]:
    """Load the bundle and compare."""
    graph = Graph(Bundle(folder, read_manifest(folder)), 2, 1)
    whole, cache = read(graph, CUTS[0], is_prefill=True)
    others = [read(graph, cut, is_prefill=True) for cut in CUTS[1:]]
    decoded, decoded_cache = read(graph, CUTS[0], is_prefill=False)
    wanted, found = (each - np.logaddexp.reduce(each) for each in (decoded, whole))
    return {
        "machine": os.uname().machine,
        "cuts_equal": all((logits == whole).all() and (kept == cache).all() for logits, kept in others),
        "first_layer_equal": bool((decoded_cache[0] == cache[0]).all()),
        "kl": float(np.sum(np.exp(wanted) * (wanted - found))),
    }


def read(graph: Graph, cut: tuple[int, ...], is_prefill: bool) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Logits after a seeded prompt that is read in such slices, and what the cache holds then."""
    prompt = np.random.default_rng(0).integers(1000, 20_000, (1, TOKENS))
    logits, seen = np.zeros(0), 0
    for count in cut:
        tokens = prompt[:, seen : seen + count]
        logits = graph.run(0, tokens, np.array([seen]), is_prefill=is_prefill).astype(np.float64).ravel()
        seen += count
    return logits, graph.caches.read(0, 0, TOKENS)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
