"""How much of a prompt is read at a time: all that suits the kernels, or little where answers wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHARE = 4.0
"""A slice may take as long as so many tokens of the answers that wait for it."""
SLICE_TOKENS_MIN = 16
"""Fewer at once cost the kernels more than they spare those who wait."""
MEMORY = 0.7


class Tempo:
    """Seconds that a token of a prompt and a token of the answers take, lately. whole: a slice where nobody waits."""

    def __init__(self, whole: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._whole, self._clock = whole, clock
        self._prompt_token = self._answer_token = 0.0

    def slice_tokens(self, is_contended: bool, step_seconds: float | None = None) -> int:
        """How many tokens of a prompt to read next. step_seconds: that it may take, None for all that suits."""
        seconds = [step_seconds] if step_seconds else []
        if is_contended and self._answer_token:
            seconds.append(SHARE * self._answer_token)
        if not (seconds and self._prompt_token):
            return self._whole
        return max(SLICE_TOKENS_MIN, min(int(min(seconds) / self._prompt_token), self._whole))

    @contextmanager
    def reading(self, tokens: int) -> Iterator[None]:
        """While a slice is read."""
        started = self._clock()
        yield
        self._prompt_token = _mixed(self._prompt_token, (self._clock() - started) / tokens)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While a token of the answers is made."""
        started = self._clock()
        yield
        self._answer_token = _mixed(self._answer_token, self._clock() - started)


def _mixed(before: float, latest: float) -> float:
    return latest if not before else MEMORY * before + (1 - MEMORY) * latest
