"""The picture tower at its true size in 8 and in 4 bits: what each loses of a picture, takes, and how fast it looks."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import phi_shape
from benchmarks.figure import Figure
from export.download import default_cache
from export.graphs import load_skeleton
from export.look import Look, sample_cuts
from export.pack import WEIGHTS
from export.plan import make_plan
from export.recipe import Override, Recipe, recipes
from export.runtime import open_graph
from export.source import open_source
from export.stages import Cut
from export.tensor_file import TensorFile
from export.vision import PREFIX, SKELETON
from export.vision_graphs import vision_model
from export.weights import write_tower

ROUNDS = 5


def measure(_bundle: Path) -> list[Figure]:
    """Error of the features against float32, as a share of them; size and time of 8 bits over 4."""
    source = phi_shape.write(default_cache() / "phi-3.5-vision-one-layer", phi_shape.VISION, layers=1)
    usual = recipes()["phi-3.5-vision-instruct"]
    four = usual.model_copy(update={"overrides": {f"{PREFIX}*": Override(bits=4)}})
    with tempfile.TemporaryDirectory() as name:
        floats = usual.model_copy(update={"method": "none"})
        looks, sizes = {}, {}
        for bits, recipe in ((32, floats), (8, usual), (4, four)):
            looks[bits], sizes[bits] = tower(source, recipe, Path(name) / str(bits))
        (cut,) = sample_cuts(None, 1, 0)
        whole = Cut(cut.crops[:1], 0, 0)
        wanted = looks[32](whole)
        errors = {bits: float(np.linalg.norm(looks[bits](whole) - wanted) / np.linalg.norm(wanted)) for bits in (8, 4)}
        times = {bits: seconds(looks[bits], whole) for bits in (32, 8, 4)}
    print("  seconds a crop: " + ", ".join(f"{t:.2f} in {b} bits" for b, t in times.items()), file=sys.stderr)
    return [
        Figure("tower_error_8_bits", round(errors[8], 4), "ratio", "<=", 0.05),
        Figure("tower_error_4_bits_over_8", round(errors[4] / errors[8], 2), "ratio", ">=", 2),
        Figure("tower_8_bits_mb", round(sizes[8] / 1e6, 1), "MB", "<=", 400),
        Figure("tower_8_bits_over_4_seconds", round(times[8] / times[4], 3), "ratio", "<=", 1.5),
        Figure("tower_8_bits_over_float_seconds", round(times[8] / times[32], 3), "ratio", "<=", 1),
    ]


def tower(checkpoint: Path, recipe: Recipe, folder: Path) -> tuple[Look, int]:
    """The tower alone as a recipe stores it, and its bytes."""
    folder.mkdir()
    plan = make_plan(open_source(checkpoint), recipe)
    assert plan.tower
    with TensorFile(folder / WEIGHTS) as tensors:
        write_tower(plan, plan.tower, tensors, lambda *_: None)
    run = open_graph(vision_model(load_skeleton(SKELETON), plan.tower, tensors, recipe.accuracy_level), folder)

    def look(cut: Cut) -> np.ndarray:
        return run(["image_features"], {"pixel_values": cut.crops[None], "image_sizes": cut.sizes()})[0]

    return look, tensors.size


def seconds(look: Look, cut: Cut) -> float:
    """The median of several looks at one crop."""
    times = []
    for _ in range(ROUNDS):
        started = time.monotonic()
        look(cut)
        times.append(time.monotonic() - started)
    return statistics.median(times)
