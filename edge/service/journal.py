"""The journal from the event loop: one thread, and whatever gathers while it writes goes into its next transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from edge.service.journal_file import JournalError, JournalFile, Write

log = logging.getLogger(__name__)

ERASE_SECONDS = 60.0
"""Between two tries to have what was dropped gone from the file."""
Done = Callable[[JournalError | None], None]
"""Called in the event loop when a write is on disk, or with the reason why it is not."""
Read = TypeVar("Read")


@dataclass(frozen=True)
class Wish:
    """A write, and whom to tell."""

    write: Write
    done: Done | None


class Journal:
    """Writes in the order of what it is given."""

    def __init__(self, file: JournalFile) -> None:
        self.file = file
        self._thread = ThreadPoolExecutor(1, "journal")
        self._wishes: list[Wish] = []
        self._arrived = asyncio.Event()

    def write(self, write: Write, done: Done | None = None) -> None:
        """Have something written soon."""
        self._wishes.append(Wish(write, done))
        self._arrived.set()

    async def settled(self) -> None:
        """Return when everything given so far was written or refused."""
        reached = asyncio.Event()
        self.write(lambda _database: None, lambda _error: reached.set())
        await reached.wait()

    async def read(self, read: Callable[[JournalFile], Read]) -> Read:
        """What a function finds in the journal, between two transactions; JournalError where it cannot be read."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, read, self.file)
        except sqlite3.Error as error:
            raise JournalError(f"the journal cannot be read: {error}") from error

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._awaited()
            wishes, self._wishes = self._wishes, []
            error = await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, wishes)
            for wish in wishes:
                if wish.done:
                    wish.done(error)

    async def _awaited(self) -> None:
        """Something is to be written, if only over what was dropped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), ERASE_SECONDS if self.file.is_to_erase else None)
        self._arrived.clear()

    def _commit(self, wishes: list[Wish]) -> JournalError | None:
        try:
            self.file.write([wish.write for wish in wishes])
        except JournalError as error:
            log.error("%s", error)
            return error
        return None

    def close(self) -> None:
        """Close the journal."""
        self._thread.shutdown()
        self.file.close()
