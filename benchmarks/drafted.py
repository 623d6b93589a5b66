"""A small bundle guesses for a large one: tokens a second with it over those without, by turns.

There is no large model at hand whose small sister's weights are, too. So the large one is the default model with five
layers behind each of its own that cost what a layer costs and change nothing, since their last matrices are zeros: it
says what the default model says, rounded otherwise, and takes nearly six times the bytes. For text that a draft knows
the default bundle drafts; for text that it does not, the same with the columns of its matrices in another order. So the
ratios are about the mechanism, and not about how well a true pair agrees.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.rounds import ROUNDS, in_turns, ratio
from edge.bundle import MANIFEST
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from export.download import default_cache, fetch
from export.pipeline import export_bundle
from export.quantize import Format, Quantized
from export.recipe import Recipe, recipes
from export.source import open_source
from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource

TIMES = 6
"""Layers of the large one over those of the default model."""
ZERO = ("self_attn.o_proj", "mlp.down_proj")
"""What a layer adds its outcome by."""
TOKENS = 128
QUESTIONS = (
    "Explain how a lighthouse works, and why ships still need it.",
    "Write a short story about two brothers who repair an old boat.",
    "How does a heat pump warm a house in winter?",
    "Describe a market in a small town on a Saturday morning.",
)
CHANGES = {
    "name": "",
    "method": "rtn",
    "bits": 8,
    "kv_cache": "int8",
    "overrides": {},
    "calibration_tokens": 512,
    "evaluation_tokens": 0,
    "task_questions": 0,
    "prompts": (),
}
LAYERS = "model.layers."


class Changed(WrappedSource):
    """Another source whose tensors are changed as they are read."""

    def stored_format(self, name: str) -> Format | None:  # noqa: ARG002 - the protocol's
        """None: floats."""
        return None

    def stored_blocks(self, name: str) -> Quantized | None:  # noqa: ARG002 - the protocol's
        """None."""
        return None


class Deeper(Changed):
    """With layers behind each of its own that change nothing."""

    @property
    def config(self) -> Mapping[str, Any]:
        """With so many layers."""
        return {**super().config, "num_hidden_layers": TIMES * super().config["num_hidden_layers"]}

    def tensor_names(self) -> set[str]:
        """Those of all layers."""
        names = super().tensor_names()
        inner = {name for name in names if name.startswith(LAYERS)}
        return (names - inner) | {_at(name, TIMES * _layer(name) + more) for name in inner for more in range(TIMES)}

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the layer before it that is one of its own."""
        return super().shape(_own(name))

    def tensor(self, name: str) -> Floats:
        """Likewise, or zeros."""
        values = super().tensor(_own(name))
        is_more = name.startswith(LAYERS) and _layer(name) % TIMES
        return values * np.float32(0) if is_more and any(part in name for part in ZERO) else values

    def check_values(self, names: object) -> None:
        """They are numbers."""


class Shuffled(Changed):
    """With the columns of each layer's matrices in another order: a model of the same cost that knows nothing."""

    def tensor(self, name: str) -> Floats:
        """Seeded by the name."""
        values = super().tensor(name)
        if not name.startswith(LAYERS) or values.ndim != 2:
            return values
        order = np.random.default_rng(zlib.crc32(name.encode())).permutation(values.shape[1])
        return np.ascontiguousarray(values[:, order])


def _layer(name: str) -> int:
    return int(name.split(".")[2])


def _at(name: str, layer: int) -> str:
    parts = name.split(".")
    return ".".join([*parts[:2], str(layer), *parts[3:]])


def _own(name: str) -> str:
    return _at(name, _layer(name) // TIMES) if name.startswith(LAYERS) else name


def bundles() -> tuple[Path, Path]:
    """The large one, and one that knows nothing, in the cache; made once (10 minutes, 0.7 GB of disk)."""
    recipe = recipes()["smollm2-135m"]
    made = []
    for name, kind in {"deeper": Deeper, "shuffled": Shuffled}.items():
        target = default_cache() / "drafted" / name
        if not (target / MANIFEST).is_file():
            print(f"making the bundle {name} (once)…", file=sys.stderr, flush=True)
            source: Source = kind(open_source(fetch(recipe)))
            changed = Recipe(**{**recipe.model_dump(exclude_unset=True), **CHANGES, "sha256": ""})
            export_bundle(source, changed, target, True, lambda *_: None)
        made.append(target)
    return made[0], made[1]


def measure(bundle: Path) -> list[Figure]:
    """Both ratios, with the prompt lookup beside it as ever; answers that are the same to the token, of all."""
    large, strange = bundles()
    said: dict[str, list[str]] = {}
    engines = {
        name: BatchedEngine(large, Options(prefix_bytes=0, draft=draft))
        for name, draft in {"without": "", "known": str(bundle), "unknown": str(strange)}.items()
    }
    rates = in_turns({name: _rate(engine, said.setdefault(name, [])) for name, engine in engines.items()})
    for name, engine in engines.items():
        print(f"  {name}: {dict(engine.counters())}", file=sys.stderr, flush=True)
    same = sum(said["without"][n] == said[name][n] for name in ("known", "unknown") for n in range(len(said[name])))
    known, unknown = (ratio(rates[name], rates["without"], 0) for name in ("known", "unknown"))
    return [
        Figure("draft_known_over_without", round(known, 3), "ratio", ">=", 1.4),
        Figure("draft_unknown_over_without", round(unknown, 3), "ratio", ">=", 0.98),
        Figure("draft_answers_the_same", same, "answers", "==", 2 * ROUNDS * len(QUESTIONS)),
    ]


def _rate(engine: BatchedEngine, said: list[str]) -> Callable[[int], list[float]]:
    """A measure of one engine: tokens a second behind the first ones, of all answers of a round."""

    def measured(number: int) -> list[float]:
        seconds = tokens = 0.0
        for question in QUESTIONS:
            text: list[str] = []
            asked = [{"role": "user", "content": question}]
            ended = answer(engine, Job(number, asked, TOKENS, ignore_eos=True), text.append)
            seconds, tokens = seconds + ended.decode_seconds, tokens + ended.completion_tokens - 1
            said.append("".join(text))
        return [tokens / seconds]

    return measured
