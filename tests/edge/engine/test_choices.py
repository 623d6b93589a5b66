"""Several answers to one prompt: each what it would be alone, by one reading of the prompt, on the real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.engine import Choice, Event, Finished, Job, Options, Part, answer
from edge.engine.batch.choices import alike
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.errors import EngineFailed, Fault, Unsupported

TURNS = [{"role": "user", "content": "Name an animal that lives in a wood, and say where it sleeps in a few words."}]


class GivesUp:
    """A grammar that can be followed no further."""

    def allowed(self) -> NDArray[np.bool_]:
        """Nothing."""
        raise EngineFailed("nothing can come next")

    def take(self, _token: int) -> bool:
        """Nothing came."""
        return False


@pytest.fixture(scope="module")
def engine(bundle: Path) -> BatchedEngine:
    """The default model, with four rows."""
    return BatchedEngine(bundle, Options(threads=2, rows=4))


def job(number: int = 1, **options: Any) -> Job:
    """A short answer by dice."""
    return Job(number, TURNS, options.pop("max_tokens", 12), **{"temperature": 1.0, "seed": 5, **options})


def events(engine: BatchedEngine, *jobs: Job, cancel_after: int = 10**9) -> list[Event]:
    """All that comes of some jobs; the first is cancelled after so many events."""
    for each in jobs:
        engine.submit(each)
    found: list[Event] = []
    while not engine.is_idle:
        found += engine.step()
        if len(found) >= cancel_after:
            engine.cancel(jobs[0].id)
            cancel_after = 10**9
    return found


def texts(found: list[Event], number: int = 1) -> dict[int, str]:
    """The answers to a job of several."""
    said: dict[int, str] = {}
    for each in found:
        if each.job_id == number and isinstance(each.what, Part):
            said[each.what.choice] = said.get(each.what.choice, "") + each.what.text
    return said


def end(found: list[Event], number: int = 1) -> Finished:
    """How a job ended, which is told once."""
    (finished,) = [each.what for each in found if each.job_id == number and isinstance(each.what, Finished)]
    return finished


def alone(engine: BatchedEngine, **options: Any) -> str:
    """The answer to a job that is alone."""
    said: list[str] = []
    answer(engine, job(**options), said.append)
    return "".join(said)


@pytest.mark.parametrize("count", [3, pytest.param(6, marks=pytest.mark.slow)])
def test_each_is_what_it_would_be_alone(engine, count):
    """By the seeds that follow on the job's; more than there are rows have their turn, and nothing else changes."""
    before = engine.counters()
    found = events(engine, job(n=count), job(9, seed=77, max_tokens=30))
    after = engine.counters()
    wanted = {number: alone(engine, seed=5 + number) for number in range(count)}
    assert texts(found) == wanted
    assert len(set(wanted.values())) > 1
    finished = end(found)
    assert finished.choices is not None
    assert [each.completion_tokens for each in finished.choices] == [12] * count
    assert (finished.completion_tokens, finished.finish_reason) == (12 * count, "length")
    read = after["prompt_tokens"] - before.get("prompt_tokens", 0)
    assert read == finished.prompt_tokens + end(found, 9).prompt_tokens


@pytest.mark.slow
def test_a_schema_and_logprobs_hold_for_each(engine):
    """Every answer has a grammar and tells of its own tokens."""
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    found = events(engine, job(n=2, guidance={**schema, "additionalProperties": False}, top_logprobs=1))
    assert set(texts(found).values()) <= {'{"a":"x"}', '{"a":"y"}'}
    finished = end(found)
    assert finished.choices is not None
    for each in finished.choices:
        assert each.finish_reason == "stop"
        assert each.logprobs is not None
        assert "".join(token["token"] for token in each.logprobs).startswith('{"a":"')


def test_what_is_said_without_the_model_is_said_in_each():
    """As where documents have nothing."""
    said = [Event(1, "I found nothing."), Event(1, Finished("stop", 0, 0, 0.0, 0.0, sources=[]))]
    found = alike(said, 2)
    assert texts(found) == {0: "I found nothing.", 1: "I found nothing."}
    assert end(found).choices == [Choice("stop", 0)] * 2
    assert end(found).sources == []


@pytest.mark.parametrize("after", [1, 6])
def test_a_cancel_ends_all_of_them(engine, after):
    """Before the prompt is read, and in the middle; nothing is left of it."""
    finished = end(events(engine, job(n=6, max_tokens=60), cancel_after=after))
    assert finished.finish_reason == "cancelled"
    assert finished.choices is not None
    assert {each.finish_reason for each in finished.choices} == {"cancelled"}
    assert len(finished.choices) == 6
    assert alone(engine, max_tokens=4)


@pytest.mark.slow
def test_what_genai_has_not(bundle):
    """One answer, whatever is asked."""
    genai = GenaiEngine(bundle, Options(threads=2))
    with pytest.raises(Unsupported, match="n needs"):
        answer(genai, job(n=2))


def test_a_fault_of_one_is_the_jobs(engine):
    """Where one cannot go on, all end, and it is told once; others are answered."""
    engine.submit(job(n=3, max_tokens=40))
    found: list[Event] = []
    while not texts(found).get(2):
        found += engine.step()
    row = next(each for each in engine._slots if each.choice == 1)
    row._guide = GivesUp()
    found += events(engine, job(9, seed=77))
    assert len([each for each in found if each.job_id == 1 and isinstance(each.what, Fault)]) == 1
    assert end(found, 9).completion_tokens == 12
