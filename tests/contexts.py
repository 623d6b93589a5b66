"""Every context that a bundle can have, walked to its end.

By prompts, slices and batches at whose ends something ends: a mask, a cache, a rotary table, a slice.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.engine import Finished, Job, Options
from edge.engine.batch.engine import BatchedEngine
from edge.errors import Fault
from export import pack
from export.assemble import graphs
from export.plan import make_plan
from export.recipe import Recipe, recipes
from export.source import Source, open_source
from export.source.wrapped import WrappedSource
from export.tensor_file import TensorFile
from export.weights import write_weights
from tests.export import small_model

LONGEST = 4096
CACHES = ("float", "int8")
EVERY = range(16, 301)
EDGES = (1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 192, 193, 255, 256, 257)


@dataclass(frozen=True)
class Case:
    """A kind of bundle. is_long: whether its rotary factors change within its context."""

    context: int
    cache: str
    is_long: bool


def cases(contexts: Iterable[int]) -> Iterator[Case]:
    """Each context with both caches and both forms of rotary tables."""
    for context in contexts:
        for cache in CACHES:
            for is_long in (False, True):
                yield Case(context, cache, is_long)


def of_recipes() -> list[int]:
    """The contexts that the shipped recipes have, and those beside them."""
    found = {recipe.context_length for recipe in recipes().values()}
    return sorted(found | {2048})


class Other(WrappedSource):
    """A source with some keys of its config changed."""

    def __init__(self, inner: Source, **changes: object) -> None:
        super().__init__(inner)
        self._changes = changes

    @property
    def config(self) -> Mapping[str, Any]:
        """With the changes."""
        return {**super().config, **self._changes}


def write_source(folder: Path) -> Path:
    """A checkpoint, and a text to calibrate on."""
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog " * 60)
    weights = small_model.llama_weights()
    return small_model.write_checkpoint(folder / "source", weights, max_position_embeddings=LONGEST)


def source_of(checkpoint: Path, case: Case) -> Source:
    """The checkpoint with its rotary factors."""
    source = open_source(checkpoint)
    if not case.is_long:
        return source
    halves = small_model.HEAD // 2
    scaling = {"type": "longrope", "short_factor": [1.0] * halves, "long_factor": [2.0] * halves}
    return Other(source, rope_scaling=scaling, original_max_position_embeddings=case.context // 2)


def write_bundle(folder: Path, checkpoint: Path, case: Case) -> Path:
    """A bundle of a case, not asked and not measured: that is the walk's work."""
    folder.mkdir()
    text = checkpoint.parent / "text.txt"
    changes = {"context_length": case.context, "kv_cache": case.cache, "calibration_text": text}
    plan = make_plan(
        source_of(checkpoint, case), Recipe(licence="none", method="rtn", calibration_tokens=64, **changes)
    )
    with TensorFile(folder / pack.WEIGHTS, plan.float_type) as tensors:
        calibration = write_weights(plan, tensors, lambda *_: None)
    for name, model in graphs(plan, tensors).items():
        pack.write_graph(folder / name, model)
    pack.write_texts(folder, plan)
    pack.write_manifest(folder, plan, tensors, calibration)
    return folder


SLICES, ROWS = (16, 17, 63, 64, 65, 128), (1, 2, 3, 8)
"""Tokens of a slice, and answers at once: by turns, from one context to the next."""


def prompts(context: int) -> list[int]:
    """Lengths of prompts at whose ends something ends; of a long context the latter half alone, for time's sake."""
    half = context // 2
    edges = {half - 1, half, half + 1, context - 65, context - 2, context - 1}
    edges |= {EDGES[context % len(EDGES)], EDGES[context * 7 % len(EDGES)], 1} if context <= EVERY[-1] else set()
    return sorted(length for length in edges if 0 < length < context)


def deaths(folder: Path, checkpoint: Path, case: Case) -> list[str]:
    """What went wrong in a case: faults, answers that ended early, and what ended the engine."""
    number = case.context
    try:
        bundle = write_bundle(folder, checkpoint, case)
        return walk(
            bundle, number, prompts(number), SLICES[number % len(SLICES)], ROWS[number // len(SLICES) % len(ROWS)]
        )
    except Exception as error:  # whatever it is, it would have ended the engine
        return [f"{case}: {error}"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def walk(bundle: Path, context: int, lengths: Iterable[int], slice_tokens: int, rows: int) -> list[str]:
    """What went wrong while answers grew to the context's end, several at once."""
    engine = BatchedEngine(
        bundle, Options(threads=1, rows=rows, prefill_slice_tokens=slice_tokens, prefix_bytes=0, drafts=False)
    )
    wanted = {}
    for number, length in enumerate(lengths, start=1):
        wanted[number] = context - length
        job = Job(number, [], 10 * context, ignore_eos=True, loop_guard=False)
        engine.submit(job, [5 + place % 80 for place in range(length)])
    wrong = []
    while not engine.is_idle:
        for event in engine.step():
            if isinstance(event.what, Fault):
                wrong.append(f"{context}: {context - wanted[event.job_id]} tokens: {event.what}")
            elif isinstance(event.what, Finished) and event.what.completion_tokens != wanted[event.job_id]:
                wrong.append(f"{context}: {event.what.completion_tokens} tokens, not {wanted[event.job_id]}")
    engine.close()
    return wrong
