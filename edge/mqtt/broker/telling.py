"""What the log is told: names that cannot forge a line, each thing once a client and then counted, no floods."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

LINES_MAX, WINDOW_SECONDS = 50, 10.0
"""Lines of one kind within so long; how many more there would have been is said afterwards."""
COUNT_SECONDS = 60.0
"""How often it is said what was counted since."""
CLIENTS_MAX = 1000
"""Clients whose counts are kept; the one named first gives way."""
SHOWN_CHARS = 80


def shown(text: str | None) -> str:
    """A name for a line of the log: quoted, cut, and without a character that ends a line or hides another."""
    if text is None:
        return "none"
    return repr(text) if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]!r}…"


def where(error: BaseException) -> str:
    """An error that was not foreseen, in a line: what, and the last place in our code."""
    step, place = error.__traceback__, "?"
    while step is not None:
        place = f"{step.tb_frame.f_code.co_filename.rpartition('/')[2]}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {place}: {shown(str(error))}"


@dataclass
class Window:
    """How many lines of a kind there were since when, and how many were left out."""

    since: float
    lines: int = 0
    left_out: int = 0


class Telling:
    """The broker's log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, Window] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._told = clock()

    def line(self, kind: str, text: str, level: int = logging.INFO) -> None:
        """A line, unless there were too many of its kind just now."""
        window = self._windows.setdefault(kind, Window(self._clock()))
        if window.lines < LINES_MAX:
            window.lines += 1
            log.log(level, text)
        else:
            window.left_out += 1

    def once(self, who: str, what: str, text: str) -> None:
        """A warning about a client (by its shown name), the first time; from then on it is counted.

        what: names the thing counted, as in "12 more MESSAGES FOR IT DROPPED".
        """
        if who not in self._counts and len(self._counts) >= CLIENTS_MAX:
            first = next(iter(self._counts))
            self.flush(first)
            self._counts.pop(first, None)
        counts = self._counts.setdefault(who, {})
        if what in counts:
            counts[what] += 1
            return
        counts[what] = 0
        self.line(what, text, logging.WARNING)

    def flush(self, who: str) -> None:
        """Say what was counted of a client."""
        for what, count in self._counts.get(who, {}).items():
            if count:
                self.line(what, f"client {who}: {count} more {what}", logging.WARNING)
                self._counts[who][what] = 0

    def tick(self) -> None:
        """Say what was left out and, from time to time, what was counted."""
        now = self._clock()
        for kind, window in list(self._windows.items()):
            if now - window.since >= WINDOW_SECONDS:
                if window.left_out:
                    log.warning("%d more lines like the last ones were left out (%s)", window.left_out, kind)
                del self._windows[kind]
        if now - self._told >= COUNT_SECONDS:
            self.tell_counts()

    def tell_counts(self) -> None:
        """Say all that was counted."""
        self._told = self._clock()
        for who in list(self._counts):
            self.flush(who)
