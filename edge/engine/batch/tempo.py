"""How much of a prompt is read at a time: all that suits the kernels, or little where answers wait for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 4.0
"""A slice may take as long as so many tokens of the answers that wait for it."""
SLICE_TOKENS_MIN = 16
"""Fewer at once cost the kernels more than they spare those who wait."""
MEMORY = 0.7


class Tempo:
    """Seconds that a token of a prompt and a token of the answers take, lately. whole: a slice where nobody waits."""

    def __init__(self, whole: int) -> None:
        self._whole = whole
        self._prompt_token = self._answer_token = 0.0

    def slice_tokens(self, is_contended: bool) -> int:
        """How many tokens of a prompt to read next."""
        if not (is_contended and self._prompt_token and self._answer_token):
            return self._whole
        wanted = int(SHARE * self._answer_token / self._prompt_token)
        return max(SLICE_TOKENS_MIN, min(wanted, self._whole))

    @contextmanager
    def reading(self, tokens: int) -> Iterator[None]:
        """While a slice is read."""
        started = time.perf_counter()
        yield
        self._prompt_token = _mixed(self._prompt_token, (time.perf_counter() - started) / tokens)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While a token of the answers is made."""
        started = time.perf_counter()
        yield
        self._answer_token = _mixed(self._answer_token, time.perf_counter() - started)


def _mixed(before: float, latest: float) -> float:
    return latest if not before else MEMORY * before + (1 - MEMORY) * latest
