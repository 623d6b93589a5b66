"""Models at their true shapes with random weights that are drawn as they are read: what an export of each takes.

No disk is taken but the bundle's. Memory at the peak is that of one layer and of the tables, so that one layer tells.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.phi_shape import DATA, STOPS, TEMPLATE
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from export.download import default_cache
from export.pipeline import export_bundle
from export.plan import plan_of
from export.quantize import Format, Quantized
from export.recipe import Recipe, recipes
from export.source.base import Floats
from export.source.config_only import ConfigSource

KIB, GIB = 2**10, 2**30
LAYERS = 1


class RandomSource(ConfigSource):
    """A checkpoint of a config whose tensors are drawn anew whenever they are read; Phi-3's tokenizer and template."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(name, config)
        self._shapes = plan_of(ConfigSource(name, config), Recipe(licence="none", context_length=1)).shapes

    @property
    def chat_template(self) -> str:
        """Phi-3.5's."""
        return (DATA / "tokenizer" / TEMPLATE).read_text(encoding="utf-8")

    @property
    def stop_token_ids(self) -> list[int]:
        """Phi-3.5's."""
        return STOPS

    @property
    def generation(self) -> Mapping[str, Any]:
        """Nothing is said."""
        return {}

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """Phi-3.5's."""
        names = ("tokenizer.json", "tokenizer_config.json")
        return {name: (DATA / "tokenizer" / name).read_text(encoding="utf-8") for name in names}

    def tensor_names(self) -> set[str]:
        """All that an export reads."""
        return set(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """As the config promises."""
        return self._shapes[name]

    def tensor(self, name: str) -> Floats:
        """Norms of ones; of everything else values that keep an input's size, seeded by the name."""
        shape = self._shapes[name]
        if "norm" in name:
            return np.ones(shape, np.float32)
        chance = np.random.default_rng(zlib.crc32(name.encode()))
        values = chance.standard_normal(shape, np.float32)
        values /= np.float32(np.sqrt(shape[-1]))
        return values

    def stored_format(self, name: str) -> Format | None:  # noqa: ARG002 - the protocol's
        """None: floats."""
        return None

    def stored_blocks(self, name: str) -> Quantized | None:  # noqa: ARG002 - the protocol's
        """None."""
        return None

    def check_values(self, names: Iterable[str]) -> None:
        """They are numbers."""

    def checksum(self) -> str:
        """Of nothing."""
        return "0" * 64


def measure(_bundle: Path) -> list[Figure]:
    """Of each shape: memory at the export's peak by the default method, and that the bundle answers."""
    folder = default_cache() / "true-shapes"
    medium = _exported("phi-3-medium-4k-instruct", folder / "phi3-medium")
    return [
        Figure("phi3_medium_peak_gib", round(medium["peak_gib"], 2), "GiB", "<=", 10),
        Figure("phi3_medium_answered_tokens", answered(folder / "phi3-medium"), "tokens", ">=", 1),
    ]


def _exported(recipe: str, target: Path) -> dict[str, float]:
    """An export in a process of its own, so that its peak is that of nothing else."""
    command = [sys.executable, "-m", "benchmarks.true_shapes", recipe, str(target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {recipe}: {found}", file=sys.stderr, flush=True)
    return found


def export(name: str, target: Path, layers: int = LAYERS) -> dict[str, float]:
    """Make a bundle; seconds, GiB at the peak, and bytes of its files."""
    recipe = recipes()[name]
    changes: dict[str, Any] = {"limits": {"kl_mean": 1e9, "top1_agreement": 0}, "evaluation_tokens": 512, "prompts": ()}
    recipe = Recipe(**{**recipe.model_dump(exclude_unset=True), **changes})
    source = RandomSource(name, {**recipe.config, "num_hidden_layers": layers})
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


if __name__ == "__main__":
    print(json.dumps(export(sys.argv[1], Path(sys.argv[2]))))
