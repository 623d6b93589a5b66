"""What a stranger writes stays within its line of the log."""

from __future__ import annotations

import logging

from edge.commands.logs import OneLine, visible


def test_no_text_makes_a_line_of_its_own():
    """Ends of lines of every kind, a terminal's commands, a turned direction, half a character."""
    forged = "q\nERROR the disk is gone\r\x1b[2J\u2028\u202e\ud800"
    record = logging.LogRecord("edge", logging.INFO, "", 0, "request %s ended", (forged,), None)
    line = OneLine("%(levelname)s %(message)s").format(record)
    assert line.splitlines() == [line]
    assert line == r"INFO request q\nERROR the disk is gone\r\x1b[2J\u2028\u202e\ud800 ended"
    assert visible("Grüße 你好 😀") == "Grüße 你好 😀"


def test_a_tracebacks_lines_cannot_be_taken_for_records():
    """An exception that quotes what was sent: each of its lines has a bar before it."""
    try:
        raise ValueError("bad\nERROR forged")
    except ValueError as error:
        record = logging.LogRecord("edge", logging.ERROR, "", 0, "failed", (), (ValueError, error, error.__traceback__))
    first, *rest = OneLine("%(levelname)s %(message)s").format(record).splitlines()
    assert first == "ERROR failed"
    assert all(line.startswith("  | ") for line in rest)
