"""What a command does while signals may come: SIGINT, SIGTERM and SIGHUP end it, tidily and with their status."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from edge.commands.signals import heeded
from edge.errors import Interrupted

T = TypeVar("T")


class Ending:
    """What a signal does to work: it is cancelled. first: the number of the first signal; None before it."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.gently: Callable[[], None] | None = None
        """What the first signal does instead; `end` then ends the work, as the second one does."""
        self.end: Callable[[], object] = lambda: None

    def signalled(self, number: int) -> None:
        """One came."""
        is_first, self.first = self.first is None, self.first or number
        self.gently() if is_first and self.gently else self.end()


def run(work: Coroutine[Any, Any, T], ending: Ending | None = None) -> T:
    """Work to its end, as `asyncio.run` does. Raises Interrupted where a signal ended it, once it has tidied up."""
    ending = ending or Ending()
    try:
        return asyncio.run(_watched(work, ending))
    except asyncio.CancelledError:
        if ending.first is None:
            raise
        raise Interrupted(ending.first) from None


async def _watched(work: Coroutine[Any, Any, T], ending: Ending) -> T:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    ending.end = task.cancel
    with contextlib.ExitStack() as stack:
        for number in heeded():
            stack.callback(signal.signal, number, signal.getsignal(number))
            loop.add_signal_handler(number, ending.signalled, number)
            stack.callback(loop.remove_signal_handler, number)
        return await work
