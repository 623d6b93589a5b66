"""Beam search on the real, quantised model, whose cache is int8: rows, room, cancels, and who else is answered.

tests/export/test_beams.py holds what it finds to Transformers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.engine import Event, Finished, Job, Options, Part, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.errors import BadRequest, TooLarge, Unsupported

TURNS = [{"role": "user", "content": "Name an animal that lives in a wood, and say where it sleeps in a few words."}]


@pytest.fixture(scope="module")
def engine(bundle: Path) -> BatchedEngine:
    """The default model, with four rows."""
    return BatchedEngine(bundle, Options(threads=2, rows=4))


def search(number: int = 1, **options: Any) -> Job:
    """A short search."""
    return Job(number, TURNS, options.pop("max_tokens", 10), num_beams=options.pop("num_beams", 3), **options)


def plain(number: int, **options: Any) -> Job:
    """An answer by dice that are thrown again."""
    return Job(number, TURNS, options.pop("max_tokens", 10), temperature=1.0, seed=number, **options)


def run(engine: BatchedEngine, *jobs: Job) -> list[Event]:
    """All that comes of some jobs."""
    for each in jobs:
        engine.submit(each)
    found: list[Event] = []
    while not engine.is_idle:
        found += engine.step()
    return found


def text(found: list[Event], number: int, choice: int | None = None) -> str:
    """What one of them said."""
    said = [each.what for each in found if each.job_id == number]
    if choice is None:
        return "".join(each for each in said if isinstance(each, str))
    return "".join(each.text for each in said if isinstance(each, Part) and each.choice == choice)


def end(found: list[Event], number: int) -> Finished:
    """How it ended."""
    (finished,) = [each.what for each in found if each.job_id == number and isinstance(each.what, Finished)]
    return finished


@pytest.mark.slow
def test_what_is_found_does_not_hang_on_who_is_beside(engine):
    """Nor does what they are told: rows come, go and move while the search copies its own."""
    alone = run(engine, search())
    others = {number: text(run(engine, plain(number, max_tokens=4 + number)), number) for number in (2, 3)}
    found = run(engine, plain(2, max_tokens=6), search(), plain(3, max_tokens=7))
    assert text(found, 1) == text(alone, 1) != ""
    assert {number: text(found, number) for number in (2, 3)} == others
    finished = end(found, 1)
    assert (finished.prompt_tokens, finished.choices) == (end(alone, 1).prompt_tokens, None)
    assert 0 < finished.completion_tokens <= 10


def test_the_best_come_back(engine):
    """Each another text, the first the one that comes alone; the prompt is read once, and known the next time."""
    before = engine.counters().get("prompt_tokens", 0)
    found = run(engine, search(n=3, length_penalty=0.0, early_stopping=True))
    assert engine.counters()["prompt_tokens"] - before == end(found, 1).prompt_tokens
    texts = [text(found, 1, choice) for choice in range(3)]
    assert len(set(texts)) == 3
    again = run(engine, search(length_penalty=0.0, early_stopping=True))
    assert text(again, 1) == texts[0]
    assert end(again, 1).cached_tokens > 0


@pytest.mark.slow
def test_nothing_is_said_before_the_end(engine):
    """But that it goes on."""
    found = [each.what for each in run(engine, search())]
    assert [each for each in found[:-2] if each != ""] == []
    assert isinstance(found[-1], Finished)


@pytest.mark.slow
def test_a_string_ends_a_text(engine):
    """And is not in it."""
    whole = text(run(engine, search()), 1)
    letter = next(each for each in whole[1:] if each.isalpha())
    found = run(engine, search(stop=[letter]))
    assert letter not in text(found, 1)
    assert end(found, 1).finish_reason == "stop"


def test_a_cancel_ends_it(engine):
    """In the middle; all its rows are free then."""
    engine.submit(search(max_tokens=60))
    found: list[Event] = []
    while not engine.is_idle:
        found += engine.step()
        if len(found) == 8:
            engine.cancel(1)
    assert (end(found, 1).finish_reason, text(found, 1)) == ("cancelled", "")
    assert text(run(engine, search()), 1)


@pytest.mark.slow
def test_it_waits_for_its_rows_and_is_not_overtaken(engine):
    """Who came before is answered first, and who came after begins no sooner."""
    found = run(engine, *(plain(number, max_tokens=20) for number in (2, 3)), search(num_beams=4), plain(5))
    ends = [each.job_id for each in found if isinstance(each.what, Finished)]
    assert set(ends[:2]) == {2, 3}
    assert ends[2:] == [1, 5]


@pytest.mark.slow
def test_what_does_not_fit_is_told(bundle, engine):
    """More beams than rows, and a prompt that leaves no room for so many in the cache."""
    with pytest.raises(BadRequest, match="num_beams is 5, but this board has 4 rows") as raised:
        answer(engine, search(num_beams=5))
    assert raised.value.param == "num_beams"
    tokens = end(run(engine, search()), 1).prompt_tokens
    per_token = engine._manifest.kv_bytes_per_token
    small = BatchedEngine(bundle, Options(threads=2, rows=4, kv_bytes=per_token * (tokens + 4) * 2))
    assert end(run(small, search(num_beams=2)), 1).completion_tokens <= 4
    with pytest.raises(TooLarge, match="for each of 3 beams"):
        answer(small, search(num_beams=3))
    with pytest.raises(Unsupported, match="num_beams needs"):
        answer(GenaiEngine(bundle, Options(threads=2)), search())
