"""Whether guesses by a small bundle pay, by what runs take and how many guesses are right.

All times are in runs of the large bundle for one token. A guess of some length costs as many runs of the small one and
one of the large one over all of it; what it brings hangs on how likely each token is right. It is made where, and as
long as, that gives more tokens in the time. What trying it costs comes out of an account, which grows by a little with
every token: so that an answer whose text the small one does not know is next to never slower.
"""

from __future__ import annotations

from dataclasses import dataclass

MEMORY = 0.8
"""Of what runs take."""
RIGHT_MEMORY = 0.85
"""Of whether guessed tokens were right, a token each."""
OUTLIER = 3.0
"""A run counts as so many times what is expected at the most: a busy moment is nobody's rule."""
GUESSED_MAX = 7
"""Tokens of a guess: eight at once are what the kernels like."""
PAYS_FROM = 1.04
"""Tokens in the time, over those without guesses, from which on one is made."""
HOPE = 0.9
"""How likely a guessed token is right where nothing is known yet: as where the small one knows the text."""
TRY_RUNS = 6.0
"""What finding out costs, about, beside reading the text."""
EARNED = 0.008
"""Runs that the account gets with each token."""
ACCOUNT_RUNS = 16.0
"""That it holds at the most, and at the start."""
REST_TOKENS, REST_TOKENS_MAX = 64, 1024
"""Between two tries; twice as many each time, until one succeeds."""
PROVEN_TOKENS = 24
"""Guessed tokens behind which a try has succeeded, if it still pays."""
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


class Pays:
    """The rule of one engine. costs: to begin with."""

    def __init__(self, costs: Costs) -> None:
        self._token = costs.token
        self._several = {1: 1.0, GUESSED_MAX + 1: costs.most / costs.token}
        self._small, self._read = costs.small_token / costs.token, costs.small_read / costs.token
        self._right = HOPE
        self._is_on = False
        self._tried = 0
        self._account = ACCOUNT_RUNS
        self._tokens = self._since_plain = self._resting_until = 0
        self._rest = REST_TOKENS

    # --- what it says ---

    def over_plain(self, guessed: int, tokens: float, small_runs: float = 0.0) -> float:
        """Tokens in the time, over those without, of a guess of so many that brings so many with the one behind it."""
        return tokens / (self._verified(guessed) + small_runs * self._small)

    def length(self, unread: int, room: int) -> int:
        """How many tokens the small one is to guess now; 0 for none. unread: of the text. room: for the answer."""
        if self._since_plain >= PLAIN_EVERY or room < 1:
            return 0
        if not self._is_on:
            if self._tokens < self._resting_until or self._account < TRY_RUNS + unread * self._read:
                return 0
            self._is_on, self._right, self._tried = True, HOPE, 0
        if self.gain(self._best(GUESSED_MAX)) < PAYS_FROM:
            self._stop()
            return 0
        count = self._best(min(room, GUESSED_MAX))
        return count if self.gain(count) >= PAYS_FROM else 0

    def reading_pays(self, unread: int, room: int) -> bool:
        """Whether to read so much of a text for the sake of an answer that has room for so many tokens."""
        runs, spared = unread * self._read, 1 - 1 / max(1.0, self.gain(self._best(GUESSED_MAX)))
        has_runs = self._account >= (0 if self._tried >= PROVEN_TOKENS else runs)
        return has_runs and runs <= min(room, ANSWER_TOKENS) * spared

    def gain(self, guessed: int) -> float:
        """Tokens in the time, over those without, of guesses of so many by the small one."""
        return self.over_plain(guessed, self._expected(guessed), guessed)

    def _best(self, most: int) -> int:
        """The length of a guess, so many tokens at the most, that brings most in its time."""
        return max(range(1, most + 1), key=self.gain)

    def _expected(self, guessed: int) -> float:
        """Tokens that a guess brings, with the one behind it."""
        return sum(self._right**number for number in range(guessed + 1))

    def _verified(self, guessed: int) -> float:
        """A run of the large one over a guess and the token before it; between two that were measured by a line."""
        count = guessed + 1
        low = max(each for each in self._several if each <= count)
        high = min(each for each in self._several if each >= count)
        if low == high:
            return self._several[low]
        part = (count - low) / (high - low)
        return self._several[low] * (1 - part) + self._several[high] * part

    def _stop(self) -> None:
        self._is_on = False
        self._resting_until, self._rest = self._tokens + self._rest, min(2 * self._rest, REST_TOKENS_MAX)

    # --- what it is told ---

    def begin(self) -> None:
        """An answer begins: what the last one was like says little of it."""
        self._resting_until, self._rest = 0, REST_TOKENS

    def plain(self, seconds: float) -> None:
        """A token was made without a guess."""
        self._token = _mixed(self._token, seconds)
        self._since_plain = 0
        self._made(1)

    def read(self, tokens: int, seconds: float) -> None:
        """The small one has read so many tokens of a slice."""
        self._read = _mixed(self._read, seconds / self._token / tokens)
        self._pay(seconds)

    def verified(self, guessed: int, right: int, seconds: float) -> None:
        """A guess, of whomever, was verified by a run that took so long."""
        if seconds < self._token:  # one token cannot take longer: what is known of it is old
            self._token = _mixed(self._token, seconds)
        self._several[guessed + 1] = _mixed(self._verified(guessed), max(1.0, seconds / self._token))
        self._since_plain += right + 1
        self._made(right + 1)

    def guessed(self, guessed: int, right: int, small_seconds: float, seconds: float) -> None:
        """So many of what the small one guessed were right; what guessing took, and verifying."""
        self._small = _mixed(self._small, small_seconds / self._token / guessed)
        for number in range(min(right + 1, guessed)):
            self._right = RIGHT_MEMORY * self._right + (1 - RIGHT_MEMORY) * (number < right)
        self._tried += guessed
        if self._tried >= PROVEN_TOKENS:
            self._rest = REST_TOKENS
        self._pay(small_seconds + seconds - (right + 1) * self._token)

    def _made(self, tokens: int) -> None:
        self._tokens += tokens
        self._account = min(ACCOUNT_RUNS, self._account + EARNED * tokens)

    def _pay(self, seconds: float) -> None:
        """Less than nothing is paid for what was gained."""
        self._account = min(ACCOUNT_RUNS, self._account - seconds / self._token)


def _mixed(before: float, latest: float) -> float:
    return MEMORY * before + (1 - MEMORY) * min(latest, OUTLIER * before)
