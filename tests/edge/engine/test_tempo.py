"""How much of a prompt is read while answers wait, and what is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from edge.engine.batch.drafting import GRAM, GUESS_TOKENS, PAUSE_TOKENS, Draft
from edge.engine.batch.tempo import SHARE, SLICE_TOKENS_MIN, Tempo


def test_a_slice_is_whole_where_nobody_waits_or_nothing_is_known():
    """The setting holds until both rates were seen."""
    tempo = Tempo(128)
    assert tempo.slice_tokens(is_contended=False) == tempo.slice_tokens(is_contended=True) == 128


def test_a_slice_takes_as_long_as_a_few_tokens_of_those_who_wait():
    """Twice as slow a prompt, half the slice; never more than the setting, nor less than the kernels like."""
    sizes = []
    for prompt_seconds in (0.001, 0.0005, 0.1):
        clock = iter((0.0, prompt_seconds, 1.0, 1.01))
        tempo = Tempo(128, lambda clock=clock: next(clock))
        with tempo.reading(1):
            pass
        with tempo.writing():
            pass
        sizes.append(tempo.slice_tokens(is_contended=True))
    assert sizes[0] == pytest.approx(SHARE * 0.01 / 0.001, abs=1)
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=2)
    assert sizes[2] == SLICE_TOKENS_MIN


def test_a_guess_goes_on_as_the_text_did():
    """From the latest place where the last tokens stood before, as far as there is room."""
    text = [1, 2, 3, 4, 5, 9, 1, 2, 3]
    assert Draft(text).guess(text, 10) == [4, 5, 9, 1, 2, 3]
    assert Draft(text).guess(text, 2) == [4, 5]
    assert Draft(text).guess(text, 0) == []
    assert Draft([1, 2, 3, 4]).guess([1, 2, 3, 4], 5) == []


@settings(max_examples=200)
@given(lists(integers(0, 3), max_size=60), integers(0, 12))
def test_a_guess_was_said_before(tokens, room):
    """Whatever the text: its last tokens stand earlier, with the guess behind them."""
    guess = Draft(tokens[: len(tokens) // 2]).guess(tokens, room)
    assert len(guess) <= min(room, GUESS_TOKENS)
    if guess:
        wanted = [*tokens[-GRAM:], *guess]
        whole = [tokens[start : start + len(wanted)] for start in range(len(tokens))]
        assert wanted in whole


def test_who_guesses_badly_pauses():
    """After a few wrong guesses none is made for a while."""
    text = [1, 2, 3, 4, 1, 2, 3]
    draft = Draft(text)
    for _ in range(6):
        draft.learn(4, 0, len(text))
    assert draft.guess(text, 4) == []
    later = text * ((PAUSE_TOKENS + 7) // 7 + 1)
    assert draft.guess(later, 4)
