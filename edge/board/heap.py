"""Memory that a burst of large messages took, back to the board."""

from __future__ import annotations

import asyncio
import ctypes

PERIOD_SECONDS = 10.0


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
