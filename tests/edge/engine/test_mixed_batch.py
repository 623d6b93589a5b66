"""Rows with short and with long rotary factors in one batch, and rows whose own numbers are too much."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engine import Event, Finished, Job, Options
from edge.engine.batch.engine import BatchedEngine
from edge.errors import Fault
from tests.export import small_model
from tests.export.test_pipeline import EXACT, export

SWITCH = 64
LONGROPE = {
    "rope_scaling": {
        "type": "longrope",
        "short_factor": [1.0 + i / 8 for i in range(8)],
        "long_factor": [4.0 + i for i in range(8)],
    },
    "original_max_position_embeddings": SWITCH,
    "max_position_embeddings": 128,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> BatchedEngine:
    """The small Llama with long rope, in floats."""
    folder = tmp_path_factory.mktemp("longrope")
    source = small_model.write_checkpoint(folder / "source", small_model.llama_weights(), **LONGROPE)
    recipe = EXACT.model_copy(update={"method": "none", "context_length": 128})
    return BatchedEngine(export(source, folder / "bundle", recipe), Options(prefix_bytes=0, drafts=False))


def prompt(number: int, length: int) -> list[int]:
    """Seeded tokens."""
    return [int(token) for token in np.random.default_rng(number).integers(3, 96, length)]


def ended(engine: BatchedEngine, jobs: list[tuple[Job, list[int]]]) -> dict[int, Finished | Fault]:
    """How jobs ended that were submitted together."""
    for job, tokens in jobs:
        engine.submit(job, tokens)
    events: list[Event] = []
    while not engine.is_idle:
        events += engine.step()
    return {each.job_id: each.what for each in events if not isinstance(each.what, str)}


def logprobs(what: Finished | Fault) -> np.ndarray:
    """Of each token of an answer."""
    assert isinstance(what, Finished), what
    assert what.logprobs
    return np.array([each["logprob"] for each in what.logprobs])


@pytest.mark.parametrize("lengths", [*itertools.permutations((20, 58, 70)), (60, 61, 62, 63), (70, 20, 71, 60, 21)])
def test_crossing_the_switch_changes_no_neighbour(engine, lengths):
    """Whoever crosses it, ends, or has crossed before, in whatever order: each answer is what it is alone."""
    jobs = [
        (Job(number, [], 8 + 3 * number, top_logprobs=0, ignore_eos=True), prompt(number, length))
        for number, length in enumerate(lengths)
    ]
    together = ended(engine, jobs)
    for job, tokens in jobs:
        alone = ended(engine, [(job, tokens)])[job.id]
        np.testing.assert_allclose(logprobs(together[job.id]), logprobs(alone), atol=2e-3)


@pytest.mark.parametrize(
    "context", [64, 113, *(pytest.param(length, marks=pytest.mark.slow) for length in (63, 65, 100, 127, 128))]
)
def test_a_text_may_fill_a_context_of_any_length(tmp_path, context):
    """Round or not: the attention mask is never wider than the cache. The last token is made as the first was."""
    source = small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())
    recipe = EXACT.model_copy(update={"method": "none", "context_length": context})
    small = BatchedEngine(export(source, tmp_path / "bundle", recipe), Options(prefix_bytes=0, drafts=False))
    (found,) = ended(small, [(Job(1, [], 1000, ignore_eos=True), prompt(1, 5))]).values()
    assert isinstance(found, Finished), found
    assert (found.finish_reason, found.completion_tokens) == ("length", context - 5)


TINY = 5e-324
NUMBERS = st.fixed_dictionaries(
    {
        "temperature": st.floats(0, 2) | st.sampled_from([TINY, 1e-320, 1e-45, 1e-8, 2.0]),
        "top_p": st.floats(TINY, 1) | st.sampled_from([TINY, 1e-45, 1 - 1e-16, 1.0]),
        "top_k": st.integers(0, 100_000),
        "min_p": st.floats(0, 1) | st.sampled_from([TINY, 1.0]),
        "repetition_penalty": st.floats(0.5, 2),
        "seed": st.none() | st.integers(0, 2**31 - 1),
        "top_logprobs": st.none() | st.integers(0, 20),
        "max_tokens": st.integers(1, 1_000_000),
    }
)


@given(NUMBERS)
@settings(max_examples=150)
def test_no_number_that_a_request_may_have_ends_the_engine(engine, numbers):
    """Over the whole range of every field: an answer or a fault, and the neighbour's answer is its own."""
    neighbour = Job(2, [], 4, top_logprobs=0, ignore_eos=True)
    found = ended(engine, [(Job(1, [], **numbers), prompt(1, 100)), (neighbour, prompt(2, 9))])
    assert isinstance(found[1], Finished | Fault)
    np.testing.assert_allclose(logprobs(found[2]), logprobs(ended(engine, [(neighbour, prompt(2, 9))])[2]), atol=2e-3)


def test_what_one_row_raises_is_its_own(engine, caplog):
    """An error that nobody foresaw ends its row with 500 and its reason; the log has its trace, the others go on."""
    bad = Job(1, [], 4, temperature="warm")  # type: ignore[arg-type]  # what no schema lets through
    found = ended(engine, [(bad, prompt(1, 5)), (Job(2, [], 4, ignore_eos=True), prompt(2, 5))])
    assert isinstance(found[1], Fault)
    assert (found[1].code, "TypeError" in found[1].message) == (500, True)
    assert isinstance(found[2], Finished)
    assert "Traceback" in caplog.text
    assert engine.is_idle


def test_a_bundle_of_true_weights_has_the_same_guard(bundle: Path):
    """The request that ended the engine of everybody once."""
    used = BatchedEngine(bundle, Options(prefix_bytes=0))
    asked = Job(1, [{"role": "user", "content": "Hi"}], 4, temperature=1e-320)
    used.submit(asked)
    events = []
    while not used.is_idle:
        events += used.step()
    assert isinstance(events[-1].what, Finished)
