"""A small bundle guesses for a large one: tokens a second with it over those without, by turns.

There is no large model at hand whose small sister's weights are, too. So the large one is the default model with seven
layers behind each of its own that cost what a layer costs and change nothing, since their last matrices are zeros: it
says what the default model says, in 8 bits instead of 4, and takes nine times the bytes. For text that a draft knows
the default bundle drafts; for text that it does not, the same with the columns of its matrices in another order. So the
ratios are about the mechanism, and not about how well a true pair agrees.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from edge.bundle import MANIFEST
from edge.engine import Finished, Job, Options
from edge.engine.batch.engine import BatchedEngine
from export.download import default_cache, fetch
from export.pipeline import export_bundle
from export.quantize import Format, Quantized
from export.recipe import Recipe, recipes
from export.source import open_source
from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource

TIMES = 8
"""Layers of the large one over those of the default model."""
ZERO = ("self_attn.o_proj", "mlp.down_proj")
"""What a layer adds its outcome by."""
TOKENS = 128
KNOWN = (
    "What is photosynthesis?",
    "List the twelve months of the year, and how many days each has.",
    "Explain what a noun, a verb and an adjective are.",
    "What is machine learning?",
)
"""What a model of this size says in the same words, however it is rounded."""
STORIES = (
    "Write a short story about two brothers who repair an old boat.",
    "Describe a market in a small town on a Saturday morning.",
)
"""What hangs on small differences."""
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
    """The large one, and one that knows nothing, in the cache; made once (5 minutes, 1.1 GB of disk)."""
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
    """The ratios, with the prompt lookup beside all of them as ever; answers that are the same to the token, of all."""
    large, strange = bundles()
    with tempfile.TemporaryDirectory(dir=large.parent) as folder:
        without, drafted, strangely = (Asked(opened(large, each, folder)) for each in ("", str(bundle), str(strange)))
        in_step([without, drafted, strangely], KNOWN)
        rates = [each.rate() for each in (without, drafted, strangely)]
        in_step([without, drafted], STORIES)
        stories = [each.rate() for each in (without, drafted)]
    same = sum(
        without.said[question] == asked.said[question] for asked in (drafted, strangely) for question in asked.said
    )
    return [
        Figure("draft_known_over_without", round(rates[1] / rates[0], 3), "ratio", ">=", 1.4),
        Figure("draft_stories_over_without", round(stories[1] / stories[0], 3), "ratio", ">=", 0.98),
        Figure("draft_unknown_over_without", round(rates[2] / rates[0], 3), "ratio", ">=", 0.98),
        Figure("draft_answers_the_same", same, "answers", "==", 2 * len(KNOWN) + len(STORIES)),
    ]


def opened(large: Path, draft: str, folder: str) -> BatchedEngine:
    """An engine over packed weights that all of them share."""
    return BatchedEngine(large, Options(prefix_bytes=0, draft=draft, cache_folder=folder, packs=True))


class Asked:
    """An engine, what it has said to each question, and what its tokens behind the first ones took."""

    def __init__(self, engine: BatchedEngine) -> None:
        self.engine = engine
        self.said: dict[str, str] = {}
        self._seconds = self._tokens = 0.0

    def step(self, question: str) -> None:
        """One step of an answer to a question."""
        began = time.perf_counter()
        events = list(self.engine.step())
        if self.said[question]:
            self._seconds += time.perf_counter() - began
        for event in events:
            if isinstance(event.what, Finished):
                self._tokens += event.what.completion_tokens - 1
            else:
                assert isinstance(event.what, str), event.what
                self.said[question] += event.what

    def rate(self) -> float:
        """Tokens a second since this was asked last."""
        rate, self._seconds, self._tokens = self._tokens / self._seconds, 0.0, 0.0
        return rate


def in_step(all_of_them: Sequence[Asked], questions: Sequence[str]) -> None:
    """Each question answered by all at once, a step of each in turns, the order changing: a busy moment hits all."""
    for question in questions:
        for asked in all_of_them:
            asked.said[question] = ""
            asked.engine.submit(Job(1, [{"role": "user", "content": question}], TOKENS, ignore_eos=True))
        for number in count():
            going = [asked for asked in all_of_them if not asked.engine.is_idle]
            if not going:
                break
            for asked in going if number % 2 else reversed(going):
                asked.step(question)
        print(f"  {question}: {[dict(asked.engine.counters())['runs'] for asked in all_of_them]} runs", file=sys.stderr)
