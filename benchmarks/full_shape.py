"""A bundle of Phi-3.5-mini's true shape that is quick to make: random weights, rounded to nearest, keys in int8.

Its matrices have the formats of the shipped recipe, so that it takes the same bytes and runs the same kernels.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import phi_shape
from edge.bundle import MANIFEST
from export.download import default_cache
from export.pipeline import export_bundle
from export.recipe import recipes
from export.source import open_source

CHANGES = {
    "method": "rtn",
    "kv_cache": "int8",
    "calibration_tokens": 512,
    "evaluation_tokens": 0,
    "task_questions": 0,
    "prompts": (),
}


def full_shape() -> Path:
    """The bundle's folder in the cache, made once (10 minutes, 10 GB of disk)."""
    target = default_cache() / "full-size" / "shape"
    if not (target / MANIFEST).is_file():
        print("making a bundle of Phi-3.5-mini's shape (once, 10 minutes)…", file=sys.stderr, flush=True)
        source = phi_shape.write(default_cache() / "phi-3.5-mini-random")
        recipe = recipes()["phi-3.5-mini-instruct"].model_copy(update=CHANGES)
        export_bundle(open_source(source), recipe, target, True, lambda *_: None)
    return target
