"""When a small bundle guesses: by reckoned runs, without a clock."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from edge.engine.draft.guesses import CATCH_UP_TOKENS
from edge.engine.draft.pays import GUESSED_MAX, Costs, Pays

Rightness = Callable[[int, int], float]
SLICE = 128
TOKEN, MOST, SMALL, READ = 0.2, 0.5, 0.03, 0.004
"""Seconds: of a large bundle's run for one token and for eight, of a small one's, and of a token that it reads."""


class Board:
    """Answers whose guessed tokens are right as `rightness` says of an answer and a place in it.

    sureness: how likely the small bundle has them; None where it knows how often it is right. small: seconds of its
    run. noise: of all runs.
    """

    def __init__(
        self, rightness: Rightness, sureness: float | None = None, small: float = SMALL, noise: float = 0.1
    ) -> None:
        self._rightness, self._sureness, self._small, self._noise = rightness, sureness, small, noise
        self._chance = random.Random(0)
        self.pays = Pays(Costs(TOKEN, MOST, small, READ))
        self.seconds = 0.0
        self.tokens = self.guessed = 0

    def _took(self, seconds: float) -> float:
        took = seconds * self._chance.lognormvariate(0, self._noise)
        self.seconds += took
        return took

    def answer(self, number: int, length: int, prompt: int) -> None:
        """One, as the engine makes it."""
        self.pays.begin()
        made, unread = 0, prompt
        reads: bool | None = None
        while made < length:
            room = length - made - 1
            count = self.pays.length(unread, room)
            if count and unread <= CATCH_UP_TOKENS:
                tokens = self._guess(number, made, count)
                made, unread = made + tokens, min(tokens, 2)
                continue
            if count and reads is None:
                reads = self.pays.reading_pays(unread, room)
            if count and reads:
                read = min(SLICE, unread - 1)
                self.pays.read(read, self._took(read * READ))
                unread -= read
            self.pays.plain(self._took(TOKEN))
            made, unread = made + 1, unread + 1
        self.tokens += made

    def _guess(self, number: int, made: int, count: int) -> int:
        """Tokens that come of one guess."""
        least, likely, guess, runs, expected = self.pays.least, 1.0, [], 0, 0.0
        while runs < count and likely >= least.to_go_on:
            chance = self._rightness(number, made + runs)
            chance = min(1.0, max(0.0, self._chance.gauss(chance, 0.2 * (0 < chance < 1))))
            likely *= chance if self._sureness is None else self._sureness
            runs += 1
            if likely < least.taken:
                break
            guess.append(chance)
            expected += likely
        small, self.guessed = self._took(runs * self._small), self.guessed + len(guess)
        run = self._took(TOKEN + (MOST - TOKEN) * len(guess) / GUESSED_MAX)
        right = next((place for place, chance in enumerate(guess) if self._chance.random() >= chance), len(guess))
        if guess:
            self.pays.verified(len(guess), right, run)
        else:
            self.pays.plain(run)
        self.pays.guessed(runs, small, expected, len(guess), right)
        return right + 1

    @property
    def over_plain(self) -> float:
        """Tokens a second over those without guesses."""
        return self.tokens * TOKEN / self.seconds


def board(rightness: Rightness, answers: int = 24, prompt: int = 60, **more: float | None) -> Board:
    """After some answers of 128 tokens."""
    found = Board(rightness, **more)
    for number in range(answers):
        found.answer(number, 128, prompt)
    return found


@pytest.mark.parametrize("prompt", [20, 200, 1500])
@pytest.mark.parametrize("sureness", [None, 0.2, 0.6, 1.0])
@pytest.mark.parametrize("rightness", [0.0, 0.1, 0.3, 0.5])
def test_text_that_it_does_not_know(rightness, sureness, prompt):
    """It is tried now and then, and costs next to nothing, however sure the small one is of itself."""
    found = board(lambda *_: rightness, prompt=prompt, sureness=sureness)
    assert found.over_plain / board(lambda *_: 0.0, small=1.0).over_plain >= 0.98


def test_text_that_it_knows():
    """Guessed throughout."""
    assert board(lambda *_: 0.9).over_plain > 1.4
    assert board(lambda *_: 0.75).over_plain > 1.1


def test_a_small_one_that_is_too_slow():
    """Is not even tried."""
    assert board(lambda *_: 1.0, small=TOKEN).guessed == 0


@pytest.mark.parametrize("share", [2, 4, 8])
def test_answers_of_both_kinds_in_turns(share):
    """Each answer is found out about anew; all in all it is no slower."""
    known = board(lambda number, _: 0.95 * (number % share == 0))
    assert known.over_plain >= 0.98
    assert known.guessed > 0


def test_a_text_that_changes_within():
    """Half known, half not: what it loses behind the change is little."""
    assert board(lambda _, made: 0.9 if made < 64 else 0.1).over_plain > 1.1


def test_what_was_bad_is_tried_again():
    """After a hundred bad answers a good one is found out about, and those after it are guessed."""
    found = board(lambda number, _: 0.0 if number < 100 else 0.9, answers=100)
    before = found.guessed
    for number in range(100, 108):
        found.answer(number, 128, 60)
    assert found.guessed - before > 4 * 64


def test_short_answers_to_long_prompts():
    """Reading them would cost more than an answer may bring."""
    found = Board(lambda *_: 0.9)
    for number in range(100):
        found.answer(number, 8, 1500)
    assert found.over_plain >= 0.97


def test_a_moments_load_is_no_rule():
    """One run that took fifty times as long changes nothing for good."""
    pays = Pays(Costs(TOKEN, MOST, SMALL, READ))
    for _ in range(20):
        pays.verified(4, 4, 0.35)
        pays.guessed(4, 4 * SMALL, 3.5, 4, 4)
        pays.plain(TOKEN)
    before = pays.length(1, 50)
    pays.plain(50 * TOKEN)
    for _ in range(12):
        pays.plain(TOKEN)
    assert pays.length(1, 50) == before > 0


def test_a_token_without_a_guess_now_and_then():
    """Else nobody would know any more what that takes."""
    pays = Pays(Costs(TOKEN, MOST, SMALL, READ))
    counts = []
    for _ in range(40):
        counts.append(count := pays.length(1, 100))
        if not count:
            pays.plain(TOKEN)
            continue
        pays.verified(count, count, 0.4)
        pays.guessed(count, count * SMALL, count, count, count)
    assert 0 < counts.count(0) < 10
    assert counts[-1] or counts[-2]


def test_no_guess_is_longer_than_there_is_room():
    """An answer that is about to be full gets a short one, or none; it is no reason to stop."""
    pays = Pays(Costs(TOKEN, MOST, SMALL, READ))
    assert (usual := pays.length(1, 100)) > 1
    assert pays.length(1, 1) <= 1
    assert pays.length(1, 0) == 0
    assert pays.length(1, 100) == usual
