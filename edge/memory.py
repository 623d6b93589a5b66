"""Memory that a burst of large messages took, back to the board."""

from __future__ import annotations

import asyncio
import ctypes

PERIOD_SECONDS = 10.0


async def give_back_memory() -> None:
    """Every few seconds, until cancelled: what is free goes to the system, where the C library is able to (glibc).

    Python and glibc keep what was freed for the next time; a board with a model in its memory has better use for it.
    See malloc_trim(3); it takes about a millisecond.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while True:
        if trim is not None:  # at once, too: starting has left its own behind
            trim(0)
        await asyncio.sleep(PERIOD_SECONDS)
