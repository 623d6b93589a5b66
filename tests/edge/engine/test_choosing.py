"""Penalties, biases and ends on the real model, and held to Transformers' processors where it has such."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import open_bundle
from edge.engine import Finished, Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.sampling import Sampler
from edge.errors import BadRequest, Unsupported

TURNS = [{"role": "user", "content": "Say hello."}]
LIST = [{"role": "user", "content": "Write the word tea, and nothing else, over and over again."}]


@pytest.fixture(scope="module")
def engine(bundle: Path) -> BatchedEngine:
    """The default model."""
    return BatchedEngine(bundle, Options(threads=2))


@pytest.fixture(scope="module")
def tea(bundle: Path) -> int:
    """A token that is a word."""
    (token,) = Tokenizer(bundle, open_bundle(bundle, verify_hashes=False).manifest).ids(" tea")
    return int(token)


def said(engine: Any, turns: list[dict[str, str]], **options: Any) -> tuple[str, Finished]:
    """An answer's text, and how it ended."""
    text: list[str] = []
    finished = answer(engine, Job(1, turns, options.pop("max_tokens", 40), **options), text.append)
    return "".join(text), finished


def test_a_token_with_all_the_weight_comes(engine, tea):
    """And ends the answer untold, where it is to."""
    text, finished = said(engine, TURNS, max_tokens=4, logit_bias={tea: 100.0})
    assert (text, finished.completion_tokens) == (" tea tea tea tea", 4)
    text, finished = said(engine, TURNS, logit_bias={tea: 100.0}, stop_token_ids=[tea])
    assert (text, finished.finish_reason, finished.completion_tokens) == ("", "stop", 1)


def test_an_answer_has_its_least_length(engine):
    """It ends by itself before, and does not where it may not."""
    plain = said(engine, TURNS, max_tokens=300)[1]
    assert plain.finish_reason == "stop"
    least = plain.completion_tokens + 10
    assert said(engine, TURNS, max_tokens=least + 10, min_tokens=least)[1].completion_tokens >= least


def test_what_was_said_often_is_said_less(engine):
    """The word that the answer has most often comes less often, the more so the larger the penalty is."""
    counts = []
    for penalty in (0.0, 0.5, 2.0):
        words = said(engine, LIST, frequency_penalty=penalty, loop_guard=False)[0].split()
        counts.append(Counter(words).most_common(1)[0][1])
    assert counts[0] >= counts[1] >= counts[2]
    assert counts[0] > counts[2]


def test_guesses_are_weighed_as_well(bundle, engine):
    """Tokens that are guessed ahead and checked in one run are those that come one by one."""
    slow = BatchedEngine(bundle, Options(threads=2, drafts=False))
    options: dict[str, Any] = {"presence_penalty": 0.3, "frequency_penalty": 0.1, "loop_guard": False}
    assert said(engine, LIST, **options)[0] == said(slow, LIST, **options)[0]


def test_what_a_model_has_not(engine):
    """A token beyond its last is refused by the field's name."""
    with pytest.raises(BadRequest) as raised:
        said(engine, TURNS, logit_bias={10**6: 1.0})
    assert raised.value.param == "logit_bias"


def test_what_genai_has_not(bundle, tea):
    """Penalties are ignored, and told; what would be another answer is refused."""
    genai = GenaiEngine(bundle, Options(threads=2))
    text, finished = said(genai, TURNS, presence_penalty=1.0)
    assert (text, finished.warnings) == (
        said(genai, TURNS)[0],
        ["presence_penalty was ignored: onnxruntime-genai's engine has none"],
    )
    for options in ({"logit_bias": {tea: 1.0}}, {"min_tokens": 1}, {"stop_token_ids": [tea]}):
        with pytest.raises(Unsupported, match=next(iter(options))):
            said(genai, TURNS, **options)


@pytest.mark.trace
def test_transformers_weighs_alike():
    """Biases, then the repetition penalty, then the least length: the logits that its processors leave."""
    torch = pytest.importorskip("torch")
    from transformers import LogitsProcessorList
    from transformers.generation import logits_process

    dice, vocabulary = np.random.default_rng(0), 50
    bias, prompt, stops = {3: 2.5, 7: -40.0}, [1, 3, 4], [9, 11]
    theirs = LogitsProcessorList(
        [
            logits_process.SequenceBiasLogitsProcessor({(token,): value for token, value in bias.items()}),
            logits_process.RepetitionPenaltyLogitsProcessor(1.7),
            logits_process.MinNewTokensLengthLogitsProcessor(len(prompt), 4, stops),
        ]
    )
    job = Job(1, [], 9, logit_bias=bias, repetition_penalty=1.7, min_tokens=4)
    ours, tokens = Sampler(job, prompt, vocabulary, stops), list(prompt)
    for _ in range(8):
        logits = (dice.normal(size=vocabulary) * 4).astype(np.float32)
        wanted = int(theirs(torch.tensor([tokens]), torch.tensor(logits)[None]).argmax())
        assert ours.choose(logits) == wanted
        tokens.append(wanted)
