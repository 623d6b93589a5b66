"""Models at their true shapes with random weights that are drawn as they are read: what an export of each takes.

No disk is taken but the bundle's. Memory at the peak is that of one layer and of the tables, so that one layer tells.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.full_shape import CHANGES
from benchmarks.random_source import RandomSource
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from export.download import default_cache
from export.pipeline import export_bundle
from export.recipe import Recipe, recipes

KIB, GIB = 2**10, 2**30
LAYERS = 1
MEASURED: dict[str, Any] = {
    "limits": {"kl_mean": 1e9, "top1_agreement": 0},
    "evaluation_tokens": 512,
    "prompts": (),
    "task_questions": 0,
}
"""What random weights change of a recipe: they may lose what they like, and have nothing to answer."""
SHAPES = {
    "phi3_medium": ("phi-3-medium-4k-instruct", 10.0),
    "qwen3_06b": ("qwen3-0.6b", 6.0),
    "gemma3_1b": ("gemma-3-1b-it", 6.0),
}
"""By what a figure calls it, a shape's recipe and the GiB that its export may take."""


def measure(_bundle: Path) -> list[Figure]:
    """Of each shape: memory at the export's peak by the default method, and that the bundle answers."""
    return [figure for name, (recipe, most) in SHAPES.items() for figure in _measured(name, recipe, most)]


def _measured(name: str, recipe: str, most: float) -> list[Figure]:
    target = default_cache() / "true-shapes" / name
    return [
        Figure(f"{name}_peak_gib", round(exported(recipe, target)["peak_gib"], 2), "GiB", "<=", most),
        Figure(f"{name}_answered_tokens", answered(target), "tokens", ">=", 1),
    ]


def exported(recipe: str, target: Path, *options: str) -> dict[str, float]:
    """An export in a process of its own, so that its peak is that of nothing else."""
    command = [sys.executable, "-m", "benchmarks.true_shapes", recipe, str(target), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {recipe} {' '.join(options)}: {found}", file=sys.stderr, flush=True)
    return found


def export(name: str, target: Path, layers: int = LAYERS) -> dict[str, float]:
    """Make a bundle by the recipe; seconds, GiB at the peak, and bytes of its files.

    layers: 0 for all that there are, which are rounded in the quickest way then.
    """
    changes = MEASURED if layers else {**MEASURED, **CHANGES}
    recipe = Recipe(**{**recipes()[name].model_dump(exclude_unset=True), **changes})
    source = RandomSource(name, {**recipe.config, **({"num_hidden_layers": layers} if layers else {})})
    began = time.monotonic()
    made = export_bundle(source, recipe, target, True, lambda *_: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    size = sum(entry.size_bytes for entry in made.manifest.files.values())
    return {"seconds": round(time.monotonic() - began), "peak_gib": peak / GIB, "bytes": size}


def answered(bundle: Path) -> int:
    """Tokens of one answer of the batched engine."""
    engine = BatchedEngine(bundle, Options(rows=1, prefix_bytes=0))
    done = answer(engine, Job(1, [{"role": "user", "content": "What is the capital of France?"}], 4))
    return done.completion_tokens


def main() -> None:
    """`python -m benchmarks.true_shapes RECIPE FOLDER [LAYERS]`: one export, told in JSON."""
    name, target, *layers = sys.argv[1:]
    print(json.dumps(export(name, Path(target), *map(int, layers))))


if __name__ == "__main__":
    main()
