"""Bundles of every family by the batched engine: in blocks and int8 keys, together, from known beginnings, guessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.bundle import read_manifest
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from export.pipeline import export_bundle
from export.recipe import Limits, Recipe
from export.source import open_source
from tests.edge.engine.test_mixed_batch import ended, logprobs, prompt
from tests.export import beside, small_families, small_model

RECIPE = Recipe(
    licence="none",
    context_length=128,
    kv_cache="int8",
    calibration_tokens=512,
    evaluation_tokens=256,
    prompts=(),
    limits=Limits(kl_mean=1, top1_agreement=0),
)
EVERY_DAY = ("qwen2-window", "qwen3", "smollm3", "phi3small")
"""Between them biases, windows, normed heads, layers without positions and layers that see some blocks."""
TOLERANCE = 0.02
"""Nats, for sums in another order and keys in int8; a window that is off by one is more."""
LENGTHS = (5, 40, 47, 60, 90)
"""Of prompts: below and beyond a window, and one that an answer fills."""


@pytest.fixture(
    scope="module",
    params=[each if each in EVERY_DAY else pytest.param(each, marks=pytest.mark.slow) for each in small_families.KINDS],
)
def bundle(request, tmp_path_factory) -> Path:
    """By the default method, with keys in int8."""
    folder = tmp_path_factory.mktemp("family")
    source = open_source(small_families.write(folder / "source", request.param))
    return export_bundle(source, RECIPE, folder / "bundle", False, lambda *_: None).path


def jobs() -> list[tuple[Job, list[int]]]:
    """Greedy answers of several lengths to prompts of several."""
    pairs = zip((20, 24, 28, 16, 12), LENGTHS, strict=True)
    return [
        (Job(number, [], count, top_logprobs=0, ignore_eos=True), prompt(number, length))
        for number, (count, length) in enumerate(pairs)
    ]


def test_rows_of_any_length_are_what_they_are_alone(bundle):
    """Each beside four others, whichever way its prompt was cut."""
    engine = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))
    together = ended(engine, jobs())
    for job, tokens in jobs():
        np.testing.assert_allclose(
            logprobs(together[job.id]), logprobs(ended(engine, [(job, tokens)])[job.id]), atol=TOLERANCE
        )


def test_known_beginnings_and_guesses_change_no_token(bundle):
    """Asked cold and without guesses, then with both, twice; what was known is not read again."""
    plain = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))
    other = BatchedEngine(bundle, Options(prefix_bytes=1 << 24, drafts=True))
    for job, tokens in jobs():
        wanted = ended(plain, [(job, tokens)])[job.id]
        for _ in range(2):
            found = ended(other, [(job, tokens)])[job.id]
            np.testing.assert_allclose(logprobs(found), logprobs(wanted), atol=TOLERANCE)
    assert found.cached_tokens > 0


@pytest.mark.parametrize(("length", "count"), [(40, 60), (90, 30)])
def test_a_prompts_way_and_an_answers_are_one_model(bundle, length, count):
    """Beyond any window, read in slices or made one at a time, tokens are as likely as the operator itself has them."""
    engine = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))
    tokens = prompt(9, length)
    made = ended(engine, [(Job(1, [], count, top_logprobs=0, ignore_eos=True), tokens)])[1]
    letters = [each["token"].replace(" ", "Ġ").replace("\n", "Ċ") or "!" for each in made.logprobs]  # which ends
    answered = [small_model.LETTERS.index(letter) for letter in letters]
    logits = beside.bundle_logits(bundle, [*tokens, *answered])[len(tokens) - 1 : -1]
    logits -= logits.max(-1, keepdims=True)
    read = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = read[np.arange(len(answered)), answered]
    assert np.abs(wanted - logprobs(made)).mean() < TOLERANCE


def test_genai_runs_it_too(bundle):
    """Its runtime knows the family's name, and goes on with the same token below and beyond a window."""
    engines = GenaiEngine(bundle, Options()), BatchedEngine(bundle, Options(drafts=False))
    for length in (20, 48, 70):
        letters = "".join(small_model.LETTERS[token] for token in prompt(length, length))
        job = Job(length, [{"role": "user", "content": letters}], 1, ignore_eos=True)
        texts: list[list[str]] = [[], []]
        for engine, text in zip(engines, texts, strict=True):
            assert answer(engine, job, text.append).prompt_tokens == length
        assert "".join(texts[0]) == "".join(texts[1])


def test_little_is_lost(bundle):
    """A random model in 4 bits and 8: what a misread layer would lose is far more."""
    assert read_manifest(bundle).fidelity["kl_mean"] < 0.2
