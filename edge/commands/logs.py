"""How programs that run by themselves log: one line a record, whatever strangers have written into it."""

from __future__ import annotations

import logging
import re
import sys

UNSEEN = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Ends of lines, a terminal's commands, and what turns the direction of writing."""


class OneLine(logging.Formatter):
    """A record's own text stays on its line; a traceback's lines are indented, so that none looks like a record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line, with what is not seen spelled out."""
        return visible(super().formatMessage(record))

    def formatException(self, ei: logging._SysExcInfoType) -> str:  # noqa: N802 - likewise
        """The traceback, a bar before each line."""
        return "\n".join(f"  | {visible(line)}" for line in super().formatException(ei).split("\n"))


def visible(text: str) -> str:
    """A text with Python's escapes for what is not seen, and no end of a line."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def set_up(level: str) -> None:
    """Log to stderr, as systemd's journal takes it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
