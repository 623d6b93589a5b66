"""What an answer costs: joules between its beginning and its end, of watts that were measured meanwhile.

Pure: moments are given, in seconds of one clock that goes on. Between two samples the watts go straight from one to the
other; a counter of joules gives what they are on average. From the last sample to an answer's end they stay the same.
Answers that run together share each moment by the tokens that each has gained in it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

SAMPLES_MIN = 3
COVERAGE_MIN = 0.9
GAP_SECONDS_MAX = 1.0
QUIET_SECONDS = 60.0
"""As much of the last time in which nothing ran is what idle is measured by."""
QUIET_SECONDS_MIN = 10.0
QUIET_GAP_SECONDS_MAX = 15.0
"""Between two samples of which nothing ran; they are taken more rarely."""


@dataclass(frozen=True)
class Energy:
    """What an answer took. net_joules: without what the board takes when nothing runs; None where that is not known.

    scope: what was measured; samples: within the answer; coverage: share of its time that lies between samples;
    is_shared: others ran meanwhile, and it is this answer's share.
    """

    gross_joules: float
    net_joules: float | None
    scope: str
    samples: int
    coverage: float
    longest_gap_seconds: float
    is_shared: bool
    tokens: int


@dataclass
class Answer:
    """One that runs. gained: tokens since the last moment that was shared out; seconds: its share of the time."""

    began: float
    last: float
    tokens: int = 0
    gained: float = 0.0
    joules: float = 0.0
    seconds: float = 0.0
    covered: float = 0.0
    samples: int = 0
    gap: float = 0.0
    is_shared: bool = False


@dataclass
class Quiet:
    """Stretches in which nothing ran, the last minute of them."""

    stretches: deque[tuple[float, float]] = field(default_factory=deque)
    seconds: float = 0.0
    joules: float = 0.0

    def add(self, seconds: float, joules: float) -> None:
        """One more; the oldest go."""
        self.stretches.append((seconds, joules))
        self.seconds, self.joules = self.seconds + seconds, self.joules + joules
        while self.seconds - self.stretches[0][0] >= QUIET_SECONDS:
            old = self.stretches.popleft()
            self.seconds, self.joules = self.seconds - old[0], self.joules - old[1]

    @property
    def watts(self) -> float | None:
        """On average; None before there was enough of it."""
        return self.joules / self.seconds if self.seconds >= QUIET_SECONDS_MIN else None


class EnergyMeter:
    """One board's. scope: what its watts are of. Moments must not go back; what does is dropped."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self._answers: dict[int, Answer] = {}
        self._quiet = Quiet()
        self._at: float | None = None
        """Up to here everything is shared out."""
        self._watts: float | None = None
        """Here, as sampled or as held; with a counter, on average between its last two samples."""
        self._counter: float | None = None
        """What it stood at then, and what was shared out since."""
        self._has_run = False
        """Whether anything ran since then."""

    @property
    def is_running(self) -> bool:
        """Whether an answer is being measured, so that samples are wanted at least twice a second."""
        return bool(self._answers)

    @property
    def idle_watts(self) -> float | None:
        """What the board takes when nothing runs; None before it was quiet for ten seconds."""
        return self._quiet.watts

    def sample(self, seconds: float, watts: float) -> None:
        """The board takes so much at this moment."""
        if self._is_late(seconds):
            return
        if self._at is not None:
            before = watts if self._watts is None else self._watts
            self._share(seconds, (before + watts) / 2 * (seconds - self._at))
        self._watts = watts
        self._sampled(seconds)

    def count(self, seconds: float, joules: float) -> None:
        """A counter, of one that never goes back, stands at so much. To be used instead of `sample`, not beside it."""
        if self._is_late(seconds):
            return
        if self._at is not None and self._counter is not None:
            left = max(0.0, joules - self._counter)
            self._watts = left / (seconds - self._at)
            self._share(seconds, left)
        self._counter = joules
        self._sampled(seconds)

    def began(self, number: int, seconds: float) -> None:
        """An answer begins: its prompt is about to be read."""
        self._hold(seconds)
        self._answers[number] = Answer(seconds, seconds)
        self._has_run = True

    def gained(self, number: int, tokens: int = 1) -> None:
        """A running answer has grown by so many tokens."""
        if answer := self._answers.get(number):
            answer.gained += tokens
            answer.tokens += tokens

    def ended(self, number: int, seconds: float, tokens: int | None = None) -> Energy | None:
        """An answer ends, of so many tokens, where `gained` was not told of all.

        None where too little of it was measured: under three samples, under 90 % of its time, a gap of over a second.
        """
        self._hold(seconds)
        answer = self._answers.pop(number, None)
        if answer is None or seconds <= answer.began:
            return None
        gap, coverage = max(answer.gap, seconds - answer.last), answer.covered / (seconds - answer.began)
        if answer.samples < SAMPLES_MIN or coverage < COVERAGE_MIN or gap > GAP_SECONDS_MAX:
            return None
        idle = self.idle_watts
        net = None if idle is None else answer.joules - idle * answer.seconds
        told = answer.tokens if tokens is None else tokens
        return Energy(answer.joules, net, self.scope, answer.samples, coverage, gap, answer.is_shared, told)

    def _is_late(self, seconds: float) -> bool:
        return self._at is not None and seconds <= self._at

    def _hold(self, seconds: float) -> None:
        """Share out what nobody has measured up to a moment, at the watts of the last one."""
        if self._at is None or self._is_late(seconds) or self._watts is None:
            return
        joules = self._watts * (seconds - self._at)
        self._share(seconds, joules)
        if self._counter is not None:
            self._counter += joules

    def _share(self, until: float, joules: float) -> None:
        """What was taken since the last moment, among those that ran."""
        assert self._at is not None
        passed, self._at = until - self._at, until
        if not self._answers:
            if not self._has_run and passed <= QUIET_GAP_SECONDS_MAX:
                self._quiet.add(passed, joules)
            return
        for answer, share in zip(self._answers.values(), shares(list(self._answers.values())), strict=True):
            answer.joules += joules * share
            answer.seconds += passed * share
            answer.gained = 0
            answer.is_shared |= len(self._answers) > 1

    def _sampled(self, seconds: float) -> None:
        """Note for each answer that it was measured up to here."""
        for answer in self._answers.values():
            gap = seconds - answer.last
            answer.covered += gap if gap <= GAP_SECONDS_MAX else 0
            answer.gap, answer.last = max(answer.gap, gap), seconds
            answer.samples += 1
        self._at = seconds
        self._has_run = bool(self._answers)


def shares(answers: list[Answer]) -> list[float]:
    """Of one, by the tokens that each gained; who still reads a prompt weighs as much as the others on average."""
    writing = [answer.gained for answer in answers if answer.tokens]
    total = math.fsum(writing)
    usual = total / len(writing) if total else 1.0
    weights = [answer.gained if answer.tokens and total else usual for answer in answers]
    return [weight / sum(weights) for weight in weights]
