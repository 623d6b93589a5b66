"""What was dropped from the journal leaves its file, byte for byte.

SQLite writes zeros over what is deleted (`secure_delete`), but where it moves rows from page to page a copy may be left
in a gap. So the texts of a row that is not to stay never lie where rows are moved: zeros stand before them, so many
that the texts come into pages of their own (fileformat2.html, "Cell Payload Overflow Pages"), which are written over
as a whole. Rows that were to stay lie in fewer bytes, and where such are forgotten the file is written anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Literal, get_args

PAD_BYTES = 4096
"""A row's first 4,061 bytes at most lie among other rows, of a page of 4,096."""
Trace = Literal["log", "file"]
"""Where something may still be read of what a write has dropped: in the log beside the file alone, or in gaps, too."""
TRACES: tuple[Trace, ...] = get_args(Trace)
IN_GAPS = 1
"""The file's application id while traces may be in gaps of it."""
SMALL_BYTES, LARGE_SECONDS = 1 << 20, 600.0
"""A file is written anew at once, a larger one no sooner than so long after the last time: cards wear out."""


def erase(database: sqlite3.Connection, which: str, value: int | str) -> Trace | None:
    """Delete requests and their names. which: a condition on them. Where traces of them may be left; None: of none."""
    found = f"select count(*), count(pad) from request where {which}"  # noqa: S608
    count, padded = database.execute(found, (value,)).fetchone()
    if not count:
        return None
    for table in ("name", "call"):
        rows = f"delete from {table} where number in (select number from request where {which})"  # noqa: S608
        database.execute(rows, (value,))
    database.execute(f"delete from request where {which}", (value,))  # noqa: S608
    if padded == count:
        return "log"
    database.execute(f"pragma application_id = {IN_GAPS}")  # so that the next daemon knows, where this one ends first
    return "file"


class Erasing:
    """Of one file, between its transactions. What fails is tried again with the next one."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        (left,) = database.execute("pragma application_id").fetchone()
        self._traces: set[Trace] = {"file"} if left == IN_GAPS else set()
        self._written_anew = -LARGE_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether something is to be done now."""
        return "log" in self._traces or ("file" in self._traces and self._may_write_anew())

    @property
    def is_left(self) -> bool:
        """Whether something is to be done, now or later."""
        return bool(self._traces)

    def note(self, traces: set[Trace]) -> None:
        """Something was dropped."""
        self._traces |= traces

    def run(self) -> None:
        """Do what is due: the file written anew, the log beside it written into it and emptied (wal.html)."""
        if not self.is_due:
            return
        with contextlib.suppress(sqlite3.Error):
            if "file" in self._traces and self._may_write_anew():
                self._database.execute("vacuum")
                self._database.execute("pragma application_id = 0")
                self._written_anew = time.monotonic()
                self._traces = {"log"}
            is_busy, *_ = self._database.execute("pragma wal_checkpoint(truncate)").fetchone()
            self._traces -= set() if is_busy else {"log"}

    def _may_write_anew(self) -> bool:
        (pages,) = self._database.execute("pragma page_count").fetchone()
        (size,) = self._database.execute("pragma page_size").fetchone()
        return pages * size <= SMALL_BYTES or time.monotonic() - self._written_anew >= LARGE_SECONDS
