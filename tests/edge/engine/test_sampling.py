"""Sampling against what its sources say, on distributions small enough to know."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers

from edge.engine import Job
from edge.engine.text.sampling import Sampler, check_ids, described, log_probabilities
from edge.errors import BadRequest

PROBABILITIES = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
LOGITS = np.log(PROBABILITIES).astype(np.float32)


def sampler(prompt: tuple[int, ...] = (), **options: object) -> Sampler:
    """Of a job with these options."""
    return Sampler(Job(1, [], 1, **{"temperature": 1.0, "seed": 7, **options}), prompt, len(LOGITS))


def shares(count: int = 20_000, **options: object) -> np.ndarray:
    """How often each token is drawn."""
    dice = sampler(**options)
    return np.bincount([dice.choose(LOGITS.copy()) for _ in range(count)], minlength=5) / count


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, PROBABILITIES),
        ({"temperature": 0.0}, [1, 0, 0, 0, 0]),
        ({"temperature": 0.5}, PROBABILITIES**2 / (PROBABILITIES**2).sum()),
        ({"top_k": 2}, [4 / 7, 3 / 7, 0, 0, 0]),
        ({"top_p": 0.69}, [4 / 7, 3 / 7, 0, 0, 0]),
        ({"top_p": 0.71}, [8 / 17, 6 / 17, 3 / 17, 0, 0]),
        ({"min_p": 0.3}, [8 / 17, 6 / 17, 3 / 17, 0, 0]),
        ({"top_k": 3, "top_p": 0.8}, [4 / 7, 3 / 7, 0, 0, 0]),
    ],
)
def test_tokens_come_as_often_as_they_should(options, wanted):
    """Within four standard deviations of 20,000 draws."""
    np.testing.assert_allclose(shares(**options), wanted, atol=4 * 0.5 / np.sqrt(20_000))


def test_the_seed_decides():
    """The same seed draws the same tokens, another one others, none is never the same."""
    rows = [[sampler(seed=seed).choose(LOGITS.copy()) for _ in range(1)] for seed in (1, 1)]
    assert rows[0] == rows[1]
    draws = [tuple(dice.choose(LOGITS.copy()) for _ in range(40)) for dice in map(seeded, (1, 1, 2, None, None))]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 4


def seeded(seed: int | None) -> Sampler:
    """A sampler with this seed."""
    return sampler(seed=seed)


def test_what_was_said_becomes_less_likely():
    """The penalty divides positive logits and multiplies negative ones, of the prompt's tokens and of the answer's."""
    dice = sampler((1,), temperature=0.0, repetition_penalty=2.0)
    assert dice.choose(np.array([1.0, 1.9, -1.0, -5, -5], np.float32)) == 0
    assert dice.choose(np.array([1.0, 1.9, 0.6, -5, -5], np.float32)) == 1
    logits = np.array([-1.0, -1.0, -1.5, -9, -9], np.float32)
    assert dice.choose(logits) == 2


def test_what_a_grammar_forbids_is_never_drawn():
    """Not even where it is nearly certain."""
    dice, allowed = sampler(), np.array([False, False, True, False, True])
    assert {dice.choose(LOGITS.copy(), allowed) for _ in range(200)} == {2, 4}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers(bad):
    """An error, not a token; and so where nothing is allowed."""
    logits = LOGITS.copy()
    logits[3] = bad
    with pytest.raises(ValueError, match="not numbers"):
        sampler().choose(logits)
    with pytest.raises(ValueError, match="not numbers"):
        sampler().choose(LOGITS.copy(), np.zeros(5, np.bool_))


@settings(max_examples=200)
@given(
    arrays(np.float32, 50, elements=floats(-20, 20, width=32)),
    floats(0.125, 2),
    floats(0.0625, 1),
    integers(0, 60),
    floats(0, 1),
)
def test_any_options_draw_some_token(logits, temperature, top_p, top_k, min_p):
    """Whatever they are: and one within the top-k, of at least min-p times the likeliest's weight."""
    options = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "min_p": min_p, "seed": 1}
    token = Sampler(Job(1, [], 1, **options), (), 50).choose(logits.copy())
    assert 0 <= token < 50
    assert not top_k or (logits > logits[token]).sum() < top_k
    assert (logits[token] - logits.max()) / temperature >= np.log(max(min_p, 1e-12)) - 1e-3


def test_logprobs_sum_to_one():
    """They are a distribution's, and named in the order of their size."""
    assert np.exp(log_probabilities(LOGITS)).sum() == pytest.approx(1)
    told = described(str, LOGITS, 2, 2)
    assert told["token"] == "2"
    assert told["logprob"] == pytest.approx(np.log(0.15), abs=1e-4)
    assert [each["token"] for each in told["top_logprobs"]] == ["0", "1"]


def test_what_the_answer_has_is_taken_off():
    """OpenAI's formula: logit - count * frequency - (count > 0) * presence; the prompt's tokens do not count."""
    dice = sampler((0, 0, 0), temperature=0.0, presence_penalty=0.5, frequency_penalty=0.25)
    logits, counts = np.array([1.0, 0.93, 0.41, -3, -3], np.float32), np.zeros(5)
    for _ in range(12):
        expected = int((logits - counts * 0.25 - (counts > 0) * 0.5).argmax())
        assert dice.choose(logits.copy()) == expected
        counts[expected] += 1
    assert (counts[:3] > 0).all()


def test_a_penalty_below_zero_has_it_said_again():
    """As the API has it."""
    dice = sampler(temperature=0.0, frequency_penalty=-2.0)
    assert [dice.choose(np.array(each, np.float32)) for each in ([1, 0, 0, 0, 0], [1, 2.5, 0, 0, 0])] == [0, 0]


def test_biases_are_added_before_all_else():
    """A token with 100 more comes, one with 100 less does not; what is between moves the odds by so much."""
    assert shares(1000, logit_bias={4: 100.0}).tolist() == [0, 0, 0, 0, 1]
    assert shares(1000, logit_bias={0: -100.0})[0] == 0
    wanted = PROBABILITIES * [1, 1, np.e, 1, 1]
    np.testing.assert_allclose(shares(logit_bias={2: 1.0}), wanted / wanted.sum(), atol=4 * 0.5 / np.sqrt(20_000))


def test_it_does_not_end_before_its_least_length():
    """Two tokens that would end it do not come before; then they do."""
    job = Job(1, [], 9, temperature=0.0, min_tokens=3)
    dice = Sampler(job, (), len(LOGITS), stops=(0, 1))
    assert [dice.choose(LOGITS.copy()) for _ in range(5)] == [2, 2, 2, 0, 0]


def test_a_grammar_ends_where_it_is_complete():
    """Where only the end is allowed it comes, whatever the least length is."""
    dice = Sampler(Job(1, [], 9, temperature=0.0, min_tokens=3), (), len(LOGITS), stops=(1,))
    assert dice.choose(LOGITS.copy(), np.array([False, True, False, False, False])) == 1


@pytest.mark.parametrize("options", [{"logit_bias": {5: 1.0}}, {"stop_token_ids": [1, 5]}])
def test_tokens_that_there_are_not(options):
    """Named, before anything is read."""
    with pytest.raises(BadRequest, match="5"):
        check_ids(Job(1, [], 1, **options), len(LOGITS))
    check_ids(Job(1, [], 1, logit_bias={4: 1.0}, stop_token_ids=[0]), len(LOGITS))


def test_a_job_crosses_the_wall_with_its_biases():
    """JSON has no numbers for names."""
    job = Job(1, [], 1, logit_bias={7: -1.5, 11: 2.0}, stop_token_ids=[3])
    assert Job.from_plain(json.loads(json.dumps(dataclasses.asdict(job)))) == job
