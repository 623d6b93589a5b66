"""Answers that have fallen into a loop, and texts that merely rhyme."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine import Finished, Job, Options
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.text.loops import BARE_TIMES, MORE_TOKENS, PATIENT_TOKENS, PERIOD_TOKENS_MAX, LoopGuard

POEMS = [f"Write a short poem about {topic}." for topic in ("snow leopards", "a train station", "glass", "football")]


def ended_after(tokens: list[int], text: str = "word ", is_guided: bool = False) -> int | None:
    """How many tokens it takes until the guard ends an answer; None where it lets it be. text: of any token."""
    guard = LoopGuard(lambda ids: text * len(ids), is_guided)
    return next((count for count, token in enumerate(tokens, 1) if guard.take(token)), None)


@pytest.mark.parametrize("period", [1, 2, 7, 21, 55, 56, 57, 100, PERIOD_TOKENS_MAX])
def test_a_loop_ends_soon_after_it_was_said_three_times(period):
    """Whatever came before, exactly as documented, and within 64 tokens of the third time."""
    before, part = list(range(1000, 1010)), list(range(period))
    third = len(before) + 3 * period
    assert ended_after(before + part * (3 + 64 // period + 1)) == third + MORE_TOKENS <= third + 64


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_is_said_three_times_is_no_loop(times):
    """A refrain, a paragraph that comes again: with something else behind it, it is let be."""
    chorus = list(range(60))
    assert ended_after([*range(100, 150), *chorus * times, *range(200, 300)]) is None


def test_a_longer_period_than_is_looked_at_is_let_be():
    """The limit is the documented one."""
    assert ended_after(list(range(PERIOD_TOKENS_MAX + 1)) * 6) is None


def test_what_has_no_word_in_it_needs_more():
    """Rules of dashes, rows of zeros, empty tables; a schema's array may have equal items, too."""
    dashes = [5] * 600
    for wordless in ("- ", "0, ", "0x00, ", "<td></td>", "1.1.1:\n", "─┼─", "0\n"):
        assert ended_after(dashes, wordless) == 1 + PATIENT_TOKENS
    for words in ("日本語", "P.S. ", "X, ", "🌱", "Hello "):
        assert ended_after(dashes, words) == 3 + MORE_TOKENS
    assert ended_after(dashes, "true, ", is_guided=True) == 1 + PATIENT_TOKENS


def test_an_empty_table_has_sixteen_rows_at_most():
    """A form to be filled in is let be, however wide; a column of empty cells that does not end is not."""
    for width in (5, 10, 22):
        row = list(range(width))
        assert ended_after(row * 10 + [99], "|  \n") is None
        expected = min(BARE_TIMES * width, width + PATIENT_TOKENS)
        assert ended_after(row * 40, "|  \n") == max(expected, 3 * width + MORE_TOKENS)


@given(st.lists(st.integers(0, 3), max_size=400), st.integers(1, 40))
def test_the_rule_is_the_documented_one(tokens, period):
    """Against its own words, said once more without arrays: for every token and every period."""
    answer = [*tokens, *(list(range(10, 10 + period)) * 6)]
    guard = LoopGuard(lambda ids: "word" * len(ids))
    for count, token in enumerate(answer, 1):
        said = answer[:count]
        assert guard.take(token) == any(repeats(said, size) for size in range(1, min(len(said), PERIOD_TOKENS_MAX) + 1))


def repeats(said: list[int], period: int) -> bool:
    """Three times running, and 56 tokens more."""
    needed = 2 * period + 56
    return len(said) >= needed + period and said[-needed:] == said[-needed - period : -period]


def test_numbers_that_count_on_are_no_loop():
    """A numbered list of equal items differs in its numbers, a table in its cells."""
    chance = random.Random(0)
    rows = [[1, 2, 3, 4, 100 + number, 5, 6, 7] for number in range(100)]
    cells = [[9, chance.randrange(100, 200), 9, chance.randrange(100, 200)] for _ in range(100)]
    for lines in (rows, cells):
        assert ended_after([token for line in lines for token in line]) is None


@pytest.fixture(scope="module")
def engine(bundle) -> BatchedEngine:
    """The real model, batched."""
    return BatchedEngine(bundle, Options(prefix_bytes=0))


def finished(engine, job: Job) -> tuple[Finished, str]:
    """How a job ended, and its text."""
    from edge.engine import answer

    text: list[str] = []
    return answer(engine, job, text.append), "".join(text)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["batched", "genai"])
def test_a_poem_of_the_real_model_ends(engine, bundle, kind):
    """Both engines, greedy: a poem that takes 512 tokens without the guard has the same beginning and is shorter.

    Which of them loops hangs on how a processor rounds; one of four is enough.
    """
    used = engine if kind == "batched" else GenaiEngine(bundle, Options())
    for number, prompt in enumerate(POEMS):
        job = Job(number, [{"role": "user", "content": prompt}], 512)
        ended, beginning = finished(used, replace(job, loop_guard=True))
        if ended.finish_reason == "loop":
            break
    else:
        pytest.fail("no poem looped")
    endless, text = finished(used, job)
    assert ended.completion_tokens < endless.completion_tokens
    assert text.startswith(beginning)


def test_an_answer_held_to_a_schema_may_repeat_itself(engine):
    """An array of forty equal states is what was asked for; free text that says one as often is a loop."""
    states = {"type": "array", "items": {"const": "off"}, "minItems": 40, "maxItems": 40}
    job = Job(1, [{"role": "user", "content": "The states of all lamps?"}], 512, guidance=states, loop_guard=True)
    ended, text = finished(engine, job)
    assert ended.finish_reason == "stop"
    assert json.loads(text) == ["off"] * 40
