"""The heap of a small process: one for all its threads, and what a burst of large messages took back to the board."""

from __future__ import annotations

import asyncio
import ctypes

PERIOD_SECONDS = 10.0


M_ARENA_MAX = -8
"""malloc.h's name for it."""


def one_for_all_threads() -> None:
    """Threads share one heap, where the C library has several (glibc); for threads that are begun later.

    See mallopt(3). Several spare threads the wait for each other while they allocate, which Python's lock makes them
    wait for anyway, and cost the daemon two megabytes.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(M_ARENA_MAX, 1)


def give_back() -> None:
    """What is free goes to the system, where the C library is able to (glibc).

    Python and glibc keep what was freed for the next time; a board with a model in its memory has better use for it.
    See malloc_trim(3); it takes about a millisecond.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_giving_back() -> None:
    """Every few seconds, until cancelled; at once, too: starting has left its own behind."""
    while True:
        give_back()
        await asyncio.sleep(PERIOD_SECONDS)
