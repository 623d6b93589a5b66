"""Whether guesses by a small bundle pay, by what runs take and how many guesses are right.

All times are in runs of the large bundle for one token. A guess of some length costs as many runs of the small one and
one of the large one over all of it; what it brings hangs on how likely each token is right. How likely the small one
has them tells where a guess ends, and what guesses have brought in their time lately tells whether there are any. What
trying costs comes out of an account, which grows by a little with every token: so that an answer whose text the small
one does not know is next to never slower.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.engine.batch.drafting import GUESS_TOKENS

MEMORY = 0.8
"""Of what runs take."""
GAIN_MEMORY = 0.9
"""Of what guesses have brought, a guess each."""
OUTLIER = 3.0
"""A run counts as so many times what is expected at the most: a busy moment is nobody's rule."""
GUESSED_MAX = GUESS_TOKENS
"""Tokens of a guess; those of the other kind have as many."""
PAYS_FROM = 1.03
"""Tokens in the time, over those without guesses, from which on some are made."""
HOPE, HOPED_GUESSES = 0.9, 3
"""How likely a guessed token is right where nothing is known yet, and how many guesses that counts as."""
TOO_SURE = 2.0
"""So many times as likely as it is right the small one may have its tokens; thresholds follow so far."""
TRY_RUNS = 6.0
"""What finding out costs, about, beside reading the text."""
EARNED = 0.008
"""Runs that the account gets with each token."""
ACCOUNT_RUNS = 16.0
"""That it holds at the most, and at the start."""
REST_TOKENS, REST_TOKENS_MAX = 64, 1024
"""Between two tries; twice as many each time, until one succeeds."""
PROVEN_GUESSES = 8
"""Behind which a try has succeeded, if it still pays."""
PLAIN_EVERY = 48
"""Tokens behind which one is made without a guess, to know what that takes."""
ANSWER_TOKENS = 128
"""What is reckoned with of an answer that may become longer."""


@dataclass
class Costs:
    """What was measured when the two were opened, in seconds.

    token: a run of the large bundle for one token; most: one for GUESSED_MAX + 1. small_token: a run of the small
    one; small_read: a token of a slice that it reads.
    """

    token: float
    most: float
    small_token: float
    small_read: float


@dataclass(frozen=True)
class Least:
    """How likely a guess has to be right to its end, 0 to 1, as the small one has it.

    taken: for its last token to be verified; to_go_on: for one more to be guessed.
    """

    taken: float
    to_go_on: float


class Pays:
    """The rule of one engine. costs: to begin with."""

    def __init__(self, costs: Costs) -> None:
        self._token = costs.token
        self._several = {1: 1.0, GUESSED_MAX + 1: costs.most / costs.token}
        self._small, self._read = costs.small_token / costs.token, costs.small_read / costs.token
        self._is_on = False
        self._brought = self._cost = 1.0
        self._right = self._expected = 1.0
        self._guesses = 0
        self._account = ACCOUNT_RUNS
        self._tokens = self._since_plain = self._resting_until = 0
        self._rest = REST_TOKENS

    # --- what it says ---

    @property
    def gain(self) -> float:
        """Tokens in the time, over those without, of the small one's guesses lately."""
        return self._brought / self._cost

    @property
    def least(self) -> Least:
        """What is likely enough that it brings more than the same time does otherwise."""
        slope = (self._verified(GUESSED_MAX) - 1) / GUESSED_MAX
        worth = max(1.0, self.gain) * self._expected / self._right
        return Least(min(1.0, worth * slope), min(1.0, worth * (slope + self._small)))

    def over_plain(self, guessed: int, tokens: float, small_runs: float = 0.0) -> float:
        """Tokens in the time, over those without, of a guess of so many that brings so many with the one behind it."""
        return tokens / (self._verified(guessed) + small_runs * self._small)

    def length(self, unread: int, room: int) -> int:
        """How many tokens the small one may guess now; 0 for none. unread: of the text. room: for the answer."""
        if self._since_plain >= PLAIN_EVERY or room < 1:
            return 0
        if not self._is_on:
            if self._tokens < self._resting_until or self._account < TRY_RUNS + unread * self._read:
                return 0
            self._is_on, self._guesses = True, 0
            self._brought, self._cost = HOPED_GUESSES * self._hoped(), HOPED_GUESSES
            self._right = self._expected = HOPED_GUESSES
        if self.gain < PAYS_FROM:
            self._is_on = False
            self._resting_until, self._rest = self._tokens + self._rest, min(2 * self._rest, REST_TOKENS_MAX)
            return 0
        return min(room, GUESSED_MAX)

    def reading_pays(self, unread: int, room: int) -> bool:
        """Whether to read so much of a text for the sake of an answer that has room for so many tokens."""
        runs, spared = unread * self._read, 1 - 1 / max(1.0, self.gain)
        has_runs = self._account >= (0 if self._guesses >= PROVEN_GUESSES else runs)
        return has_runs and runs <= min(room, ANSWER_TOKENS) * spared

    def _hoped(self) -> float:
        """The gain where the small one knows the text, of guesses as long as suits that."""
        expected = {count: sum(HOPE**number for number in range(count + 1)) for count in range(1, GUESSED_MAX + 1)}
        return max(self.over_plain(count, tokens, count) for count, tokens in expected.items())

    def _verified(self, guessed: int) -> float:
        """A run of the large one over a guess and the token before it; between two that were measured by a line."""
        count = guessed + 1
        low = max(each for each in self._several if each <= count)
        high = min(each for each in self._several if each >= count)
        if low == high:
            return self._several[low]
        part = (count - low) / (high - low)
        return self._several[low] * (1 - part) + self._several[high] * part

    # --- what it is told ---

    def begin(self) -> None:
        """An answer begins: what the last one was like says little of it."""
        self._resting_until, self._rest = 0, REST_TOKENS
        share = min(1.0, HOPED_GUESSES / self._cost)
        self._brought, self._cost = share * self._brought, share * self._cost

    def plain(self, seconds: float) -> None:
        """A token was made without a guess."""
        self._token = _mixed(self._token, seconds)
        self._since_plain = 0
        self._made(1)

    def read(self, tokens: int, seconds: float) -> None:
        """The small one has read so many tokens of a slice."""
        self._read = _mixed(self._read, seconds / self._token / tokens)
        self._pay(seconds / self._token)

    def verified(self, guessed: int, right: int, seconds: float) -> None:
        """A guess, of whomever, was verified by a run that took so long."""
        if seconds < self._token:  # one token cannot take longer: what is known of it is old
            self._token = _mixed(self._token, seconds)
        self._several[guessed + 1] = _mixed(self._verified(guessed), max(1.0, seconds / self._token))
        self._since_plain += right + 1
        self._made(right + 1)

    def guessed(self, small_runs: int, small_seconds: float, expected: float, guessed: int, right: int) -> None:
        """The small one has made so many runs for a guess of so many tokens, so many of which were right.

        expected: how many it thought would be. None are where it was not sure enough of the first.
        """
        self._small = _mixed(self._small, small_seconds / self._token / small_runs)
        cost = self._verified(guessed) + min(small_seconds / self._token, OUTLIER * small_runs * self._small)
        self._brought = GAIN_MEMORY * self._brought + right + 1
        self._cost = GAIN_MEMORY * self._cost + cost
        self._right, self._expected = GAIN_MEMORY * self._right + right, GAIN_MEMORY * self._expected + expected
        self._right = max(self._right, self._expected / TOO_SURE)
        self._guesses += 1
        if self._guesses >= PROVEN_GUESSES:
            self._rest = REST_TOKENS
        self._pay(cost - right - 1)

    def _made(self, tokens: int) -> None:
        self._tokens += tokens
        self._account = min(ACCOUNT_RUNS, self._account + EARNED * tokens)

    def _pay(self, runs: float) -> None:
        """Less than nothing is paid for what was gained."""
        self._account = min(ACCOUNT_RUNS, self._account - runs)


def _mixed(before: float, latest: float) -> float:
    return MEMORY * before + (1 - MEMORY) * min(latest, OUTLIER * before)
