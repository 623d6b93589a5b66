"""Answers that have fallen into a loop, and texts that merely rhyme."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.engine import Finished, Job, Options
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.text.loops import MORE_TOKENS, PATIENT_TOKENS, PERIOD_TOKENS_MAX, LoopGuard

POEM = Job(1, [{"role": "user", "content": "Write a short poem about snow leopards."}], 512)


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
    for wordless in ("- ", "0, ", "0x00, ", "<td></td>", "|   |   |\n", "1.1.1:\n", "─┼─"):
        assert ended_after(dashes, wordless) == 1 + PATIENT_TOKENS
    for words in ("日本語", "P.S. ", "X, ", "🌱", "Hello "):
        assert ended_after(dashes, words) == 3 + MORE_TOKENS
    assert ended_after(dashes, "true, ", is_guided=True) == 1 + PATIENT_TOKENS


@settings(deadline=None)
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


@pytest.mark.parametrize("kind", ["batched", "genai"])
def test_the_real_models_poem_ends(engine, bundle, kind):
    """Both engines, greedy: 512 tokens without the guard, a fraction with it, the same beginning."""
    used = engine if kind == "batched" else GenaiEngine(bundle, Options())
    endless, text = finished(used, POEM)
    assert endless.finish_reason == "length"
    ended, beginning = finished(used, replace(POEM, loop_guard=True))
    assert ended.finish_reason == "loop"
    assert ended.completion_tokens < endless.completion_tokens / 2
    assert text.startswith(beginning)
