"""A small Gemma 3 through everything: rounded, its keys in int8, answered by both engines, alone and together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge.bundle import GRAPH, read_manifest
from edge.engine import Job, Options, TextEngine, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.graph.io_binding import IS_PREFILL, LOGITS_FROM, MORE_LOGITS
from export.runtime import open_graph
from tests.edge.engine.test_batched import one_way
from tests.export import small_gemma

W = small_gemma.WINDOW
TEXTS = ("lamp", "x" * (W - 1), "y" * W, "lighthouse-stairs-tower" * 3, "abcabcabcabc" * 6)
"""Shorter than the window, at its edge, and well beyond."""
PLAIN = Options(prefix_bytes=0, drafts=False)


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four bits by GPTQ, an int8 cache, int8 activations."""
    return small_gemma.export(tmp_path_factory.mktemp("gemma"))


def job(number: int, text: str) -> Job:
    """A question whose answer goes beyond the window, too."""
    return Job(number, [{"role": "user", "content": text}], 2 * W + 3, seed=0)


JOBS = [job(number, text) for number, text in enumerate(TEXTS)]


def said(engine: TextEngine, jobs: Iterable[Job]) -> dict[int, str]:
    """What is said to the jobs, all of them asked at once."""
    texts: dict[int, str] = {}
    for each in jobs:
        engine.submit(each)
        texts[each.id] = ""
    while not engine.is_idle:
        for event in engine.step():
            texts[event.job_id] += event.what if isinstance(event.what, str) else ""
    return texts


def alone(engine: TextEngine, jobs: Iterable[Job]) -> dict[int, str]:
    """The same one after the other."""
    texts = {}
    for each in jobs:
        pieces: list[str] = []
        answer(engine, each, pieces.append)
        texts[each.id] = "".join(pieces)
    return texts


def test_answers_are_the_same_however_they_are_made(gemma):
    """One at a time, all rows at once, with known beginnings and with guesses."""
    wanted = alone(BatchedEngine(gemma, PLAIN), JOBS)
    assert len(set(wanted.values())) == len(JOBS)
    assert said(BatchedEngine(gemma, PLAIN), JOBS) == wanted
    guessing = BatchedEngine(gemma, Options(prefix_bytes=0))
    assert alone(guessing, JOBS) == wanted
    assert guessing.counters()["guessed_tokens"] > 0
    knowing = BatchedEngine(gemma, Options(drafts=False))
    assert alone(knowing, JOBS) == wanted
    assert alone(knowing, JOBS) == wanted


def test_genai_answers_the_same(gemma, tmp_path):
    """Its runtime knows the type; it reads prompts as it decodes, and so does the graph that it is held to."""
    engine = BatchedEngine(one_way(gemma, tmp_path / "one-way"), PLAIN)
    if not engine._graph.reckons_one_otherwise():
        assert alone(engine, JOBS) == alone(GenaiEngine(gemma, PLAIN), JOBS)


def test_a_known_beginning_is_longer_than_the_window(gemma):
    """A text that begins like one before is answered as without the cache, and less of it is read."""
    head = "The keeper of the lighthouse climbs the stairs. " * 4
    first, second = (job(number, f"{head}{text}") for number, text in enumerate(("Why?", "How?")))
    knowing, plain = BatchedEngine(gemma, Options(drafts=False)), BatchedEngine(gemma, PLAIN)
    answer(knowing, first)
    assert answer(knowing, second).cached_tokens > 2 * W
    assert alone(knowing, [second]) == alone(plain, [second])


def logits(bundle: Path, tokens: list[int], is_prefill: bool) -> np.ndarray:
    """Of every position, over an empty cache; activations stay floats, since a rounding may go either way."""
    model = onnx.load(bundle / GRAPH, load_external_data=False)
    for level in (each for node in model.graph.node for each in node.attribute if each.name == "accuracy_level"):
        level.i = 0
    empty = np.zeros((1, 1, 0, small_gemma.CONFIG["head_dim"]), np.int8)
    feed: dict[str, np.ndarray] = {each.name: empty for each in model.graph.input if each.name.startswith("past")}
    feed |= {"input_ids": np.array([tokens]), "attention_mask": np.ones((1, len(tokens)), np.int64)}
    feed |= {LOGITS_FROM: np.array([0]), IS_PREFILL: np.array(is_prefill)}
    return open_graph(model, bundle)([MORE_LOGITS], feed)[0][0]


@pytest.mark.parametrize("length", [W - 1, W, W + 1, 4 * W])
def test_both_ways_of_attention_see_the_same_window(gemma, length):
    """In floats for a slice and in int8 for an answer."""
    tokens = [int(token) for token in np.random.default_rng(3).integers(3, 96, length)]
    one, other = (logits(gemma, tokens, is_prefill) for is_prefill in (True, False))
    assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


def test_the_bundle_says_what_it_is(gemma):
    """Its context is the model's, not the window's; its kind is held to Transformers."""
    manifest = read_manifest(gemma)
    assert (manifest.family, manifest.context_length, manifest.kv_cache) == ("gemma3", 512, "int8")
    assert manifest.held_to
