"""Signals that end a command: quietly, and with a status that says which."""

from __future__ import annotations

import signal
from types import FrameType

from edge.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_quietly() -> None:
    """From now on SIGTERM and SIGHUP raise Interrupted, as SIGINT raises KeyboardInterrupt."""
    for number in heeded():
        if number != signal.SIGINT:
            signal.signal(number, _interrupt)


def heeded() -> list[signal.Signals]:
    """Those that end us: not what whoever started us had ignored, as `nohup` does, and a shell for its `&`."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)
